"""Sets of anything, and reports on them as a browser would see them."""

import base64
import html.parser
import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from dataio.audit.inspect import inspect
from dataio.audit.inspect.figures import photos
from dataio.format import index, manifest

CLIPS = manifest.Media(2.0, 2, (16, 32), 48_000, ("front",))
FOREIGN = manifest.Media(0.0, 0, (0, 0), 0, (), picture="", sound="")
FRAME = np.random.default_rng(0).integers(0, 255, (16, 32, 3), np.uint8)
SOUND = (np.random.default_rng(1).standard_normal((4800, 2)) * 3000).astype(np.int16)


class Page(html.parser.HTMLParser):
    """What a browser would see: tags with their attributes, the text, and which columns of each row of each table a phone hides."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[bool]]] = []
        self.text = ""
        self.feed(text)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append(dict(attrs).get("class") == "wide")

    def handle_data(self, data):
        self.text += data + " "

    def images(self) -> list[Image.Image]:
        sources = [a.get("src") or a.get("href") or "" for tag, a in self.tags if tag in ("img", "image")]
        return [Image.open(io.BytesIO(base64.b64decode(s.partition(",")[2]))) for s in sources]


def report(folder: Path, **options) -> Page:
    """The page, after checking that it is harmless, and its tables whole."""
    text = inspect(folder, **options)
    page = Page(text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "object", "embed", "link", "base", "form"})
    places = {attributes.get("id") for _, attributes in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href"):
            goal = attributes.get(name) or "data:"
            assert goal.startswith("data:") or (tag == "a" and goal[0] == "#" and goal[1:] in places), (tag, goal[:80])
    assert "url(" not in text and "@import" not in text
    assert any("default-src 'none'" in (a.get("content") or "") for _, a in page.tags)
    assert "\x1b" not in text and "\u202e" not in text
    for image in page.images():
        image.load()
    for table in page.tables:
        assert table and all(row == table[0] for row in table), table
    return page


def jpeg(rgb: np.ndarray) -> bytes:
    return photos.jpeg(rgb, 10_000, 95)


def png(grey: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()


def wav(samples: np.ndarray, rate: int = 48_000, kind: str = "WAV") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype="PCM_16")
    return out.getvalue()


def make_set(
    folder: Path,
    shards: list[list[tuple[str, str, float, dict[str, bytes]]]],
    media: manifest.Media,
    *,
    splits: tuple[str, ...] = ("train",),
) -> Path:
    """A set of anything: shards of (key, recording, start, extension → bytes)."""
    folder.mkdir(parents=True)
    rows = []
    for number, clips in enumerate(shards):
        name = f"shard-{number:04d}"
        placed = []
        with tarfile.open(folder / f"{name}.tar", "w") as tar:
            for key, recording, start, files in clips:
                members = []
                for extension, data in files.items():
                    info = tarfile.TarInfo(f"{key}.{extension}")
                    info.size = len(data)
                    at = tar.offset + len(info.tobuf(tar.format, tar.encoding, "surrogateescape"))
                    tar.addfile(info, io.BytesIO(data))
                    members.append(index.Member(extension, at, len(data), index.crc32c(np.frombuffer(data, np.uint8))))
                placed.append(index.Clip(key, recording, start, tuple(members)))
        size = (folder / f"{name}.tar").stat().st_size
        entry = index.build(name, size, placed)
        (folder / f"{name}.npz").write_bytes(entry.dump())
        crc = index.crc32c(np.frombuffer(entry.dump(), np.uint8))
        split = splits[number % len(splits)]
        rows.append(manifest.Shard(name, len(clips), size, 0, crc, 0, split, entry.recordings, ()))
    (folder / manifest.FILE).write_bytes(manifest.build(rows, media, {}, {}).dump())
    return folder


def facts(**more) -> bytes:
    return json.dumps(
        {"recording": "r", "start": 0.0, "frame_times": [0.0, 1.0], "rms": {"front.L": 0.1, "front.R": 0.0}} | more
    ).encode()
