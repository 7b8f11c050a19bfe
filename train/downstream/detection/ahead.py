"""Reading ahead: threads work on what comes next while the caller is busy with what came before."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Done = TypeVar("Done")


def read_ahead(load: Callable[[Job], Done], jobs: Iterable[Job], *, threads: int, depth: int) -> Iterator[Done]:
    """`load(job)` for each job, in their order, of which up to `depth` are begun or waiting before they are asked for.

    The threads end with the iterator: close it (`contextlib.closing`) where it is left before its end.

    Raises:
        whatever `load` raised, when its turn comes.
    """
    pending: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="sonosphere-coco") as pool:
        try:
            for job in jobs:
                pending.append(pool.submit(load, job))
                if len(pending) > depth:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
