"""Headers written by hand: every spelling that there is of the same thing, and every fault, named with its place."""

from pathlib import Path

import google_crc32c
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataio.format import tar
from tests.dataio.format.tar.tars import END, NOISE, block, by_tarfile, by_walk, files, padded, walk, write


@pytest.mark.parametrize("size", [b"00000000003\0", b"          3 ", b"3\0", b"\x80" + bytes(10) + b"\x03", b"000000000003"])
def test_sizes_in_every_spelling(tmp_path: Path, size: bytes) -> None:
    found = walk(tmp_path, block(b"a.b", size) + padded(b"abc") + END)
    assert by_walk(found) == [("a.b", "a", "b", 512, 3)]


def test_old_tars_sum_signed_bytes(tmp_path: Path) -> None:
    name = "né.b".encode()
    assert block(name, b"3", signed=True) != block(name, b"3")
    assert walk(tmp_path, block(name, b"3", signed=True) + padded(b"abc") + END).name(0) == "né.b"


def test_a_size_in_a_pax_header_holds(tmp_path: Path) -> None:
    record = b"10 size=3\n"
    found = walk(tmp_path, block(b"pax", b"%o" % len(record), b"x") + padded(record) + block(b"a.b", b"0") + padded(b"abc") + END)
    assert by_walk(found) == [("a.b", "a", "b", 1536, 3)]
    assert found.rows[0, tar.HEADER] == 0


def test_only_ustar_has_a_prefix(tmp_path: Path) -> None:
    """GNU tar keeps times of access where POSIX keeps the prefix of a name."""
    for magic, name in ((b"ustar\x0000", "pre/a.b"), (b"ustar  \0", "a.b")):
        head = bytearray(block(b"a.b", b"0", magic=magic))
        head[345:348] = b"pre"
        head[148:156] = b"%06o\0 " % (sum(head[:148]) + sum(head[156:]) + 8 * 32)
        assert walk(tmp_path, bytes(head) + END).name(0) == name


PAX = {
    "no length": b"path=a.b\n",
    "too long": b"99 path=a.b\n",
    "no line end": b"11 path=a.bX",
    "no equals": b"9 patha\nX"[:9],
    "zero": b"0 path=a\n",
}


def _pax_of(record: bytes, kind: bytes = b"x") -> bytes:
    return block(b"pax", b"%o" % len(record), kind) + padded(record) + block(b"c.d", b"0") + END


FINE = block(b"a.b", b"3") + padded(b"abc")
FAULTS = {
    "checksum": (FINE + block(b"c.d", b"3").replace(b"c.d", b"c.e") + padded(b"abc") + END, 1024, "no tar header"),
    "no tar at all": (NOISE[:4096], 0, "no tar header"),
    "empty": (b"", 0, "cut off"),
    "without an end": (FINE, 1024, "cut off"),
    "cut in data": (FINE + block(b"c.d", b"2000") + bytes(512), 1024, "cut off"),
    "cut in a header": (FINE + block(b"c.d", b"0")[:100], 1024, "cut off"),
    "cut in a pax header": (FINE + block(b"pax", b"2000", b"x") + bytes(512), 1024, "cut off"),
    "cut after a pax header": (FINE + block(b"pax", b"14", b"x") + padded(b"12 path=a.b\n") + END, 2048, "cut off"),
    "size": (FINE + block(b"c.d", b"12x") + END, 1024, "no number of bytes"),
    "negative size": (block(b"c.d", b"\xff" * 12) + END, 0, "no number of bytes"),
    "huge size": (block(b"c.d", b"\x80" + b"\x7f" * 11) + END, 0, "no number of bytes"),
    "garbage": (FINE + END + bytes(700) + b"x" + bytes(100), 2748, "follows the end"),
    "a second archive": (FINE + END + FINE + END, 2048, "follows the end"),
    "apart": (FINE + block(b"c.d", b"0") + block(b"a.e", b"0") + END, 1536, "not adjacent"),
    "twice": (FINE + FINE + END, 1024, "second member with this extension"),
    "sparse": (block(b"a.b", b"0", b"S") + END, 0, "sparse"),
    "sparse by pax": (_pax_of(b"22 GNU.sparse.major=1\n"), 0, "sparse"),
    "global path": (_pax_of(b"12 path=a.b\n", b"g"), 0, "global PAX"),
    "NUL in a name": (_pax_of(b"14 path=a\0b.c\n"), 0, "NUL"),
    "long name": (_pax_of(b"5010 path=" + b"a" * 4998 + b".b"[:1] + b"\n"), 0, "more than 4096"),
    "long header": (block(b"pax", b"%o" % (2**18 + 1), b"x") + bytes(2**18 + 512) + END, 0, "more than 262144"),
    "not UTF-8": (FINE + block(b"\xe9.b", b"0") + END, 1024, "not UTF-8"),
    "UTF-8 over two names": (FINE + block(b"x.\xc3", b"0") + block(b"\xa9.b", b"0") + END, 1024, "not UTF-8"),
    **{f"pax, {name}": (_pax_of(record), 0, "damaged PAX header") for name, record in PAX.items()},
}


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_place(tmp_path: Path, fault: str, checksums: bool) -> None:
    data, at, what = FAULTS[fault]
    with pytest.raises(tar.TarError, match=rf"^x\.tar, byte {at}: .*{what}") as caught:
        walk(tmp_path, data, checksums=checksums)
    assert caught.value.offset == at


@given(st.integers(0, 10_239), st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cut_is_noticed_wherever_a_member_is_lost(tmp_path: Path, length: int, checksums: bool) -> None:
    """Only what lies in the padding at the end may be missing."""
    whole = write(tmp_path / "w.tar", files("a.b", "a.c", "n" * 120 + ".d", data=NOISE[:700])).read_bytes()
    assert len(whole) == 10_240
    last = by_tarfile(tmp_path / "w.tar")[-1]
    if length < last[3] + 1024 + 512:
        with pytest.raises(tar.TarError, match=r"cut off"):
            walk(tmp_path, whole[:length], checksums=checksums)
    else:
        assert len(walk(tmp_path, whole[:length], checksums=checksums).rows) == 3


@given(st.binary(min_size=512, max_size=2048), st.integers(0, 3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_in_a_pax_header_never_escapes(tmp_path: Path, noise: bytes, kind: int) -> None:
    data = block(b"h", b"%o" % len(noise), b"xgLK"[kind : kind + 1]) + padded(noise) + FINE + END
    try:
        found = walk(tmp_path, data)
    except tar.TarError:
        return
    assert found.crc == google_crc32c.value(data)
