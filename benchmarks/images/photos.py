"""Sets of pictures to measure with: as large, as detailed and as heavy as ImageNet's, made here."""

from pathlib import Path

import numpy as np


def photo(height: int, width: int, seed: int) -> np.ndarray:
    """Noise whose amplitude falls with its frequency as f^−1.1, as in photographs: (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    common, planes = rng.standard_normal((height, width)), []
    for _ in range(3):
        spectrum = np.fft.rfft2(0.8 * common + 0.5 * rng.standard_normal((height, width))) / frequency**1.1
        plane = np.fft.irfft2(spectrum, (height, width))
        planes.append(rng.uniform(97, 157) + 55 * plane / plane.std())
    return np.clip(np.stack(planes, 2), 0, 255).astype(np.uint8)


def photo_set(folder: Path, pictures: int = 256, size: tuple[int, int] = (375, 500), quality: int = 90) -> Path:
    """Build a set of such pictures, (height, width) each, inside `folder`, which must be empty; returns where the shards lie."""
    import simplejpeg

    from dataio.ingest.build import BuildOptions, build
    from dataio.ingest.encode import EncodeOptions
    from dataio.ingest.executors import local

    for i in range(pictures):
        path = folder / "pictures" / "train" / f"class{i % 8}" / f"{i:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(simplejpeg.encode_jpeg(photo(*size, i), quality, "RGB", "420"))
    build(folder / "pictures", folder / "shards", BuildOptions(EncodeOptions(), layout="images", shard_bytes=2**23), local(1))
    return folder / "shards"
