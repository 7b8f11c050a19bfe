"""What the clocks add up to: in several threads, over pauses, and by processor time."""

import gc
import json
import random
import threading
import time

import numpy as np
import pytest

from dataio.stream.meter import Meter
from dataio.stream.meter.clocks import KEPT, Tally
from dataio.stream.meter.threads import group
from tests.dataio.stream.meter.clockwork import Clockwork, in_thread, iterate


def test_percentiles():
    meter = Meter()
    for i in range(100):
        meter.add("read", (i + 1) / 1000)
    stage = meter.report()["stages"]["read"]
    assert abs(stage["median_ms"] - 50.5) < 1e-6 and 95 <= stage["p95_ms"] <= 97 and 98.5 <= stage["p99_ms"] <= 100
    assert stage["count"] == 100 and abs(stage["seconds"] - 5.05) < 1e-9


def test_the_newest_measurements_count_and_all_add_up():
    meter = Meter()
    for i in range(3 * KEPT):
        meter.add("read", 9.0 if i < 2 * KEPT else 1.0)
    stage = meter.report()["stages"]["read"]
    assert stage["p99_ms"] == 1000 and stage["count"] == 3 * KEPT and stage["seconds"] == 19 * KEPT


def test_the_first_batch_counts_apart():
    meter = Meter()
    meter.delivered(8, 0.0, time.perf_counter() - 5)
    meter.delivered(8, 1.0, time.perf_counter())
    report = meter.report()
    assert report["first_batch_seconds"] >= 5 and report["stages"]["wait"]["count"] == 1
    assert report["clips"] == 16 and report["batches"] == 2
    assert report["queue_occupancy"] == 1.0 and report["stages"]["wait"]["seconds"] < 1


def test_processor_time_leaves_waiting_out():
    meter = Meter()
    with meter.clock("rotate", cpu=True):
        time.sleep(0.05)
    with meter.clock("read"):
        time.sleep(0.05)
    stages = meter.report()["stages"]
    assert stages["rotate"]["seconds"] < 0.025 < 0.05 <= stages["read"]["seconds"]
    assert stages["rotate"]["wall_seconds"] >= 0.05


def test_rate_and_wait_share_are_of_the_time_between_the_first_delivery_and_the_last():
    clockwork = Clockwork()
    meter = clockwork.meter()
    iterate(clockwork, meter, batches=21, wait=0.03, step=0.07)
    report = meter.report()
    assert report["elapsed_seconds"] == pytest.approx(20 * 0.1) and report["wait_share"] == pytest.approx(0.3)
    assert report["clips_per_second"] == pytest.approx(40) and report["step"]["median_ms"] == pytest.approx(70)
    assert report["late"] == 1.0


def test_a_pause_is_neither_waiting_nor_time():
    clockwork = Clockwork()
    meter = clockwork.meter()
    for occupancy in (0.5, 0.5, 0.5):
        iterate(clockwork, meter, 10, wait=0.01, step=0.09, occupancy=occupancy)
        meter.paused()
        clockwork.spend(3600)
    report = meter.report()
    assert report["wait_share"] == pytest.approx(0.1) and report["clips_per_second"] == pytest.approx(40)
    assert report["pauses"] == 2 and report["paused_seconds"] == pytest.approx(7200)
    assert report["queue_occupancy"] == pytest.approx(0.5)


def test_the_queue_that_filled_during_a_pause_is_no_evidence():
    clockwork = Clockwork()
    meter = clockwork.meter()
    iterate(clockwork, meter, 5, wait=0.1, step=0.01, occupancy=0.0)
    meter.paused()
    iterate(clockwork, meter, 1, wait=0.0, step=0.01, occupancy=1.0)
    assert meter.report()["queue_occupancy"] == 0.0


def test_validation_in_the_middle_of_an_epoch_is_a_pause():
    clockwork = Clockwork()
    meter = clockwork.meter()
    for _ in range(3):
        iterate(clockwork, meter, 20, wait=0.02, step=0.08)
        clockwork.spend(120)  # within the step
    report = meter.report()
    assert report["paused_seconds"] == pytest.approx(2 * 120) and report["pauses"] == 2
    assert report["wait_share"] == pytest.approx(0.2)


def test_a_model_that_compiles_itself_in_its_first_step_is_away():
    clockwork = Clockwork()
    meter = clockwork.meter()
    iterate(clockwork, meter, 1, wait=5, step=90)
    iterate(clockwork, meter, 30, wait=0.1, step=0.1)
    report = meter.report()
    assert report["paused_seconds"] == pytest.approx(89.9) and report["wait_share"] == pytest.approx(0.5)


def test_a_slow_but_steady_consumer_is_not_away():
    clockwork = Clockwork()
    meter = clockwork.meter()
    iterate(clockwork, meter, 30, wait=0.0, step=40.0)
    assert meter.report()["pauses"] == 0 and meter.report()["elapsed_seconds"] == pytest.approx(29 * 40)


def test_threads_add_up_whether_they_live_or_have_ended():
    meter, rng, expected, barrier = Meter(), random.Random(5), 0.0, threading.Barrier(4)
    work = [[rng.random() for _ in range(rng.randrange(3 * KEPT))] for _ in range(12)]
    done = threading.Event()

    def measure(seconds: list[float], stay: bool) -> None:
        for value in seconds:
            meter.add("rotate", value, bytes=3)
        if stay:
            barrier.wait()
            done.wait()

    staying = [threading.Thread(target=measure, args=(s, True), name=f"sonosphere-clip-{i}") for i, s in enumerate(work[:3])]
    for thread in staying:
        thread.start()
    for seconds in work[3:]:
        in_thread("sonosphere-clip-7", lambda seconds=seconds: measure(seconds, False))
    barrier.wait()
    expected, count = sum(map(sum, work)), sum(map(len, work))
    try:
        for _ in range(2):  # a report changes nothing
            line = meter.report()["stages"]["rotate"]
            assert line["count"] == count and line["seconds"] == pytest.approx(expected) and line["bytes"] == 3 * count
            assert 0.4 < line["median_ms"] / 1e3 < 0.6
        assert meter.report()["threads"]["clip"]["count"] == 4
    finally:
        done.set()
        for thread in staying:
            thread.join()


def test_a_run_of_weeks_keeps_no_thread():
    meter = Meter()
    for i in range(300):
        in_thread(f"sonosphere-producer-{i}", lambda: meter.add("decode", 0.5))
    gc.collect()
    report = meter.report()
    assert report["stages"]["decode"]["count"] == 300 and report["threads"]["producer"]["count"] == 1
    assert len(meter._threads.every()) == 0 and list(meter._ended) == ["producer"]


def test_merged_tallies_keep_the_newest():
    old, new = Tally(), Tally()
    for _ in range(KEPT + 7):
        old.add(1.0)
    for _ in range(2 * KEPT - 5):
        new.add(2.0)
    old.merge(new)
    assert old.count == 3 * KEPT + 2 and old.wall == KEPT + 7 + 2 * (2 * KEPT - 5) and set(old.newest) == {2.0}
    few = Tally()
    few.add(5.0)
    old.merge(few)
    assert old.count == 3 * KEPT + 3 and list(old.newest)[-2:] == [2.0, 5.0] and len(old.newest) == KEPT


def test_measuring_from_many_threads_loses_nothing():
    meter, failures = Meter(), []

    def measure() -> None:
        for _ in range(5000):
            with meter.clock("read") as clock:
                clock.bytes = 10

    threads = [threading.Thread(target=measure, name=f"sonosphere-read-{i}") for i in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:
            meter.report()
        except Exception as error:
            failures.append(error)
    for thread in threads:
        thread.join()
    line = meter.report()["stages"]["read"]
    assert failures == [] and line["count"] == 20000 and line["bytes"] == 200000


def test_a_clock_counts_what_raised_and_lets_it_through():
    meter = Meter()
    with pytest.raises(KeyError), meter.clock("read"):
        raise KeyError
    assert meter.report()["stages"]["read"]["count"] == 1


def test_queues_by_the_threads_they_wait_for_and_by_their_stages():
    clockwork = Clockwork()
    meter = clockwork.meter()
    iterate(clockwork, meter, 1, wait=1, step=0)

    def work() -> None:
        for stage in ("decode", "rotate"):
            with meter.clock(stage, cpu=True):
                clockwork.spend(2.0, 1.0)

    in_thread("sonosphere-clip-0", work)
    for length in (0, 4, 8, 0):
        meter.queues({"clip": length, "read": 3})
    iterate(clockwork, meter, 1, wait=4, step=0)  # 8 s after the first one came
    report = meter.report()
    assert report["queues"] == {"clip": {"mean": 3.0, "empty": 0.5}, "read": {"mean": 3.0, "empty": 0.0}}
    decode = report["stages"]["decode"]
    assert decode["queue"] == 3.0 and decode["seconds"] == 1.0 and decode["wall_seconds"] == 2.0
    assert report["threads"]["clip"] == {"count": 1, "busy": pytest.approx(0.5)}
    assert decode["threads"] == pytest.approx(0.25) and list(report["stages"]) == ["decode", "rotate", "wait"]


def test_what_went_before_the_first_batch_is_no_evidence():
    clockwork = Clockwork()
    meter = clockwork.meter()
    in_thread("sonosphere-clip-0", lambda: meter.add("rotate", 60.0))  # compiling
    iterate(clockwork, meter, 11, wait=0.1, step=0.0)
    report = meter.report()
    assert report["threads"]["clip"]["busy"] == 0.0 and report["stages"]["rotate"]["seconds"] == 60.0


def test_a_report_is_json_and_complete_before_anything_happened():
    clockwork = Clockwork()
    empty, used = clockwork.meter().report(), clockwork.meter()
    iterate(clockwork, used, 12, wait=0.1, step=0.1)
    used.event("replaced", clip=np.int64(3))
    used.add("read", 0.1)
    full = json.loads(json.dumps(used.report()))
    assert set(json.loads(json.dumps(empty))) == set(full) and full["events"] == {"replaced": 1}
    assert empty["verdict_code"] == "nothing" and empty["stages"] == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sonosphere-clip-12", "clip"), ("sonosphere-producer", "producer"), ("MainThread", "MainThread"), ("7", "7"), ("a_1", "a")],
)
def test_groups_of_threads(name, expected):
    assert group(name) == expected
