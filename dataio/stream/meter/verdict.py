"""Who sets the pace, in one sentence and one word, and what one can do about it.

Going upstream from the consumer, the first queue that is not empty names the limit: whoever takes from it cannot keep up (SPDL's
rule). Where no queue tells, the threads do: those that set the pace are busy all the time (the utilisation law of queueing
networks).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

AHEAD = 0.02  # share of the time spent waiting below which the loader counts as fast enough
FULL = 0.9  # occupancy of finished batches from which on it does too, unless the waiting is noticeable
NOTICED = 0.05
FEW = 8  # batches after the first that are too few to say anything
BUSY = 0.7  # share of their time from which on threads count as fully used; the rest goes by between clips
IDLE = 0.5  # below this share, what is between the clips is the larger part
STARVED = 1.5  # times its processor time that a kernel takes when it must wait for cores
DOWNSTREAM = ("producer", "clip", "read")  # the threads of a loader, from the consumer's end

_ADVICE = {
    "read": "keep the shards on a faster disk, ask for fewer fields, or let more threads read (readers=)",
    "decode": "ask for fewer frames, or build shards of JPEGs no larger than the size that is asked for",
    "rotate": "ask for fewer frames or a smaller size",
    "spectrogram": "ask for fewer pairs or shorter sound (sound_seconds=)",
    "maps": "ask for fewer of flow, mask and labels",
    "views": "ask for smaller views",
    "copy": "ask for fewer or smaller fields, or for dtype='float16'",
}
_REMOTE = "keep a cache on this machine (cache=), let more threads read (readers=), or move the shards nearer"


@dataclass(frozen=True)
class Group:
    """Threads that do the same work, and what they did while the consumer iterated.

    threads: that lived at the same time. seconds: by the wall clock, by stage. timed, worked: wall and processor seconds of the
    stages for which both were measured. queue: clips that waited before these threads, mean. empty: share of the samples
    that found none.
    """

    name: str
    threads: int
    seconds: dict[str, float] = field(default_factory=dict)
    timed: float = 0.0
    worked: float = 0.0
    queue: float | None = None
    empty: float | None = None

    def busy(self, elapsed: float) -> float:
        """Share of their time that these threads were at work, 0 … 1: what they began in a pause may count twice."""
        return min(1.0, sum(self.seconds.values()) / (self.threads * elapsed)) if elapsed > 0 else 0.0


@dataclass(frozen=True)
class Evidence:
    """What a verdict is drawn from.

    batches: delivered after the first. elapsed: seconds in which somebody iterated. waited: of them, for data. ready: occupancy of
    the queue of finished batches, 0 … 1. started: whether there was a first batch. cores: that this process may use.
    """

    batches: int
    elapsed: float
    waited: float
    ready: float
    groups: Sequence[Group] = ()
    remote: bool = False
    cores: int = 1
    started: bool = True


@dataclass(frozen=True)
class Verdict:
    """code: `nothing`, `start-up`, `consumer-bound`, `cpu-starved`, `work-starved`, `overhead-bound`, `unknown`, or a stage with
    `-bound`, where reading is `read-bound-local` or `read-bound-remote`. text: one sentence.
    """

    code: str
    text: str


def judge(e: Evidence) -> Verdict:
    """Deterministic: the same evidence gives the same sentence."""
    if not e.batches or e.elapsed <= 0:
        if e.started and not e.batches:
            return Verdict("start-up", "one batch was delivered and waited for, which is too few to say what sets the pace")
        return Verdict("nothing", "nothing was delivered yet, so nothing can be said")
    share = e.waited / e.elapsed
    if e.batches < FEW:
        seen = f"{e.batches} batch{'es' if e.batches > 1 else ''} after the first"
        return Verdict("start-up", f"the consumer waited {share:.0%} of the time, but {seen} are too few to say what sets the pace")
    if share < AHEAD or (e.ready >= FULL and share < NOTICED):
        reason = f"it waits for data {share:.1%} of the time, so a faster loader would gain nothing"
        return Verdict("consumer-bound", f"the consumer sets the pace: {reason}")
    waits = f"the consumer waits for data {share:.0%} of the time"
    limit = bottleneck(e.groups, e.elapsed)
    if limit is None:
        return Verdict("unknown", f"{waits}; no stage was measured, so what it waits for cannot be said")
    code, why = _blame(limit, e)
    return Verdict(code, f"{waits}; {why}")


def bottleneck(groups: Sequence[Group], elapsed: float) -> Group | None:
    """The threads that cannot keep up; None where none were measured."""
    working = [group for group in groups if sum(group.seconds.values()) > 0]
    order = {name: i for i, name in enumerate(DOWNSTREAM)}
    for group in sorted(working, key=lambda g: (order.get(g.name, len(order)), g.name)):
        if group.empty is not None and group.empty >= 0.5:
            continue  # these starve themselves
        if group.empty is not None or group.busy(elapsed) >= BUSY:
            return group
    return max(working, key=lambda g: g.busy(elapsed), default=None)


def _blame(limit: Group, e: Evidence) -> tuple[str, str]:
    """Code, and the part of the sentence that says why and what to do."""
    total, busy = sum(limit.seconds.values()), limit.busy(e.elapsed)
    stage = max(sorted(limit.seconds), key=lambda name: limit.seconds[name])
    part = limit.seconds[stage] / total
    threads = f"{limit.threads} {limit.name} thread{'s' if limit.threads > 1 else ''}"
    if busy < BUSY and not (limit.empty is not None and limit.empty < 0.5):
        used = f"its {threads} are at work only {busy:.0%} of the time"
        return "work-starved", f"{used} and idle otherwise: larger batches or a larger prefetch= would give them more to do"
    if busy < IDLE:
        return "overhead-bound", (
            f"clips wait for its {threads}, but the stages take only {busy:.0%} of their time: the rest goes by in the "
            f"interpreter, which the training step may be keeping busy, or the clips are too small for so many threads"
        )
    if limit.timed >= 0.3 * total and limit.timed > STARVED * limit.worked:
        longer = f"kernels take {limit.timed / max(limit.worked, 1e-9):.1f} times their processor time"
        cores = f"{e.cores} core{'s' if e.cores > 1 else ''}"
        return "cpu-starved", (
            f"{longer}, because more threads want to compute than cores are free ({cores} here): use fewer threads=, or leave this "
            f"machine to itself; {stage} is the largest stage with {part:.0%} of the loader's work"
        )
    where = f"{stage} is the largest stage with {part:.0%} of the work of {threads}, busy {busy:.0%} of the time"
    code = f"{stage}-bound"
    advice = _ADVICE.get(stage, "make that stage cheaper")
    if stage == "read":
        code += "-remote" if e.remote else "-local"
        advice = _REMOTE if e.remote else advice
    elif limit.name == "clip" and limit.threads < e.cores:
        advice += f", or give it more of the {e.cores} cores (threads=)"
    return code, f"{where}: {advice}"
