"""The sets that the check reads, made where they are needed: nothing but PyAV, Pillow and the project's own writers.

    python -m benchmarks.gpu.material OUT [--small]

Pictures are those of synthetic scenes, so bytes, detail and motion are the same on every host; encoders may differ by version.
"""

import argparse
import io
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dataio.format import index, manifest
from dataio.format.clip import PAIRS, clip_key, frame_extension, pair_extension
from dataio.format.folder import LocalFolder
from dataio.format.writer import Segment, SegmentWriter, write_shard

Clip = Callable[[int], Segment]
FORMATS = ("jpeg", "h264-1", "h264-8", "h264-30", "hevc-1", "hevc-8", "hevc-30", "vp9-8", "av1-8")
"""Sets of the same clips: codec and frames from one key frame to the next."""
FRAMES, SECONDS = 30, 2.0  # of a clip in these sets: fifteen a second, so that a group of 30 is one
MAPS_RATE = 8_000  # Hz, of the small sound in the set with maps


def standard(folder: Path, small: bool) -> Path:
    """Standard clips (benchmarks/standard.py), 256 of them: 8 JPEGs of 512×256, four pairs at 96 kHz, 2 s; small: see `whole`."""
    if small:
        return whole(folder / "standard-small")
    shards = folder / "standard"
    if not (shards / manifest.FILE).exists():
        from dataio.ingest.build import BuildOptions, build
        from dataio.ingest.executors import local
        from dataio.ingest.scenes import write_recordings

        workers = len(os.sched_getaffinity(0))
        scenes = folder / "standard-recordings"
        write_recordings(scenes, recordings=32, seconds=16.0, seed=0, size=(256, 512), workers=workers)
        build(scenes, shards, BuildOptions(split="train=1", shard_bytes=2**26), local(workers))
    return shards


def whole(folder: Path, clips: int = 12, size: tuple[int, int] = (32, 64), *, damaged: tuple[int, ...] = ()) -> Path:
    """Clips with everything that a clip may hold: 4 JPEGs, four pairs of 0.5 s at 8 kHz, flow with holes, mask and labels.

    Args:
        damaged: of these clips the last picture is cut off, before its checksum is taken: only a decoder can find it.
    """
    if (folder / manifest.FILE).exists():
        return folder

    def clip(number: int) -> Segment:
        rng = np.random.default_rng(number)
        writer = SegmentWriter(clip_key(f"r{number % 3}", number // 3))
        for f, (picture, _) in enumerate(_shots(number, size, 4, 4.0)):
            data = _jpeg(picture)
            data = data[: len(data) // 2] if number in damaged and f == 3 else data
            writer.add(frame_extension(f), data, index.Facts(height=size[0], width=size[1]))
        for pair in PAIRS:
            writer.pcm(pair_extension(pair), rng.integers(-9999, 9999, (MAPS_RATE // 2, 2)).astype(np.int16), MAPS_RATE)
        classes = next(iter(_shots(number, size, 1, 4.0)))[1]
        moving = np.where(classes > 0, 255, 0).astype(np.uint8)
        flow, known = rng.normal(0, 4, (*size, 2)), rng.random(size) < 0.8
        for name, data in (("labels", _png(classes)), ("mask", _png(moving)), ("flow", _flow(flow, known))):
            writer.add(f"{name}.png", data, index.Facts(height=size[0], width=size[1]))
        return writer.finish(f"r{number % 3}", number // 3 * 0.5)

    media = manifest.Media(0.5, 4, size, MAPS_RATE, PAIRS, extras=("flow", "labels", "mask"))
    return _write(folder, clip, clips, media, {f"{pair}.{ear}": 0.1 for pair in PAIRS for ear in "LR"})


def formats(folder: Path, name: str, small: bool) -> tuple[Path, float, float]:
    """A set of the same clips, frames only, of one of FORMATS.

    Returns:
        its shards; bytes a clip; PSNR of the pictures against what was encoded, dB over RGB: the mean over frames of 4 clips.
    """
    count, size = (4, (64, 128)) if small else (64, (256, 512))
    codec, _, gop = name.partition("-")
    shards = folder / f"formats-{name}{'-small' if small else ''}"

    def clip(number: int) -> Segment:
        writer = SegmentWriter(clip_key(f"r{number}", 0))
        for extension, data in _encoded(codec, int(gop or 1), number, size):
            frames = 0 if codec == "jpeg" else FRAMES
            writer.add(extension, data, index.Facts(height=size[0], width=size[1], frames=frames))
        return writer.finish(f"r{number}", 0.0)

    if not (shards / manifest.FILE).exists():
        _write(shards, clip, count, manifest.Media(SECONDS, FRAMES, size, 96_000, (), picture=codec), {})
    table = [index.load(path, path.stem) for path in sorted(shards.glob("clips-*.npz"))]
    length = sum(int(entry.members["length"].sum()) for entry in table)
    psnr = [_psnr(codec, _encoded(codec, int(gop or 1), i, size), i, size) for i in range(min(4, count))]
    return shards, length / count, float(np.mean(psnr))


def photos(folder: Path, small: bool) -> Path:
    """Pictures as heavy as ImageNet's (benchmarks/images/photos.py), of 8 classes: 512 of 500×375; small: 8 of 80×60."""
    from benchmarks.images.photos import photo

    shards = folder / ("photos-small" if small else "photos")
    count, size = (8, (60, 80)) if small else (512, (375, 500))

    def clip(number: int) -> Segment:
        writer = SegmentWriter(clip_key("train", number))
        writer.add("jpg", _jpeg(photo(*size, number)), index.Facts(height=size[0], width=size[1]))
        writer.add("json", json.dumps({"label": number % 8, "class": f"class{number % 8}", "split": "train"}).encode())
        return writer.finish("train", 0.0)

    if not (shards / manifest.FILE).exists():
        classes = tuple(f"class{i}" for i in range(8))
        _write(shards, clip, count, manifest.Media(0.0, 0, (0, 0), 0, (), picture="still", sound="", classes=classes), {})
    return shards


def _write(folder: Path, clip: Clip, clips: int, media: manifest.Media, levels: dict[str, float]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    per_shard = 4 if clips < 64 else 16
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        segments = list(pool.map(clip, range(clips)))
    parts = [segments[at : at + per_shard] for at in range(0, clips, per_shard)]
    shards = [write_shard(LocalFolder(folder), f"clips-{i:06d}", "train", part) for i, part in enumerate(parts)]
    (folder / manifest.FILE).write_bytes(manifest.build(shards, media, levels, {}).dump())
    return folder


def _shots(number: int, size: tuple[int, int], count: int, fps: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pictures and class maps of a scene."""
    from dataio.ingest.scenes.picture import Camera
    from dataio.ingest.scenes.world import draw_scene

    camera = Camera(draw_scene(0, number), size)
    for i in range(count):
        yield camera.shoot(i / fps)


def _encoded(codec: str, gop: int, number: int, size: tuple[int, int]) -> list[tuple[str, bytes]]:
    """The members that hold the frames of a clip."""
    from dataio.ingest.encode.container import EXTENSIONS, encode_video

    pictures = [picture for picture, _ in _shots(number, size, FRAMES, FRAMES / SECONDS)]
    if codec == "jpeg":
        return [(frame_extension(f), _jpeg(picture)) for f, picture in enumerate(pictures)]
    return [(EXTENSIONS[codec], encode_video(pictures, fps=FRAMES / SECONDS, codec=codec, gop=gop))]


def _psnr(codec: str, members: list[tuple[str, bytes]], number: int, size: tuple[int, int]) -> float:
    import av
    from PIL import Image

    if codec == "jpeg":
        decoded = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for _, data in members]
    else:
        with av.open(io.BytesIO(members[0][1]), "r") as container:
            decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    wanted = (picture for picture, _ in _shots(number, size, FRAMES, FRAMES / SECONDS))
    errors = [np.square(a.astype(np.float32) - b).mean() for a, b in zip(decoded, wanted, strict=True)]
    return float(np.mean([10 * np.log10(255**2 / max(float(error), 1e-9)) for error in errors]))


def _jpeg(picture: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=90)
    return file.getvalue()


def _png(grey: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()


def _flow(flow: np.ndarray, known: np.ndarray) -> bytes:
    """As `dataio.format.flow.encode_flow` has it, without OpenCV: three big-endian 16-bit channels, unfiltered rows."""
    steps = np.clip(np.rint(flow * 64) + 2**15, 0, 2**16 - 1) * known[..., None]
    rows = np.concatenate([steps, known[..., None]], 2).astype(">u2").reshape(len(flow), -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", known.shape[1], known.shape[0], 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(raw, 1)), (b"IEND", b""))
    ends = [struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    body = [struct.pack(">I", len(data)) + kind + data + end for (kind, data), end in zip(chunks, ends, strict=True)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def main() -> None:
    """Make every set, and say how large each is."""
    parser = argparse.ArgumentParser(description="Make the sets of the GPU check.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--small", action="store_true", help="those of a rehearsal")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, shards in (("standard", standard(asked.out, asked.small)), ("photos", photos(asked.out, asked.small))):
        print(f"{name:10} {sum(path.stat().st_size for path in shards.iterdir()) / 2**20:8.1f} MiB")
    print(f"{'maps':10} {sum(path.stat().st_size for path in whole(asked.out / 'maps').iterdir()) / 2**20:8.1f} MiB")
    for name in FORMATS:
        _, length, psnr = formats(asked.out, name, asked.small)
        print(f"{name:10} {length / 2**10:8.1f} KiB a clip, {psnr:.1f} dB")


if __name__ == "__main__":
    main()
