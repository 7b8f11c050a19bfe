"""Opening a shard set, wherever it lies."""

from pathlib import Path

from dataio.stream.store.store import Cache, Store


def open_store(
    place: str | Path, *, cache: Cache | None = None, deadline: float = 60.0, indexes: int = 64, threads: int = 2
) -> Store:
    """The shard set at a path of this machine, or at a URL (`s3://bucket/set`, `https://host/set`, … whatever fsspec knows).

    Args:
        cache: for a remote set, or for a path on a slow network file system.
        deadline: seconds that one read may take, with all its attempts.
        indexes: of shards, kept in memory at most.
        threads: that fetch ahead.

    Raises:
        FileNotFoundError: there is no finished set. FormatError: its manifest is damaged. OSError: the storage failed.
        ValueError: an address that cannot be read from. RuntimeError: a package is missing.
    """
    remote = "://" in str(place)
    if not remote and cache is None:
        from dataio.stream.store.local import LocalStore

        return LocalStore(Path(place), indexes=indexes, deadline=deadline)
    from dataio.stream.store.remote import RemoteStore

    url = str(place) if remote else Path(place).absolute().as_uri()
    return RemoteStore(url, cache=cache, deadline=deadline, indexes=indexes, threads=threads)
