"""The index of a shard: every fact of every member is found again, and an index that contradicts itself is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.format import index, table
from dataio.format.clip import clip_key

WORD = st.integers(0, 2**32 - 1)
SMALL = st.integers(0, 2**31 - 1)
FACTS = st.builds(index.Facts, SMALL, SMALL, SMALL, st.integers(0, 8), st.integers(0, 2**40), SMALL)
MEMBER = st.builds(
    index.Member,
    extension=st.sampled_from(["json", "f000.jpg", "f001.jpg", "front.wav", "labels.png"]),
    offset=st.integers(0, 2**40),
    length=st.integers(0, 2**36),
    crc=WORD,
    facts=FACTS,
    blocks=st.lists(WORD, max_size=3).map(tuple),
)
MEMBERS = st.lists(MEMBER, max_size=4, unique_by=lambda member: member.extension).map(tuple)


@st.composite
def clips(draw: st.DrawFn) -> list[index.Clip]:
    names = draw(st.lists(st.tuples(st.sampled_from(["walk", "river", "a_20b"]), st.integers(0, 99)), max_size=6, unique=True))
    return [index.Clip(clip_key(name, i), name, draw(st.floats(0, 1e6)), draw(MEMBERS)) for name, i in names]


def _member(shard: index.ShardIndex, row: int) -> index.Member:
    """What the columns say of one member."""
    value = {name: int(column[row]) for name, column in shard.members.items()}
    facts = index.Facts(*(value[name] for name in ("height", "width", "rate", "channels", "samples", "data")))
    after = [int(b) for b in shard.members["block"][row + 1 :] if b >= 0]
    last = after[0] if after else len(shard.block_crc)
    blocks = tuple(int(b) for b in shard.block_crc[value["block"] : last]) if value["block"] >= 0 else ()
    return index.Member(shard.extensions[value["extension"]], value["offset"], value["length"], value["crc"], facts, blocks)


@given(clips())
@settings(max_examples=60)
def test_every_fact_of_every_member_is_found_again(written: list[index.Clip]) -> None:
    shard = index.load(index.build("clips-000000", 2**41, written).dump(), "x.npz")
    assert (shard.name, shard.tar_bytes, len(shard)) == ("clips-000000", 2**41, len(written))
    for i, clip in enumerate(written):
        assert shard.clips["key"][i].decode() == clip.key
        assert shard.recordings[shard.clips["recording"][i]] == clip.recording
        assert shard.clips["start"][i] == clip.start
        found = {e: _member(shard, shard.column(e)[i]) for e in shard.extensions if shard.column(e)[i] >= 0}
        assert found == {member.extension: member for member in clip.members}


@given(clips())
@settings(max_examples=20)
def test_the_same_clips_give_the_same_bytes(written: list[index.Clip]) -> None:
    data = index.build("s", 2**41, written).dump()
    assert index.load(data, "x").dump() == index.build("s", 2**41, list(written)).dump() == data


def test_a_member_that_no_clip_has_is_missing_everywhere() -> None:
    shard = index.build("s", 1, [index.Clip("a-000000", "a", 0.0, ()), index.Clip("a-000001", "a", 2.0, ())])
    assert shard.column("flow.png").tolist() == [-1, -1]


def test_recordings_are_numbered_in_the_order_of_their_first_clip() -> None:
    written = [index.Clip(clip_key(name, i), name, 0.0, ()) for name, i in [("b", 3), ("a", 0), ("b", 0)]]
    shard = index.build("s", 1, written)
    assert shard.recordings == ("b", "a")
    assert shard.clips["recording"].tolist() == [0, 1, 0]


ONE = index.build("s", 4096, [index.Clip("a-000000", "a", 0.0, (index.Member("json", 512, 9, 1, index.Facts(), (5,)),))])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("clip", 1),
        ("clip", -1),
        ("extension", 1),
        ("extension", -1),
        ("offset", -1),
        ("offset", 9999),
        ("length", -1),
        ("block", 1),
    ],
)
def test_a_row_that_points_nowhere_is_refused(column: str, value: int) -> None:
    ONE.members[column][0], good = value, ONE.members[column][0]
    data = ONE.dump()
    ONE.members[column][0] = good
    index.load(ONE.dump(), "x.npz")
    with pytest.raises(table.FormatError, match=rf"x\.npz: member\.{column} runs from {value}"):
        index.load(data, "x.npz")


@pytest.mark.parametrize("without", ["clip.key", "member.crc", "member.block", "block_crc"])
def test_a_missing_column_is_named(without: str) -> None:
    head, columns = table.load(ONE.dump(), "x", index.KIND, index.VERSION)
    columns.pop(without)
    with pytest.raises(table.FormatError, match=rf"x\.npz lacks the column '{without.rpartition('.')[2]}'"):
        index.load(table.dump(head, columns), "x.npz")


@pytest.mark.parametrize("without", ["shard", "bytes", "recordings", "extensions"])
def test_a_missing_fact_is_named(without: str) -> None:
    head, columns = table.load(ONE.dump(), "x", index.KIND, index.VERSION)
    head.pop(without)
    with pytest.raises(table.FormatError, match=rf"x\.npz: inconsistent index: '{without}'"):
        index.load(table.dump(head, columns), "x.npz")


def test_a_manifest_is_no_index() -> None:
    with pytest.raises(table.FormatError, match="is no sonosphere-index"):
        index.load(table.dump({"format": "sonosphere-manifest", "version": 1}, {}), "x.npz")


def test_crc32c_is_castagnoli() -> None:
    assert index.crc32c(b"123456789") == 0xE3069283  # the check value of RFC 3720's polynomial


@pytest.mark.parametrize("length", [0, 1, index.BLOCK - 1, index.BLOCK, index.BLOCK + 1, 3 * index.BLOCK])
def test_blocks_cover_a_member_without_gap_or_overlap(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    parts = [data[i : i + 65_536] for i in range(0, length, 65_536)]
    assert index.block_checksums(data) == tuple(index.crc32c(part) for part in parts)


def test_dali_index_holds_no_white_space_of_a_name() -> None:
    clip = index.Clip("a b\tc", "a", 0.0, (index.Member("x y.jpg", 512, 3, 0),))
    assert index.dali_idx([clip]) == "v1.2 1\nx%20y.jpg 512 3 a%20b%09c.x%20y.jpg\n"
