"""Tars of all kinds, and what others find in them."""

import io
import tarfile
import wave
from pathlib import Path

import numpy as np

from dataio.format import tar

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
NOISE = np.random.default_rng(0).bytes(3 * 2**20)

Entry = tuple[str, bytes, bytes]  # name, type, data


def write(path: Path, entries: list[Entry], form: int = tarfile.PAX_FORMAT, **options) -> Path:
    with tarfile.open(path, "w", format=form, **options) as out:
        for name, kind, data in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "target" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            out.addfile(info, io.BytesIO(data))
    return path


def files(*names: str, data: bytes = b"abc") -> list[Entry]:
    return [(name, tarfile.REGTYPE, data) for name in names]


def split(name: str) -> tuple[str, str] | None:
    """Key and extension by the rule, written another way; None for what belongs to no sample."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return (folder + slash + stem, extension) if stem and extension else None


def by_tarfile(path: Path) -> list[tuple[str, str, str, int, int]]:
    """(name, key, extension, offset, length) of every member of a sample, as tarfile reads it."""
    with tarfile.open(path) as found:
        return [(m.name, *split(m.name), m.offset_data, m.size) for m in found if m.isreg() and split(m.name)]


def by_walk(found: tar.Walk) -> list[tuple[str, str, str, int, int]]:
    rows = []
    for i, row in enumerate(found.rows.tolist()):
        key, extension = found.key(row[tar.CLIP]), found.extensions[row[tar.EXTENSION]]
        rows.append((found.name(i), key, extension, row[tar.OFFSET], row[tar.LENGTH]))
    return rows


def wav(samples: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((2, 2, 96_000, samples, "NONE", "not compressed"))
        file.writeframes(NOISE[: 4 * samples])
    return buffer.getvalue()


# --- headers by hand


def block(name: bytes, size: bytes, kind: bytes = b"0", *, signed: bool = False, magic: bytes = b"ustar\x0000") -> bytes:
    head = bytearray(512)
    head[: len(name)] = name
    head[124 : 124 + len(size)] = size
    head[148:156] = b" " * 8
    head[156:157] = kind
    head[257 : 257 + len(magic)] = magic
    total = sum(byte - 256 * (signed and byte > 127) for byte in head)
    head[148:156] = b"%06o\0 " % total
    return bytes(head)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


END = bytes(1024)


def walk(tmp_path: Path, data: bytes, **options) -> tar.Walk:
    path = tmp_path / "x.tar"
    path.write_bytes(data)
    return tar.walk(path, **options)
