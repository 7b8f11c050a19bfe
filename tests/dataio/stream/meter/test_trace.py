"""Trace files, read as Perfetto reads them: an array of events whose end may be missing."""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dataio.stream.meter import Meter, Trace
from dataio.stream.meter import trace as module
from tests.dataio.stream.meter.clockwork import Clockwork, in_thread, iterate


def load(path: Path) -> list[dict]:
    """All events, of a file that may lack its bracket."""
    text = path.read_text()
    return json.loads(text if text.rstrip().endswith("]") else text + "]")


def spans(events: list[dict]) -> dict[tuple[int, int], list[dict]]:
    found: dict[tuple[int, int], list[dict]] = {}
    for event in events:
        if event["ph"] == "X":
            found.setdefault((event["pid"], event["tid"]), []).append(event)
    return found


def test_every_measurement_is_an_event_and_they_add_up_to_the_report(tmp_path):
    clockwork, rng = Clockwork(), random.Random(3)
    trace = Trace(tmp_path / "trace.json", now=lambda: clockwork.wall)
    meter = clockwork.meter(trace=trace)

    def clips() -> None:
        for clip in range(40):
            for stage in ("read", "decode", "rotate"):
                with meter.clock(stage, cpu=stage != "read", clip=clip, shard="clips-000001"):
                    spent = rng.random() / 100
                    clockwork.spend(spent, spent / 2)

    for name in ("sonosphere-clip-0", "sonosphere-clip-1"):
        in_thread(name, clips)
    iterate(clockwork, meter, 10, wait=0.25, step=0.125)
    meter.queues({"read": 7})
    meter.event("replaced", clip=3, reason='a "quote"')
    meter.close()
    events, report = load(trace.path), meter.report()
    assert json.loads(trace.path.read_text()) == events  # it was closed
    for stage in ("read", "decode", "rotate"):
        found = [e for e in events if e["name"] == stage]
        assert len(found) == report["stages"][stage]["count"] == 80
        assert sum(e["dur"] for e in found) / 1e6 == pytest.approx(report["stages"][stage]["wall_seconds"], abs=1e-7)
        cpu = "tdur" if stage != "read" else "dur"
        assert sum(e[cpu] for e in found) / 1e6 == pytest.approx(report["stages"][stage]["seconds"], abs=1e-7)
        assert found[5]["args"] == {"clip": 5, "shard": "clips-000001"}
    waits = [e for e in events if e["name"] == "wait"]
    assert len(waits) == 10 and {e["dur"] for e in waits} == {250000.0}
    assert {e["dur"] for e in events if e["name"] == "step"} == {125000.0}
    names = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert names == {"sonosphere-clip-0", "sonosphere-clip-1", threading.current_thread().name}
    assert [e["args"] for e in events if e["ph"] == "i"] == [{"clip": 3, "reason": 'a "quote"'}]
    assert [e["args"]["value"] for e in events if e["name"] == "waiting: read"] == [7]
    assert report["trace"]["events"] == len(events) - 1 and report["trace"]["note"] == ""  # the first one names the process


def test_spans_of_a_thread_are_nested_or_apart(tmp_path):
    meter = Meter(Trace(tmp_path / "trace.json"))

    def work() -> None:
        for i in range(400):
            with meter.clock("outer"), meter.clock("middle", cpu=True):
                with meter.clock("inner", clip=i):
                    pass
                with meter.clock("inner", clip=i):
                    pass

    threads = [threading.Thread(target=work, name=f"sonosphere-clip-{i}") for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meter.close()
    tracks = spans(load(meter.trace.path))
    assert len(tracks) == 3
    for events in tracks.values():
        assert len(events) == 1600
        open_until: list[float] = []
        for e in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
            begin, end = round(1000 * e["ts"]), round(1000 * (e["ts"] + e["dur"]))
            while open_until and open_until[-1] <= begin:
                open_until.pop()
            assert all(end <= until for until in open_until)
            open_until.append(end)


def test_a_file_that_was_cut_off_opens_when_it_is_completed(tmp_path):
    trace = Trace(tmp_path / "trace.json", now=lambda: 0.0)
    for i in range(2 * module._CHUNK + 10):
        trace.span("read", i, i + 0.5)
    text = trace.path.read_text()
    assert not text.rstrip().endswith("]") and len(load(trace.path)) == 1 + 2 * module._CHUNK
    trace.close()
    trace.close()
    assert len(load(trace.path)) == 2 + 2 * module._CHUNK + 10 and trace.path.read_text().endswith("]\n")
    trace.span("read", 0, 1)
    assert trace.report()["dropped"] == 1


def test_a_process_that_is_killed_leaves_a_file_that_opens(tmp_path):
    program = (
        "import os, sys, signal\nfrom dataio.stream.meter import Meter, Trace\nmeter = Meter(Trace(sys.argv[1]))\n"
        "for i in range(10_000): meter.add('read', 0.001)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "trace.json"
    assert subprocess.run([sys.executable, "-c", program, str(path)], timeout=600).returncode == -9
    events = load(path)
    assert 10_000 - module._CHUNK < len(events) <= 10_002 and {e["name"] for e in events[3:]} == {"read"}


def test_few_events_are_written_after_a_second(tmp_path):
    clockwork = Clockwork()
    trace = Trace(tmp_path / "trace.json", now=lambda: clockwork.wall)
    trace.counter("queue", 1)
    assert len(load(trace.path)) == 1
    clockwork.spend(2)
    trace.counter("queue", 2)
    assert [e["args"].get("value") for e in load(trace.path)] == [None, 1, 2]
    trace.close()


def test_the_limit_ends_the_file_and_says_so(tmp_path, capsys):
    trace = Trace(tmp_path / "trace.json", limit=100)
    meter = Meter(trace)
    for _ in range(150):
        meter.add("read", 0.001)
    meter.close()
    events = json.loads(trace.path.read_text())
    assert sum(e["ph"] == "X" for e in events) == 100
    assert events[-1]["name"] == "trace ends" and "its limit of 100 events" in events[-1]["args"]["note"]
    report = meter.report()
    assert report["trace"]["dropped"] == 50 and "limit" in report["trace"]["note"] and report["stages"]["read"]["count"] == 150
    assert capsys.readouterr().err.count("limit of 100") == 1
    with pytest.raises(ValueError, match="limit=0"):
        Trace(tmp_path / "other.json", limit=0)


def test_a_full_disk_ends_the_trace_and_not_the_run(capsys):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    trace = Trace("/dev/full")
    meter = Meter(trace)
    for _ in range(3 * module._CHUNK):
        meter.add("read", 0.001)
    meter.close()
    assert "No space left" in meter.report()["trace"]["note"] and meter.report()["stages"]["read"]["count"] == 3 * module._CHUNK
    assert capsys.readouterr().err.count("is cut short") == 1


def test_a_disk_that_hangs_keeps_nobody_waiting(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_WAITING", 3 * module._CHUNK)
    path = tmp_path / "trace.json"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    trace = Trace(path)
    stuck = threading.Thread(target=lambda: [trace.span("read", i, i + 1) for i in range(module._CHUNK)], daemon=True)
    stuck.start()  # more than a pipe takes
    while not trace.events:
        pass
    for i in range(5 * module._CHUNK):
        trace.span("decode", i, i + 1)
    in_thread("new", lambda: trace.span("rotate", 0, 1))
    assert stuck.is_alive() and 0 < trace.dropped <= 2 * module._CHUNK + 10
    os.set_blocking(reader, True)
    received: list[bytes] = []

    def drain() -> None:
        while data := os.read(reader, 1 << 20):
            received.append(data)
        os.close(reader)

    draining = threading.Thread(target=drain)
    draining.start()
    stuck.join()
    trace.close()
    draining.join()
    assert len(json.loads(b"".join(received))) == 1 + trace.report()["events"]


def test_ranks_write_side_by_side(tmp_path):
    for rank in (0, 3):
        trace = Trace(tmp_path / "deep" / "trace.json", rank)
        trace.instant("here")
        trace.close()
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["trace.json", "trace.rank3.json"]
    events = load(tmp_path / "deep" / "trace.rank3.json")
    assert {e["pid"] for e in events} == {3} and events[0]["args"]["name"] == "rank 3"


def test_threads_with_the_same_name_and_number_have_tracks_of_their_own(tmp_path):
    trace = Trace(tmp_path / "trace.json")
    for _ in range(5):
        in_thread("sonosphere-producer", lambda: trace.span("decode", 0, 1))
    trace.close()
    assert len(spans(load(trace.path))) == 5


def test_hostile_names_are_escaped(tmp_path):
    trace = Trace(tmp_path / "trace.json")
    name = 'a"},\n{"ph":"X\\\ud800\x00'
    trace.span(name, 0, 1, clip=2, shard=name)
    trace.instant(name, {name: name, "object": object})
    trace.close()
    _, _, span, instant = json.loads(trace.path.read_text())
    assert span["name"] == name and span["args"] == {"clip": 2, "shard": name} and instant["args"][name] == name
