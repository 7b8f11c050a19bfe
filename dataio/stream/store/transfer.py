"""A range of a file on its way into a buffer."""

from threading import Lock


class EndsError(Exception):
    """The file ends before the range does. end: its length, bytes."""

    def __init__(self, end: int) -> None:
        super().__init__(f"the file ends at byte {end}")
        self.end = end


class Transfer:
    """What has come stays when a connection breaks, and the next attempt goes on from there.

    start: of the range. size: of the range, bytes. done: of these, have come.
    """

    def __init__(self, view: memoryview, start: int) -> None:
        self._view = view
        self.start, self.size, self.done = start, len(view), 0
        self._attempt = 0
        self._lock = Lock()

    @property
    def at(self) -> int:
        """First byte that is still to come."""
        return self.start + self.done

    @property
    def stop(self) -> int:
        return self.start + self.size

    def begin(self) -> int:
        """A new attempt: from now on nothing comes from those before, however late they notice that they were given up."""
        with self._lock:
            self._attempt += 1
            return self._attempt

    end = begin  # then the buffer is somebody else's

    def put(self, attempt: int, data: bytes | memoryview) -> None:
        """The next bytes.

        Raises:
            OSError: more than were asked for. ConnectionAbortedError: the attempt was given up.
        """
        with self._lock:
            if attempt != self._attempt:
                raise ConnectionAbortedError("nobody waits for these bytes any more")
            if len(data) > self.size - self.done:
                raise OSError(f"the storage sends more than the {self.size - self.done} bytes that were asked for")
            self._view[self.done : self.done + len(data)] = data
            self.done += len(data)
