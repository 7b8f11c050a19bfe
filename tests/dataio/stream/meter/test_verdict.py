"""The sentence that is drawn from a pipeline, simulated by clocks that are moved by hand."""

from dataclasses import replace

import pytest

from dataio.stream.meter.verdict import Evidence, Group, bottleneck, judge
from tests.dataio.stream.meter.clockwork import Clockwork, in_thread, iterate

CLIP = Group("clip", 2, {"read": 1.0, "decode": 12.0, "rotate": 3.0, "spectrogram": 2.0}, 17.0, 16.0, 20.0, 0.1)
READ = Group("read", 4, {"read": 39.0}, queue=30.0, empty=0.0)
SLOW = Evidence(batches=100, elapsed=10.0, waited=6.0, ready=0.05, groups=(CLIP,), cores=2)


def test_a_fast_loader_is_not_blamed():
    clockwork = Clockwork()
    meter = clockwork.meter()
    iterate(clockwork, meter, 20, wait=0.001, step=0.099, occupancy=1.0)
    report = meter.report()
    assert report["verdict_code"] == "consumer-bound"
    assert "the consumer sets the pace" in report["verdict"] and "1.0%" in report["verdict"]


@pytest.mark.parametrize("slowest", ["read", "decode", "rotate", "spectrogram", "maps"])
def test_a_slow_loader_is_told_its_largest_stage(slowest):
    clockwork = Clockwork()
    meter = clockwork.meter(cores=4)
    meter.delivered(4, 0.0, clockwork.wall)

    def clips() -> None:
        for _ in range(12):
            asked = clockwork.wall
            for stage in ("read", "decode", "rotate", "spectrogram", "maps"):
                with meter.clock(stage, cpu=stage != "read"):
                    clockwork.spend(0.06 if stage == slowest else 0.01)
            meter.queues({"clip": 3})
            meter.delivered(4, 0.0, asked)

    in_thread("sonosphere-clip-0", clips)
    report = meter.report()
    assert report["verdict_code"] == ("read-bound-local" if slowest == "read" else f"{slowest}-bound")
    assert f"{slowest} is the largest stage with 60% of the work of 1 clip thread, busy 100%" in report["verdict"]
    assert "waits for data 100% of the time" in report["verdict"]


def test_waiting_little_although_the_queue_is_full_is_no_fault_of_the_loader():
    assert judge(replace(SLOW, waited=0.4, ready=0.97)).code == "consumer-bound"
    assert judge(replace(SLOW, waited=0.4, ready=0.5)).code == "decode-bound"
    assert judge(replace(SLOW, waited=3.0, ready=0.97)).code == "decode-bound"  # it comes in bursts, which hurt


def test_nothing_is_said_too_early():
    assert judge(replace(SLOW, batches=0, elapsed=0.0, started=False)).code == "nothing"
    assert judge(replace(SLOW, batches=0, elapsed=0.0)).code == "start-up"
    early = judge(replace(SLOW, batches=3))
    assert early.code == "start-up" and "3 batches" in early.text and "waited 60%" in early.text
    assert judge(replace(SLOW, groups=())).code == "unknown"


def test_more_threads_are_advised_only_where_there_are_cores():
    assert "threads=" not in judge(SLOW).text
    assert "8 cores (threads=)" in judge(replace(SLOW, cores=8)).text


def test_going_upstream_the_first_queue_that_is_not_empty_names_the_limit():
    hungry = replace(CLIP, queue=0.1, empty=0.9)
    assert bottleneck([READ, CLIP], 10.0) is CLIP
    assert bottleneck([READ, hungry], 10.0) is READ
    producer = Group("producer", 1, {"decode": 9.5})
    assert bottleneck([READ, CLIP, producer], 10.0) is producer
    assert bottleneck([READ, CLIP, replace(producer, seconds={"decode": 2.0})], 10.0) is CLIP
    assert bottleneck([], 10.0) is None and bottleneck([Group("clip", 2)], 10.0) is None


def test_reading_is_blamed_by_where_it_reads():
    hungry = replace(CLIP, queue=0.0, empty=1.0)
    local, remote = (judge(replace(SLOW, groups=(READ, hungry), remote=remote)) for remote in (False, True))
    assert local.code == "read-bound-local" and "faster disk" in local.text
    assert remote.code == "read-bound-remote" and "cache=" in remote.text and "readers=" in remote.text


def test_threads_that_wait_for_cores():
    crowded = replace(CLIP, timed=17.0, worked=7.0)
    verdict = judge(replace(SLOW, groups=(crowded,)))
    assert verdict.code == "cpu-starved" and "2.4 times their processor time" in verdict.text and "2 cores" in verdict.text
    # kernels that hardly matter do not decide
    reading = replace(CLIP, seconds={"read": 18.0, "rotate": 1.0}, timed=1.0, worked=0.1)
    assert judge(replace(SLOW, groups=(reading,))).code == "read-bound-local"


def test_threads_without_work():
    idle = replace(CLIP, threads=16, queue=0.0, empty=1.0)
    verdict = judge(replace(SLOW, groups=(idle,)))
    assert verdict.code == "work-starved" and "16 clip threads are at work only 11%" in verdict.text and "prefetch=" in verdict.text


def test_threads_whose_time_goes_by_between_the_stages():
    verdict = judge(replace(SLOW, groups=(replace(CLIP, threads=5),)))
    assert verdict.code == "overhead-bound" and "take only 36% of their time" in verdict.text and "interpreter" in verdict.text


def test_processor_time_reaches_the_verdict():
    clockwork = Clockwork()
    meter = clockwork.meter(cores=1)
    meter.delivered(4, 0.0, clockwork.wall)

    def clips() -> None:
        for _ in range(12):
            asked = clockwork.wall
            with meter.clock("rotate", cpu=True):
                clockwork.spend(0.3, 0.1)
            meter.queues({"clip": 3})
            meter.delivered(4, 0.0, asked)

    in_thread("sonosphere-clip-0", clips)
    assert meter.report()["verdict_code"] == "cpu-starved"


@pytest.mark.parametrize(
    "evidence",
    [
        SLOW,
        replace(SLOW, cores=8),
        replace(SLOW, batches=1),
        replace(SLOW, batches=0),
        replace(SLOW, groups=()),
        replace(SLOW, remote=True, groups=(READ,)),
        replace(SLOW, waited=0.0),
        replace(SLOW, groups=(replace(CLIP, threads=5),)),
        replace(SLOW, groups=(replace(CLIP, threads=5, empty=1.0),)),
        replace(SLOW, groups=(replace(CLIP, worked=2.0),)),
        replace(SLOW, groups=(Group("x", 1, {"other": 9.0}),)),
    ],
)
def test_verdicts_are_one_sentence(evidence):
    text = judge(evidence).text
    assert "\n" not in text and not text.endswith(".") and ". " not in text.replace("0. ", "") and len(text) < 320
