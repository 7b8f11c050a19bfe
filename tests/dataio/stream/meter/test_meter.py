"""What the clocks add up to, and the sentence that is drawn from them."""

import time

from dataio.stream.meter import Meter


def driven(wait: float, step: float, batches: int = 20) -> Meter:
    """A meter as it stands after batches of 4 clips that were waited for and then used for so many seconds, by a made-up clock."""
    meter = Meter()
    meter.began, meter.first_clips, meter.clips = 0.0, 4, 4
    for i in range(1, batches + 1):
        meter.add("wait", wait)
        meter.add("decode", 0.03)
        meter.add("rotate", 0.01)
        meter.ended, meter.clips = i * (wait + step), meter.clips + 4
    return meter


def test_a_fast_loader_is_not_blamed():
    report = driven(wait=0.001, step=0.1).report()
    assert "the consumer sets the pace" in report["verdict"] and "1.0%" in report["verdict"]


def test_a_slow_loader_is_told_its_largest_stage():
    report = driven(wait=0.05, step=0.05).report()
    assert "waits for data 50% of the time" in report["verdict"] and "decode is the largest stage with 75%" in report["verdict"]
    assert abs(report["clips_per_second"] - 40) < 1e-6


def test_percentiles():
    meter = Meter()
    for i in range(100):
        meter.add("read", (i + 1) / 1000)
    stage = meter.report()["stages"]["read"]
    assert abs(stage["median_ms"] - 50.5) < 1e-6 and 95 <= stage["p95_ms"] <= 97 and stage["count"] == 100


def test_the_first_batch_counts_apart():
    meter = Meter()
    meter.delivered(8, 0.0, time.perf_counter() - 5)
    meter.delivered(8, 1.0, time.perf_counter())
    report = meter.report()
    assert report["first_batch_seconds"] >= 5 and report["stages"]["wait"]["count"] == 1
    assert report["clips"] == 16 and report["queue_occupancy"] == 1.0 and report["stages"]["wait"]["seconds"] < 1


def test_processor_time_leaves_waiting_out():
    meter = Meter()
    with meter.clock("rotate", cpu=True):
        time.sleep(0.05)
    with meter.clock("read"):
        time.sleep(0.05)
    stages = meter.report()["stages"]
    assert stages["rotate"]["seconds"] < 0.025 < 0.05 <= stages["read"]["seconds"]
