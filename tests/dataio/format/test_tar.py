"""The walk over a tar finds what Python's tarfile finds, sums it right, and names the place of every fault."""

import ctypes
import io
import tarfile
import wave
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dataio.format import index, tar

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


def is_webdataset(members: list[tuple[str, str, str, int, int]]) -> bool:
    """Whether samples are adjacent and no extension comes twice in one."""
    runs = [key for i, (_, key, *_) in enumerate(members) if i == 0 or members[i - 1][1] != key]
    return len(set(runs)) == len(runs) and len({(key, extension) for _, key, extension, *_ in members}) == len(members)


PART = st.text(st.sampled_from("ab.é水 _-%\t🎧0"), min_size=1, max_size=12)
LONG = st.builds(lambda text, n: text * n, PART, st.integers(1, 40))
NAME = st.builds(
    lambda prefix, folders, base: prefix + "/".join([*folders, base]),
    st.sampled_from(["", "./", "/"]),
    st.lists(PART, max_size=2),
    st.one_of(PART, LONG, st.sampled_from(["a.jpg", "a.json", ".hidden", "plain", "a.tar.gz", "b.", "x y.z"])),
)
KIND = st.sampled_from(
    [tarfile.REGTYPE] * 6 + [tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]
)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    found = []
    for name, kind in draw(st.lists(st.tuples(NAME, KIND), min_size=1, max_size=8)):
        regular = kind in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
        length = draw(st.sampled_from([0, 1, 511, 512, 513, 1500])) if regular else 0
        found.append((name, kind, NOISE[:length]))
    return found


@given(entries(), st.sampled_from(FORMATS), st.booleans())
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_finds_what_tarfile_finds(tmp_path: Path, written: list[Entry], form: int, comment: bool) -> None:
    options = {"pax_headers": {"comment": "of the whole tar"}} if comment and form == tarfile.PAX_FORMAT else {}
    try:
        path = write(tmp_path / "x.tar", written, form, **options)
    except ValueError:  # the name is too long for USTAR
        assume(False)
    expected = by_tarfile(path)
    if not is_webdataset(expected):
        with pytest.raises(tar.TarError, match=r"x\.tar, byte \d+: a (second )?member"):
            tar.walk(path)
        return
    data = path.read_bytes()
    found = tar.walk(path)
    assert by_walk(found) == by_walk(tar.walk(path, checksums=False)) == expected
    assert (found.size, found.crc) == (len(data), google_crc32c.value(data))
    assert [row[tar.CRC] for row in found.rows] == [google_crc32c.value(data[at : at + n]) for *_, at, n in expected]
    with tarfile.open(path) as reference:
        regular = [m.isreg() for m in reference]
    assert (found.others, found.skipped) == (regular.count(False), regular.count(True) - len(expected))
    members: dict[str, list[index.Member]] = {}
    for _, key, extension, at, length in expected:
        members.setdefault(key, []).append(index.Member(extension, at, length, 0))
    clips = [index.Clip(key, "", 0.0, tuple(placed)) for key, placed in members.items()]
    assert found.dali_idx() == index.dali_idx(clips).encode()
    assert [key.decode() for key in found.clip_keys()] == [clip.key for clip in clips]


def _wav(samples: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((2, 2, 96_000, samples, "NONE", "not compressed"))
        file.writeframes(NOISE[: 4 * samples])
    return buffer.getvalue()


@given(
    st.lists(st.one_of(st.integers(0, 5000), st.integers(65_000, 66_000), st.integers(520_000, 530_000)), min_size=1, max_size=6)
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_of_members_blocks_and_the_whole(tmp_path: Path, lengths: list[int]) -> None:
    """Members of all lengths, so that they and their blocks begin and end anywhere in the window."""
    written = [(f"{i}.bin", tarfile.REGTYPE, NOISE[i : i + n]) for i, n in enumerate(lengths)]
    written += [(f"w{i}.wav", tarfile.REGTYPE, _wav(n // 4)) for i, n in enumerate(lengths)]
    path = write(tmp_path / "x.tar", written)
    data = path.read_bytes()
    found = tar.walk(path)
    assert found.crc == google_crc32c.value(data)
    blocks = []
    for row, (name, _, member) in zip(found.rows, written, strict=True):
        assert row[tar.CRC] == google_crc32c.value(member)
        assert (row[tar.FIRST_BLOCK] >= 0) == name.endswith(".wav")
        if name.endswith(".wav"):
            assert row[tar.FIRST_BLOCK] == len(blocks)
            blocks += index.block_checksums(member)
    assert found.block_crc.tolist() == blocks


def test_pcm_behind_a_head_longer_than_the_window(tmp_path: Path) -> None:
    plain = _wav(70_000)
    junk = 2**20
    long = plain[:12] + b"JUNK" + junk.to_bytes(4, "little") + bytes(junk) + plain[12:]
    path = write(tmp_path / "x.tar", [("a.wav", tarfile.REGTYPE, long), ("b.wav", tarfile.REGTYPE, plain)])
    found = tar.walk(path)
    first, second = found.rows
    assert first[tar.FACTS : tar.FACTS + 6].tolist() == [0, 0, 96_000, 2, 70_000, 44 + 8 + junk]
    blocks = index.block_checksums(plain), index.block_checksums(long)
    assert tuple(found.block_crc) == blocks[0] + blocks[1]
    assert (second[tar.FIRST_BLOCK], first[tar.FIRST_BLOCK]) == (0, len(blocks[0]))
    assert tar.walk(path, checksums=False).rows[0, tar.FACTS : tar.FACTS + 6].tolist() == first[tar.FACTS : tar.FACTS + 6].tolist()


@given(st.binary(max_size=3000), st.data())
def test_checksums_combine(data: bytes, draw: st.DataObject) -> None:
    cut = draw.draw(st.integers(0, len(data)))
    parts = google_crc32c.value(data[:cut]), google_crc32c.value(data[cut:])
    assert tar.crc32c_combine(*parts, len(data) - cut) == google_crc32c.value(data)


@pytest.mark.parametrize("length", [0, 255, 256, 2**16, 2**24 + 1, 2**33 + 12345])
def test_a_long_second_part_combines_like_many_short_ones(length: int) -> None:
    """x^(8n) by the table against x^8 multiplied up by squaring, through combine itself."""
    crc, step, rest, power = 0x12345678, 1, length, 0
    while rest:
        if rest & 1:
            crc = tar.crc32c_combine(crc, 0, step)
            power += step
        rest >>= 1
        step *= 2
    assert power == length and crc == tar.crc32c_combine(0x12345678, 0, length)


@pytest.mark.parametrize("way", [tar._folding, tar._bundled, tar._portable])
def test_every_way_to_sum_gives_the_same(way) -> None:
    address = way()
    if not address:
        pytest.skip("this machine or wheel has none")
    call = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t)(address)
    data = np.frombuffer(NOISE, np.uint8)
    for length in [*range(0, 2200, 7), 4096, 65_535, 65_536, 524_288, len(data) - 5]:
        assert call(77, data[5:].ctypes.data, length) == google_crc32c.extend(77, NOISE[5 : 5 + length]), length


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


def test_thousands_of_keys_and_extensions_are_told_apart(tmp_path: Path) -> None:
    names = [f"{i}.{j}.x" for i in range(700) for j in range(4)] + [f"many.{i}" for i in range(1500)]
    found = tar.walk(write(tmp_path / "x.tar", files(*names), tarfile.USTAR_FORMAT))
    assert [found.name(i) for i in range(len(names))] == names
    assert len(found.extensions) == 1504 and len(found.clips) == 701
    with pytest.raises(tar.TarError, match="not adjacent"):
        tar.walk(write(tmp_path / "y.tar", files(*names, "350.y"), tarfile.USTAR_FORMAT))


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_fill_the_tables_between_a_header_and_its_member(tmp_path: Path, form: int) -> None:
    names = [f"{i:04d}{'é' * (i % 1500)}.{i % 7}" for i in range(900)]
    found = tar.walk(write(tmp_path / "x.tar", files(*names), form))
    assert [found.name(i) for i in range(len(names))] == names
    assert [key.decode() for key in found.clip_keys()] == [name.rpartition(".")[0] for name in names]


def test_json_is_handed_out_and_clip_keys_are_known(tmp_path: Path) -> None:
    written = [
        ("walk-000001.json", b'{"a":1}'),
        ("walk-000001.x.json", b"no"),
        ("b.json", b" " * (tar.TEXT_LIMIT + 1)),
        ("c.txt", b""),
    ]
    found = tar.walk(write(tmp_path / "x.tar", [(name, tarfile.REGTYPE, data) for name, data in written]))
    assert [found.text(clip) for clip in range(3)] == [b'{"a":1}', None, None]
    assert found.recordings == ("walk",)
    assert found.clips[:, tar.RECORDING].tolist() == [0, -1, -1]
