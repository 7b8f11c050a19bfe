"""What is left of an encoded unit is whole, or it counts as not encoded; damage that shows later names every unit it has met."""

import pickle
from pathlib import Path

import pytest

from dataio.format.folder import LocalFolder
from dataio.format.index import Clip
from dataio.format.writer import Segment, SegmentWriter
from dataio.ingest import spool
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.spool import Spool, SpoolError, Summary
from dataio.ingest.work import Job, ShardTask, write_dealt_shard


def leave(folder: LocalFolder, slug: str, count: int = 3) -> tuple[Summary, list[Segment]]:
    """A unit of clips with two members each."""
    clips: list[Clip] = []
    segments = []
    with spool.writing(folder, slug) as file:
        for number in range(count):
            writer = SegmentWriter(f"{slug}-{number:06d}")
            writer.add("json", b"{}" * (number + 1))
            writer.add("txt", slug.encode() * 700)
            segment = writer.finish(slug, 2.0 * number)
            clips.append(spool.moved(segment.clip, file.tell()))
            file.writelines(segment.parts)
            segments.append(segment)
        summary = Summary(slug, slug, clips=tuple(range(count)), bytes=file.tell(), rms={"front.L": (0.5,) * count})
    spool.publish(folder, summary, clips)
    return summary, segments


@pytest.fixture
def work(tmp_path: Path) -> LocalFolder:
    return LocalFolder(tmp_path)


def test_what_was_left_comes_back(work: LocalFolder) -> None:
    summary, segments = leave(work, "r1")
    assert spool.load(work, "r1") == summary
    back = Spool(work, "r1")
    assert [back.segment(i).data for i in (2, 0, 1)] == [segments[i].data for i in (2, 0, 1)]
    refused = Summary("r2", "r 2", reason="no video")
    spool.publish(work, refused, ())
    assert spool.load(work, "r2") == refused  # which has neither spool nor table
    assert spool.load(work, "r3") is None


DAMAGE = {"gone": lambda path: path.unlink(), "empty": lambda path: path.write_bytes(b""), "cut": lambda path: _cut(path)}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("kind", ["spool", "npz", "unit"])
@pytest.mark.parametrize("how", DAMAGE)
def test_a_unit_of_which_anything_is_missing_counts_as_not_encoded(work: LocalFolder, kind: str, how: str) -> None:
    leave(work, "r1")
    DAMAGE[how](work.path / f"r1.{kind}")
    assert spool.load(work, "r1") is None


def test_a_table_of_another_unit_is_none_of_this_one(work: LocalFolder) -> None:
    leave(work, "r1")
    leave(work, "r2", count=2)
    (work.path / "r2.npz").replace(work.path / "r1.npz")
    assert spool.load(work, "r1") is None


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_shard_names_every_spool_that_is_damaged(work: LocalFolder) -> None:
    units = {name: leave(work, name)[0] for name in ("r1", "r2", "r3", "r4", "r5")}
    _flip(work.path / "r1.spool", 512)
    (work.path / "r2.spool").unlink()
    (work.path / "r4.npz").write_bytes(b"")
    (work.path / "r5.npz").unlink()
    (work.path / "out").mkdir()
    task = ShardTask("clips-000000", "train", tuple((name, s.clips) for name, s in units.items()), 0, 1)
    with pytest.raises(SpoolError) as caught:
        write_dealt_shard(task, Job(work.path, work.child("out"), work, EncodeOptions()))
    assert sorted(caught.value.slugs) == ["r1", "r2", "r4", "r5"]
    assert not list((work.path / "out").iterdir())
    again = pickle.loads(pickle.dumps(caught.value))  # as it comes back from a worker
    assert again.slugs == caught.value.slugs and str(again) == str(caught.value)
    assert str(again).endswith(".spool (and 3 more) is damaged; the same command goes on")


def test_the_dead_are_counted_and_forgotten_with_the_rest(work: LocalFolder) -> None:
    assert spool.deaths(work, "r1") == 0
    spool.blame(work, "r1")
    spool.blame(work, "r1")
    assert spool.deaths(work, "r1") == 2
    work.write("r2.died", b"")  # cut off by a power cut
    assert spool.deaths(work, "r2") == 0
    leave(work, "r1")
    leave(work, "r3")
    spool.remove(work, ["r1", "r2"])
    assert work.names() == ["r3.npz", "r3.spool", "r3.unit"]
