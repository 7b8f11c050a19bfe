"""The order of the stream: each set in its own order, in exact shares, the same from wherever it is asked."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.stream.order import steps as cutting
from dataio.stream.order.epoch import plan
from dataio.stream.order.mixture import Order, Source
from dataio.stream.order.quota import STRAY

SIZES = st.lists(st.integers(0, 25), min_size=1, max_size=20).filter(any)


def source(sizes: list[int], name: str = "set", shards: list[int] | None = None) -> Source:
    rows = np.arange(len(sizes)) if shards is None else np.array(shards)
    return Source(name, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), rows)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    sets = draw(st.lists(SIZES, min_size=1, max_size=4))
    shares = draw(st.none() | st.lists(st.integers(1, 9), min_size=len(sets), max_size=len(sets)))
    sources = [source(sizes, f"set {i}") for i, sizes in enumerate(sets)]
    return Order(sources, seed=3, window=draw(st.integers(1, 6)), shares=shares)


def stream(order: Order, epoch: int, positions: np.ndarray) -> np.ndarray:
    """(n, 3): source, its epoch, clip."""
    places = order.places(epoch, positions)
    found = np.empty((len(positions), 3), np.int64)
    found[:, 0] = places.source
    for i in range(len(order.sources)):
        at = places.source == i
        found[at, 1], found[at, 2] = order.clips(i, places.turn[at])
    return found


def whole(order: Order, epochs: int) -> np.ndarray:
    return np.concatenate([stream(order, e, np.arange(len(order))) for e in range(epochs)])


@settings(deadline=None)
@given(SIZES, st.integers(0, 3), st.integers(1, 6), st.booleans(), st.sampled_from([None, [3.5]]))
def test_one_set_goes_as_it_always_went(sizes, seed, window, shuffle, shares):
    one = source(sizes)
    order = Order([one], seed=seed, window=window, shuffle=shuffle, shares=shares)
    for e in range(3):
        expected = plan(one.first_clip, one.shards, "set", seed, e, window, shuffle)
        found = stream(order, e, np.arange(len(order)))
        assert len(order) == len(expected)
        assert np.array_equal(found[:, 2], expected.clips(np.arange(len(expected))))
        assert (found[:, 1] == e).all()


@settings(deadline=None)
@given(orders())
def test_every_clip_of_a_set_once_in_each_of_its_own_epochs(order):
    found = whole(order, 3)
    for i, s in enumerate(order.sources):
        mine = found[found[:, 0] == i]
        assert len(mine) == 3 * order.counts[i]
        assert np.array_equal(mine[:, 1], np.arange(len(mine)) // s.clips)
        for e in range(len(mine) // s.clips):
            assert np.array_equal(np.sort(mine[mine[:, 1] == e][:, 2]), np.arange(s.clips))
        rest = mine[len(mine) // s.clips * s.clips :, 2]
        assert len(set(rest.tolist())) == len(rest)


@settings(deadline=None)
@given(orders())
def test_shares_are_exact_over_an_epoch_and_near_all_along(order):
    source_of = order.places(2, np.arange(len(order))).source
    assert np.array_equal(np.bincount(source_of, minlength=len(order.sources)), order.counts)
    assert order.counts.sum() == len(order) == sum(s.clips for s in order.sources)
    for i, count in enumerate(order.counts):
        had = np.cumsum(source_of == i)
        assert np.abs(had - np.arange(1, len(order) + 1) * count / len(order)).max() < STRAY


def test_without_shares_every_clip_of_every_set_once_an_epoch():
    order = Order([source([5, 9], "a"), source([30], "b"), source([2, 2, 2], "c")], seed=0, window=2)
    for e in range(2):
        found = stream(order, e, np.arange(50))
        assert (found[:, 1] == e).all() and len({tuple(row) for row in found[:, [0, 2]].tolist()}) == 50


@settings(deadline=None)
@given(orders(), st.data())
def test_the_same_however_it_is_asked(order, data):
    epoch = data.draw(st.integers(0, 5))
    every = stream(order, epoch, np.arange(len(order)))
    some = data.draw(st.lists(st.integers(0, len(order) - 1), max_size=15))
    assert np.array_equal(stream(order, epoch, np.array(some, np.int64)), every[some])


@settings(deadline=None)
@given(st.lists(SIZES, min_size=1, max_size=3), st.integers(0, 3), st.integers(1, 6), st.data())
def test_nothing_hangs_on_what_was_asked_before(sets, seed, window, data):
    sources = [source(sizes, f"set {i}") for i, sizes in enumerate(sets)]
    shares = [i + 1 for i in range(len(sets))]
    one, other = (Order(sources, seed=seed, window=window, shares=shares) for _ in range(2))
    places = data.draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, len(one) - 1)), max_size=20))
    for epoch, position in places:
        stream(one, epoch, np.array([position]))
        one.shards_ahead(epoch, position, 9)
    for epoch, position in reversed(places):
        assert np.array_equal(stream(one, epoch, np.array([position])), stream(other, epoch, np.array([position])))
        assert one.shards_ahead(epoch, position, 9) == other.shards_ahead(epoch, position, 9)


@settings(deadline=None, max_examples=50)
@given(orders(), st.integers(1, 7), st.sampled_from([1, 2, 3, 4, 8]), st.data())
def test_ranks_and_batches_only_cut_and_it_goes_on_anywhere(order, batch, world, data):
    epoch, every = 1, stream(order, 1, np.arange(len(order)))

    def steps(start: int, batch: int, world: int) -> np.ndarray:
        parts = [
            cutting.cut(len(order), position, batch, rank, world, "partial")
            for position in range(start, len(order), batch * world)
            for rank in range(world)
        ]
        return stream(order, epoch, np.concatenate([np.zeros(0, np.int64), *parts]))

    assert np.array_equal(steps(0, batch, world), every)
    start = data.draw(st.integers(0, len(order)))
    assert np.array_equal(steps(start, data.draw(st.integers(1, 9)), data.draw(st.integers(1, 8))), every[start:])


@settings(deadline=None)
@given(orders(), st.data())
def test_windows(order, data):
    i = data.draw(st.sampled_from([i for i, count in enumerate(order.counts) if count]))
    turn = data.draw(st.integers(0, 3 * order.sources[i].clips - 1))
    window = order.window(i, turn)
    (epoch,), (clip,) = order.clips(i, np.array([turn]))
    assert window.name == (i, epoch, window.number) and hash(window.name)
    begin = turn - window.ids.tolist().index(clip)
    turns = np.arange(begin, begin + len(window.ids))
    assert np.array_equal(order.clips(i, turns)[1], window.ids)  # in order
    assert {order.window(i, t).name for t in turns.tolist()} == {window.name}
    first = order.sources[i].first_clip
    of_shards = np.concatenate([np.arange(first[s], first[s + 1]) for s in window.shards])
    assert np.array_equal(np.sort(window.ids), np.sort(of_shards))
    with pytest.raises(ValueError, match="read-only"):
        window.ids[0] = 0


def reads(order: Order, epoch: int, position: int, epochs: int) -> list[tuple[tuple[int, int, int], tuple[int, int]]]:
    """(window, (source, shard)) of every clip from there on."""
    found = []
    for e in range(epoch, epoch + epochs):
        places = order.places(e, np.arange(position if e == epoch else 0, len(order)))
        for i, turn in zip(places.source.tolist(), places.turn.tolist(), strict=True):
            clip = int(order.clips(i, np.array([turn]))[1][0])
            shard = int(np.searchsorted(order.sources[i].first_clip, clip, side="right")) - 1
            found.append((order.window(i, turn).name, (i, shard)))
    return found


@settings(deadline=None, max_examples=60)
@given(orders(), st.integers(0, 2), st.data())
def test_shards_ahead_are_those_that_will_be_read(order, epoch, data):
    position, count = data.draw(st.integers(0, len(order))), data.draw(st.integers(0, 30))
    ahead = order.shards_ahead(epoch, position, count)
    assert len(set(ahead)) == len(ahead) <= count
    expected: dict[tuple[int, int], tuple[int, int, int]] = {}  # shard → the window that needs it first
    windows: dict[tuple[int, int, int], int] = {}
    for window, shard in reads(order, epoch, position, 4):
        windows.setdefault(window, len(windows))
        expected.setdefault(shard, window)
    if len(ahead) < count and all(4 * c >= 2 * s.clips for c, s in zip(order.counts, order.sources, strict=True)):
        assert set(ahead) == set(expected)  # it runs out only where there are no more
    needed = [windows[expected[shard]] for shard in ahead if shard in expected]
    assert needed == sorted(needed)
    if len(needed) == len(ahead):  # and none is left out
        full = [shard for shard in expected if windows[expected[shard]] < (needed[-1] if needed else 0)]
        assert set(full) <= set(ahead)


def test_shards_ahead_of_one_set_across_its_epochs():
    order = Order([source([10] * 12)], seed=1, window=4)
    position = 77  # in the second window
    rest = order.window(0, position).ids[37:] // 10
    first_need = list(dict.fromkeys(rest.tolist()))
    third = order.window(0, 80).shards.tolist()
    ahead = order.shards_ahead(0, position, 100)
    assert ahead[: len(first_need) + 4] == [(0, s) for s in first_need + third]
    assert sorted(ahead) == [(0, s) for s in range(12)]
    assert order.shards_ahead(0, 120, 4) == order.shards_ahead(1, 0, 4) == [(0, s) for s in order.window(0, 120).shards.tolist()]


def test_a_small_set_that_comes_round_often_costs_no_time():
    """Its few shards are listed once; the rest of the list belongs to the other one."""
    order = Order([source([1], "tiny"), source([3] * 50_000, "big")], seed=0, window=4, shares=[0.999, 0.001])
    ahead = order.shards_ahead(0, 5, 40)
    assert len(ahead) == 40 and ahead.count((0, 0)) == 1


def test_shards_without_clips_are_never_ahead():
    order = Order([source([0, 5, 0, 0, 5, 0])], seed=0, window=2)
    assert sorted(order.shards_ahead(0, 0, 10)) == [(0, 1), (0, 4)]


def test_a_shard_named_twice_is_ahead_once():
    order = Order([source([3, 4], shards=[1, 0, 1])], seed=0, window=1)
    assert sorted(order.shards_ahead(0, 0, 10)) == [(0, 0), (0, 1)]


def test_what_cannot_be():
    a, b = source([5], "a"), source([5, 5], "b")
    for arguments, match in [
        ({"window": 0}, "window=0"),
        ({"shares": [1.0]}, "2 are needed"),
        ({"shares": [0.5, float("nan")]}, "finite"),
    ]:
        with pytest.raises(ValueError, match=match):
            Order([a, b], **({"seed": 0, "window": 4} | arguments))
    with pytest.raises(ValueError, match="set 1 has no clips"):
        Order([a, source([], "empty")], seed=0, window=4, shares=[1, 1])
    with pytest.raises(ValueError, match="sets 0 and 1"):
        Order([b, source([5, 5], "b", [1])], seed=0, window=4)
    assert len(Order([source([5, 5], "b", [0]), source([5, 5], "b", [1])], seed=0, window=4)) == 10  # two splits of one set


def test_nothing_to_give():
    order = Order([source([])], seed=0, window=4)
    assert len(order) == 0 and order.shards_ahead(0, 0, 3) == []


def test_threads_get_the_same():
    order = Order([source([7] * 40, "a"), source([11] * 30, "b")], seed=0, window=4, shares=[0.2, 0.8])
    fresh = Order(order.sources, seed=0, window=4, shares=[0.2, 0.8])
    jobs = [(e, np.arange(p, p + 16)) for e in range(12) for p in range(0, 592, 37)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: stream(order, *job), jobs))
    assert all(np.array_equal(mine, stream(fresh, *job)) for mine, job in zip(found, jobs, strict=True))


def test_the_stream_is_the_same_on_every_machine_and_version():
    """Golden: whoever changes it breaks the resume of every run on several sets."""
    order = Order([source([4, 4], "a"), source([3, 3], "b")], seed=5, window=1, shares=[3, 1])
    assert order.counts.tolist() == [11, 3]
    found = stream(order, 1, np.arange(14))
    assert found[:, 0].tolist() == [0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]
    assert found[:, 1].tolist() == [1, 1, 0, 1, 1, 1, 2, 0, 2, 2, 2, 0, 2, 2]
    assert found[:, 2].tolist() == [7, 1, 2, 0, 3, 2, 7, 0, 6, 5, 4, 1, 0, 1]


def test_a_billion_clips_in_two_sets():
    """O(shards): nothing is counted clip by clip, and no epoch but those at hand is planned."""
    first = np.arange(500_001, dtype=np.int64) * 1000
    order = Order([Source("a", first, np.arange(500_000)), Source("b", first, np.arange(500_000))], seed=0, window=4, shares=[3, 1])
    assert len(order) == 10**9 and order.counts.tolist() == [750_000_000, 250_000_000]
    found = stream(order, 7, np.arange(777_777_777, 777_777_777 + 64))
    assert len({tuple(row) for row in found.tolist()}) == 64
    assert len(order.shards_ahead(7, 777_777_777, 64)) == 64
