"""The walk over a tar finds what Python's tarfile finds, and sums it right, whatever this machine sums with."""

import errno
import os
import tarfile
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dataio.format import headers, index, tar
from dataio.format.crc import choice
from tests.dataio.format.tar.tars import FORMATS, NOISE, Entry, by_tarfile, by_walk, files, wav, write


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


@given(
    st.lists(st.one_of(st.integers(0, 5000), st.integers(65_000, 66_000), st.integers(520_000, 530_000)), min_size=1, max_size=6)
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_of_members_blocks_and_the_whole(tmp_path: Path, lengths: list[int]) -> None:
    """Members of all lengths, so that they and their blocks begin and end anywhere in the window."""
    written = [(f"{i}.bin", tarfile.REGTYPE, NOISE[i : i + n]) for i, n in enumerate(lengths)]
    written += [(f"w{i}.wav", tarfile.REGTYPE, wav(n // 4)) for i, n in enumerate(lengths)]
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
    plain = wav(70_000)
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


def test_a_head_longer_than_the_window_is_read_though_its_bytes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As numba keeps the arguments of a call for which it compiled: in a cycle, until some later collection."""
    kept: list[np.ndarray] = []
    real = headers.read

    def keeping(data: np.ndarray, *places) -> None:
        kept.append(data)
        real(data, *places)

    plain = wav(70_000)
    junk = 2**20
    path = write(
        tmp_path / "x.tar",
        [("a.wav", tarfile.REGTYPE, plain[:12] + b"JUNK" + junk.to_bytes(4, "little") + bytes(junk) + plain[12:])],
    )
    expected = tar.walk(path)
    monkeypatch.setattr(headers, "read", keeping)
    found = tar.walk(path)
    assert len(kept) == 1
    assert (found.rows == expected.rows).all() and (found.block_crc == expected.block_crc).all()


@pytest.mark.parametrize("way", [choice.bundled, choice.portable])
def test_a_processor_without_our_instructions_sums_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way) -> None:
    """Members, blocks and the whole, combined without carry-less multiplication."""
    if not way():
        pytest.skip("this wheel has none")
    written = [
        ("a.bin", tarfile.REGTYPE, NOISE[:777_777]),
        ("b.wav", tarfile.REGTYPE, wav(200_000)),
        ("c.txt", tarfile.REGTYPE, b""),
    ]
    path = write(tmp_path / "x.tar", [*written, ("d.bin", tarfile.REGTYPE, NOISE[:5000])])
    fast = tar.walk(path)
    monkeypatch.setattr(choice, "extend_address", way)
    monkeypatch.setattr(choice, "times_address", lambda: 0)
    slow = tar.walk(path)
    assert fast.crc == slow.crc == google_crc32c.value(path.read_bytes())
    assert (fast.rows == slow.rows).all() and (fast.block_crc == slow.block_crc).all()


def test_a_file_that_shrinks_or_fails_meanwhile_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.tar", files("a.b", data=NOISE[:5000]))
    whole, real = path.stat().st_size, os.fstat

    def as_it_was(fd: int) -> os.stat_result:
        return os.stat_result((*tuple(real(fd))[:6], whole, 0, 0, 0))

    monkeypatch.setattr(os, "fstat", as_it_was)
    os.truncate(path, 2048)
    with pytest.raises(tar.TarError, match=r"x\.tar, byte 0: the file ends here, though it was longer"):
        tar.walk(path)
    with pytest.raises(OSError) as caught:
        tar.walk(Path("/proc/self/mem"))  # nothing lies at its begin, and Linux says what a broken disk says
    assert caught.value.errno == errno.EIO


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
