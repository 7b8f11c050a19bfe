"""Pictures that look a little like photographs, and small sets of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import simplejpeg

from dataio.format import index, manifest
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.stream.health import Health, Ward
from dataio.stream.images.reader import StillReader
from dataio.stream.images.spec import ViewSpec
from dataio.stream.meter import Meter
from dataio.stream.order.mixture import Order, Source
from dataio.stream.store.local import LocalStore
from dataio.stream.supply import Supply

SPEC = ViewSpec(size=32)


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise whose strength falls with its frequency, as in photographs, in strong colours: (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    common = rng.standard_normal((height, width))
    planes = []
    for _ in range(3):
        spectrum = np.fft.rfft2(0.6 * common + 0.7 * rng.standard_normal((height, width))) / frequency**1.1
        spectrum[0, 0] = 0
        plane = np.fft.irfft2(spectrum, (height, width))
        planes.append(rng.uniform(90, 160) + 60 * plane / max(plane.std(), 1e-9))
    return np.clip(np.stack(planes, 2), 0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, quality: int = 90) -> np.ndarray:
    return np.frombuffer(simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality, "RGB", "420"), np.uint8)


def make_stills(folder: Path, pictures: int = 24, shard_bytes: int = 40_000) -> Path:
    """A set of pictures of several sizes in the classes ant, bee and cat, all in the split train."""
    for i in range(pictures):
        path = folder / "source" / "train" / ("ant", "bee", "cat")[i % 3] / f"{i:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(photo(60 + 7 * (i % 5), 50 + 11 * (i % 4), i)).tobytes())
    build(folder / "source", folder / "shards", BuildOptions(EncodeOptions(), layout="images", shard_bytes=shard_bytes), local(1))
    return folder / "shards"


@contextmanager
def supplied(*folders: Path, spec: ViewSpec = SPEC, health: Health = Health(None), seed: int = 0) -> Iterator[Supply]:
    """What a batcher of the split train of these sets takes its pictures from."""
    stores = [LocalStore(folder) for folder in folders]
    readers = [StillReader(store, spec) for store in stores]
    sources = [Source(m.fingerprint, m.first_clip, m.select("train")) for m in (store.manifest for store in stores)]
    order = Order(sources, seed=seed, window=2)
    try:
        yield Supply(readers, order, seed, Ward(health, tuple(str(i) for i in range(len(folders)))), Meter())
    finally:
        for store in stores:
            store.close()


def damaged(folder: Path, tmp_path: Path, clips: list[int], change: Callable[[bytearray], bytes], extension: str = "jpg") -> Path:
    """A copy of a set in which these members hold other bytes of the same length, and the index says that this is right."""
    found, out = manifest.load(folder), tmp_path / "damaged"
    out.mkdir()
    for path in folder.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    for clip in clips:
        shard = int(np.searchsorted(found.first_clip, clip, side="right")) - 1
        name = found.name(shard)
        table = index.load((out / f"{name}.npz").read_bytes(), name)
        row = int(table.column(extension)[clip - int(found.first_clip[shard])])
        at, length = int(table.members["offset"][row]), int(table.members["length"][row])
        tar = bytearray((out / f"{name}.tar").read_bytes())
        tar[at : at + length] = change(tar[at : at + length])
        table.members["crc"][row] = index.crc32c(bytes(tar[at : at + length]))
        (out / f"{name}.tar").write_bytes(tar)
        (out / f"{name}.npz").write_bytes(table.dump())
        found.shards["index_crc"][shard] = index.crc32c(table.dump())
    (out / manifest.FILE).write_bytes(found.dump())
    return out
