"""An encoder must not change how the process is scheduled."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """This thread, and the threads that were started inside, are scheduled afterwards as this thread was before.

    SVT-AV1, run by root, as in most containers, tries whether it may have real-time priority by taking it (SCHED_FIFO, 99), and
    keeps it; and so do the threads and processes that are started from there. On two cores nothing else then runs.
    """
    if not hasattr(os, "sched_getscheduler") or not _TASKS.exists():  # not on Linux, where the encoder takes nothing either
        yield
        return
    policy, param, known = os.sched_getscheduler(0), os.sched_getparam(0), _threads()
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            for thread in (0, *(_threads() - known)):
                with suppress(ProcessLookupError):  # it has ended meanwhile
                    os.sched_setscheduler(thread, policy, param)


def _threads() -> set[int]:
    return {int(task.name) for task in _TASKS.iterdir()}
