"""A file with the time of every stage of every clip, which ui.perfetto.dev and chrome://tracing open.

The format is Chrome's JSON array of trace events ("Trace Event Format"): one complete event (`X`) per measurement, with its start
and duration in microseconds, counters (`C`) for queues, instants (`i`) for what happened, metadata (`M`) for names. The array may
lack its closing bracket, so a run that was killed leaves a file that opens. Times are those of the machine's monotonic clock: the
files of several ranks of one machine line up.
"""

import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

_CHUNK = 2048  # events that are written at once
_SECONDS = 1.0  # after which they are written even if they are fewer, so that a killed run leaves its last moments
_PATIENCE = 5.0  # seconds that closing waits for a thread which is writing
_WAITING = 32 * _CHUNK  # events in memory at most, while the disk does not keep up


class Trace:
    """Writes events to a file, until `limit` of them were written, the disk fails, or it is closed; none of this stops the run.

    Args:
        path: of the file of rank 0; rank r writes beside it, `trace.json` → `trace.rank3.json`.
        rank: the process, as Perfetto shows it.
        limit: events at most; a million are about 120 MB.

    Raises:
        OSError: the file cannot be made.

    `dropped` counts events that came too late, or while the disk did not keep up; `note` says why the trace is not whole, if so.
    """

    def __init__(
        self, path: str | Path, rank: int = 0, *, limit: int = 5_000_000, now: Callable[[], float] = time.perf_counter
    ) -> None:
        if limit < 1:
            raise ValueError(f"limit={limit} must be at least 1 event")
        self.path = beside(Path(path), rank)
        self.limit, self.rank = limit, rank
        self.events = self.dropped = 0
        self.note = ""
        self._now = now
        self._numbers, self._tracks = itertools.count(1), 0
        self._due = now() + _SECONDS
        self._local = threading.local()
        self._waiting: list[str] = []
        # re-entrant, because the collector may run a finalizer that closes the trace while this thread holds it
        self._lock = threading.RLock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] | None = self.path.open("wb", buffering=0)
        self._write(b"[\n" + self._named("process_name", 0, f"rank {rank}").encode())

    def span(
        self, name: str, start: float, end: float, *, cpu: tuple[float, float] | None = None, clip: int = -1, shard: str = ""
    ) -> None:
        """One measurement in the calling thread. start, end: of `now`. cpu: the same in processor time of the thread."""
        if self._file is None:  # before any work is done for it
            self.dropped += 1
            return
        begin, finish = _ns(start), _ns(end)  # whole nanoseconds, so that what was nested stays nested
        more = f',"tts":{_us(_ns(cpu[0]))},"tdur":{_us(_ns(cpu[1]) - _ns(cpu[0]))}' if cpu is not None else ""
        if clip >= 0:
            more += f',"args":{{"clip":{clip},"shard":{_quoted(shard)}}}' if shard else f',"args":{{"clip":{clip}}}'
        elif shard:
            more += f',"args":{{"shard":{_quoted(shard)}}}'
        self._add(f'{{"ph":"X","name":{_quoted(name)},"ts":{_us(begin)},"dur":{_us(finish - begin)},{self._where()}{more}}}')

    def counter(self, name: str, value: float) -> None:
        """The length of a queue, or another quantity, as it is now."""
        at = _us(_ns(self._now()))
        self._add(f'{{"ph":"C","name":{_quoted(name)},"ts":{at},"pid":{self.rank},"args":{{"value":{value:g}}}}}')

    def instant(self, name: str, args: Mapping[str, object] = {}) -> None:
        """Something that happened in the calling thread, now."""
        at = _us(_ns(self._now()))
        more = f',"args":{json.dumps(args, default=str)}' if args else ""
        self._add(f'{{"ph":"i","s":"t","name":{_quoted(name)},"ts":{at},{self._where()}{more}}}')

    def _where(self) -> str:
        """Process and track of the calling thread. Tracks are numbered here, as the system uses its own numbers again."""
        try:
            return self._local.where
        except AttributeError:
            self._tracks = track = next(self._numbers)
            self._local.where = f'"pid":{self.rank},"tid":{track}'
            self._waiting.append(self._named("thread_name", track, threading.current_thread().name))
            return self._local.where

    def _named(self, kind: str, track: int, name: str) -> str:
        return f'{{"ph":"M","name":"{kind}","pid":{self.rank},"tid":{track},"args":{{"name":{_quoted(name)}}}}}'

    def _add(self, event: str) -> None:
        if self._file is None or self.events + len(self._waiting) >= self.limit + self._tracks:
            self._refuse()
            return
        self._waiting.append(event)
        due = len(self._waiting) >= _CHUNK or self._now() >= self._due
        if due and self._lock.acquire(blocking=False):  # another thread is writing: leave it to that one
            try:
                self._flush()
            finally:
                self._lock.release()
        elif len(self._waiting) > _WAITING:
            self._waiting.pop()
            self.dropped += 1

    def _refuse(self) -> None:
        self.dropped += 1
        with self._lock:
            if self._file is not None and not self.note:
                self.note = f"the trace {self.path} ends at its limit of {self.limit} events"
                print(f"sonosphere: {self.note}", file=sys.stderr)
                self.close()

    def _flush(self) -> None:
        count, self._due = len(self._waiting), self._now() + _SECONDS
        chunk, self._waiting[:count] = self._waiting[:count], []
        self.events += count
        if chunk:
            self._write(b",\n" + ",\n".join(chunk).encode())

    def _write(self, data: bytes) -> None:
        if self._file is None:
            return
        file, left = self._file, memoryview(data)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            self.note = f"the trace {self.path} is cut short: {error.strerror or error}"
            print(f"sonosphere: {self.note}", file=sys.stderr)
            self._file = None
            with suppress(OSError):
                file.close()

    def report(self) -> dict[str, object]:
        """`path`, `events` written or about to be, `dropped`, `note`."""
        return {"path": str(self.path), "events": self.events + len(self._waiting), "dropped": self.dropped, "note": self.note}

    def close(self) -> None:
        """Write what is left and end the file; whatever comes later is dropped. A disk that hangs keeps nobody from closing."""
        if not self._lock.acquire(timeout=_PATIENCE):
            return
        try:
            self._flush()
            if self.note:
                self._write(b",\n" + self._ending().encode())
            self._write(b"\n]\n")
            file, self._file = self._file, None
            if file is not None:
                file.close()
        finally:
            self._lock.release()

    def _ending(self) -> str:
        args = json.dumps({"note": self.note})
        return f'{{"ph":"i","s":"g","name":"trace ends","ts":{_us(_ns(self._now()))},"pid":{self.rank},"tid":0,"args":{args}}}'


def beside(path: Path, rank: int) -> Path:
    """The file of a rank."""
    return path if rank == 0 else path.with_name(f"{path.stem}.rank{rank}{path.suffix}")


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _us(ns: int) -> str:
    return f"{ns // 1000}.{ns % 1000:03d}"


@lru_cache(maxsize=256)
def _quoted(text: str) -> str:
    return json.dumps(text)
