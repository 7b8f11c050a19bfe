"""What the storage can do to a run. A fault of the data is no such error: see `dataio/stream/errors.py`."""


class ReadError(OSError):
    """The storage failed, and trying again did not help; or it says what trying again would not change.

    The message is one sentence without secrets. shard: name, without `.tar`. offset: byte of it that was wanted.
    """

    def __init__(self, message: str, shard: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.shard, self.offset = shard, offset


class ShardMissingError(ReadError, FileNotFoundError):
    """A file that the manifest names is not there."""


class StalledError(ReadError, TimeoutError):
    """The bytes did not come within the deadline: the storage does not answer, or is too slow."""


class CutShortError(ReadError):
    """The file ends before the index promises. end: byte at which it ends."""

    def __init__(self, message: str, shard: str = "", offset: int = 0, end: int = 0) -> None:
        super().__init__(message, shard, offset)
        self.end = end
