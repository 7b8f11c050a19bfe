"""Errors of the storage can be told apart, and travel between processes."""

import pickle

import pytest

from dataio.stream.store.errors import CutShortError, ReadError, ShardMissingError, StalledError


@pytest.mark.parametrize(
    ("kind", "also"),
    [(ReadError, OSError), (ShardMissingError, FileNotFoundError), (StalledError, TimeoutError), (CutShortError, ReadError)],
)
def test_an_error_knows_its_place(kind: type[ReadError], also: type[Exception]) -> None:
    error = kind("one sentence", "clips-000001", 7)
    assert isinstance(error, ReadError) and isinstance(error, also) and isinstance(error, OSError)
    assert (str(error), error.shard, error.offset) == ("one sentence", "clips-000001", 7)
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.shard, back.offset) == (kind, "one sentence", "clips-000001", 7)


def test_a_shard_that_is_cut_short_says_where_it_ends() -> None:
    assert pickle.loads(pickle.dumps(CutShortError("x", "s", 5, 3))).end == 3
