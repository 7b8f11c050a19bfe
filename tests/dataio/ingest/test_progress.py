"""What is said while a build runs, and that saying it costs the same for five recordings and for 64,250."""

from pathlib import Path
from typing import Any

import pytest

from dataio.format.folder import LocalFolder
from dataio.ingest import progress
from dataio.ingest.progress import Counter, Progress
from dataio.ingest.spool import Summary


class Watched(LocalFolder):
    """A folder that counts what is asked of it."""

    def names(self) -> list[str]:
        raise AssertionError("the folder is listed")

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        ASKED.append(name)
        return super().read(name, start, end)


ASKED: list[str] = []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    ASKED.clear()
    return now


def _counter(names: list[str], folder: Path, weight: int = 10) -> tuple[Counter, list[Progress]]:
    told: list[Progress] = []
    return Counter(dict.fromkeys(names, weight), Watched(folder), told.append), told


def test_an_event_costs_the_same_however_many_recordings_there_are(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"r{i}" for i in range(64_250)]
    counter, told = _counter(names, tmp_path)
    slugs: list[str] = []
    slug = progress.slug

    def counted(name: str) -> str:
        slugs.append(name)
        return slug(name)

    monkeypatch.setattr(progress, "slug", counted)
    for name in names[:1000]:
        counter.begun(name)
        clock[0] += 0.1
        counter.tick()
        counter.finished(name, Summary(name, name, clips=(0,), bytes=5))
    assert [p.done for p in told if p.name] == list(range(1, 1001))
    assert len(slugs) == len(ASKED) <= 100 / 0.5 + 1  # seconds, and one look at the one that is under way in each half
    assert (told[-1].clips, told[-1].bytes, told[-1].share) == (1000, 5000, pytest.approx(1000 / 64_250))


def test_signs_of_life_come_twice_a_second_and_hold_what_is_under_way(tmp_path: Path, clock: list[float]) -> None:
    counter, told = _counter(["a", "b", "c é", "d"], tmp_path)
    counter.before("d")
    counter.begun("a")
    counter.begun("c é")
    for text in ("1 4 100", "", "2 4 200"):
        (tmp_path / "c_20_c3_a9.progress").write_text(text)
        for _ in range(20):
            clock[0] += 0.05
            counter.tick()
    assert 4 <= len(told) <= 6
    assert all(p.name is None and p.done == 1 for p in told)
    assert [told[0].clips, told[-1].clips] == [1, 2] and told[-1].bytes == 200
    assert told[-1].share == pytest.approx((10 + 5) / 40)
    counter.finished("c é", Summary("c", "c é", clips=(0, 1, 2, 3), bytes=400))
    counter.finished("c é", Summary("c", "c é", clips=(0, 1, 2, 3), bytes=400))  # its spool was damaged
    assert told[-1].done == 2 and told[-1].share == pytest.approx(0.5)
    shares = [p.share for p in told]
    assert shares == sorted(shares)


def test_in_an_object_store_nobody_notes_anything(clock: list[float]) -> None:
    from dataio.format.remote import RemoteFolder

    told: list[Any] = []
    counter = Counter({"a": 1}, RemoteFolder("memory://nowhere"), told.append)
    counter.begun("a")
    clock[0] += 1
    counter.tick()
    assert len(told) == 1 and told[0].share == 0
