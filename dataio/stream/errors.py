"""What a loader raises when the data, and not the program or the storage, are wrong."""


class CorruptClipError(ValueError):
    """A member does not match its checksum, is not what the index says, or cannot be decoded.

    shard, key, extension, offset (of the member, bytes into the tar) tell where.
    """

    def __init__(self, shard: str, key: str, extension: str, offset: int, reason: str) -> None:
        super().__init__(f"{shard}, byte {offset}, {key}.{extension}: {reason}")
        self.shard, self.key, self.extension, self.offset, self.reason = shard, key, extension, offset, reason
