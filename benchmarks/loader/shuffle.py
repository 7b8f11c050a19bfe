"""How well the loader's order mixes: pairs of clips of one recording in a batch, for several shuffle windows, and what those cost.

Batches are taken from the real order and counted one by one. Beside them stand what the formulas of `audit/mixing.py` expect of the
windows that were met (a batch across the edge of two is mixed better), what a perfect shuffle of the whole split would hold, and
what the sorted order does.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataio.audit.mixing import BATCH, effective, same_pairs, whole_split
from dataio.format import index, manifest
from dataio.ingest import deal
from dataio.ingest.options import SHARD_BYTES
from dataio.stream.order.mixture import Order, Source, Window
from dataio.stream.order.partner import Companions
from dataio.stream.order.random import draw, key, permutation
from train.environment import machine

WINDOWS = (1, 2, 4, 8, 16, 32)
REACHES = (10.0, 60.0, math.inf)  # seconds within which a partner is looked for
FOUR_PAIRS, ONE_PAIR = 3_280_000, 970_000  # bytes of a clip: 8 JPEGs of 512x256, 25 kB each, and 2 s of PCM at 96 kHz a pair
_EPOCHS = 64  # gone through at most, by a set too small to fill the batches in fewer
_SHARDS = 2048  # looked into at most


@dataclass(frozen=True)
class Population:
    """What is shuffled: a split, its clips numbered from 0 in the order of its shards.

    bytes: (shards,). recording, start: (clips,), start in seconds. whole: (recordings,) clips of each, of the whole split.
    """

    name: str
    source: Source
    bytes: np.ndarray
    recording: np.ndarray
    start: np.ndarray
    whole: np.ndarray


def stored(folder: Path, split: str | None = None, most: int = _SHARDS) -> Population:
    """A split of a shard set, or `most` shards of it drawn at random: as windows are random shards, they are the same kind.

    Raises:
        FileNotFoundError: no finished shard set. FormatError: a damaged one. ValueError: no such split.
    """
    m = manifest.load(folder)
    every = m.select(split)
    seen = every[np.sort(permutation(key("shards looked into"), len(every))[:most])]
    recordings, starts = [], []
    for row in seen.tolist():
        name = m.name(row)
        clips = index.load(folder / f"{name}.npz", f"{name}.tar").clips
        recordings.append(m.shard_recordings(row)[clips["recording"]])
        starts.append(clips["start"])
    place = {row: i for i, row in enumerate(every.tolist())}
    known = {place[row]: _counts(found) for row, found in zip(seen.tolist(), recordings, strict=True)}
    named = [m.shard_recordings(row) for row in every.tolist()]
    shard = np.repeat(np.arange(len(every)), [len(each) for each in named])
    sizes = m.first_clip[every + 1] - m.first_clip[every]
    whole = whole_split(_join(named), shard, sizes, known)
    name = folder.name + (f", split {split}" if split else "") + (f", {most} of {len(every)} shards" if most < len(every) else "")
    source = _source(m.fingerprint, [len(found) for found in recordings])
    return Population(name, source, m.shards["bytes"][seen], _join(recordings), _join(starts), whole)


def dealt(name: str, lengths: np.ndarray, *, step: float, clip_bytes: int, group: int = deal.GROUP) -> Population:
    """A set that the builder might have made, without its bytes.

    Args:
        lengths: (recordings,) clips of each. step: seconds from one clip's start to the next one's. clip_bytes: of each.
        group: recordings whose clips are dealt over the same shards.
    """
    number = {f"scene{i:04d}": i for i in range(len(lengths))}
    shards = []
    for _, names in deal.groups(dict.fromkeys(number, "train"), group):
        clips = [(each, i) for each in names for i in range(int(lengths[number[each]]))]
        shards += deal.deal(clips, math.ceil(len(clips) * clip_bytes / SHARD_BYTES))
    recording = np.array([number[each] for shard in shards for each, _ in shard])
    start = np.array([i * step for shard in shards for _, i in shard])
    sizes = np.array([len(shard) for shard in shards])
    return Population(name, _source(name, sizes), sizes * clip_bytes, recording, start, np.asarray(lengths))


def like_omniaudio(clip_bytes: int = FOUR_PAIRS, recordings: int = 165, clips: int = 64_250) -> Population:
    """As many recordings and clips as OmniAudio has (Vasudevan et al., ECCV 2020), the longest four times as long as the shortest.

    Its recordings last 6.5 minutes in the mean; for that many clips of 2 s one must begin every second.
    """
    spread = 4.0 ** (draw(key("lengths"), np.arange(recordings)) / 2**64)
    edges = np.rint(np.cumsum([0.0, *spread]) / spread.sum() * clips).astype(np.int64)
    pairs = {FOUR_PAIRS: "four pairs", ONE_PAIR: "one pair"}.get(clip_bytes, f"clips of {clip_bytes} bytes")
    name = f"like OmniAudio ({recordings} recordings, {clips} clips), {pairs}"
    return dealt(name, np.diff(edges), step=1.0, clip_bytes=clip_bytes)


def shuffle(
    populations: Sequence[Population],
    *,
    batch: int = BATCH,
    windows: Sequence[int] = WINDOWS,
    batches: int = 1000,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Count the pairs of one recording in the batches of the real order.

    Args:
        batch: clips, of one rank: ranks take runs of the one order, so their number changes nothing. windows: shards.
        batches: counted for every window, spread evenly over an epoch, or over several where one has fewer.

    Returns:
        JSON: population → clips, shards, recordings; `perfect` and `sorted`: mean pairs a batch; `windows`: see `_measure`.

    Raises:
        ValueError: a population that fills no batch, or a batch that can hold no pair.
    """
    found = {}
    for p in populations:
        if not 2 <= batch <= p.source.clips:
            raise ValueError(f"batch={batch} must be from 2 to {p.source.clips}, the clips of {p.name}")
        perfect = same_pairs(p.whole, batch)
        rows = []
        for window in windows:
            say(f"{p.name}: window of {window}")
            row = _measure(p, batch, window, batches, seed)
            rows.append(row | {"times_perfect": row["pairs"] / perfect if perfect else None})
        found[p.name] = {
            "clips": p.source.clips,
            "shards": len(p.bytes),
            "recordings": int((p.whole > 0).sum()),
            "perfect": perfect,
            "sorted": float(np.mean(pairs(np.sort(p.recording)[: p.source.clips // batch * batch].reshape(-1, batch)))),
            "windows": rows,
        }
    return {"bench": "shuffle", "machine": machine(), "batch": batch, "seed": seed, "populations": found}


def pairs(recordings: np.ndarray) -> np.ndarray:
    """Pairs of one recording in each row: (rows, batch) → (rows,) int64."""
    ordered = np.sort(recordings, axis=1)
    # the k-th clip of a recording in a row makes k − 1 pairs with those before it
    columns = np.broadcast_to(np.arange(ordered.shape[1]), ordered.shape)
    begins = np.where(np.diff(ordered, axis=1, prepend=ordered[:, :1] - 1) != 0, columns, 0)
    return (columns - np.maximum.accumulate(begins, axis=1)).sum(axis=1)


def _measure(p: Population, batch: int, window: int, batches: int, seed: int) -> dict[str, Any]:
    """What batches hold and cost with this window.

    pairs, pairs_p95: of one recording in a batch, mean and 95th percentile. expected: their mean by formula. recordings: different
    ones in a batch, mean. recordings_window: effective number. shards: that a batch reads, mean. window_bytes, window_bytes_most:
    mean and largest. partnered: reach in seconds → share of the clips that have a partner so near in their window.
    """
    order = Order([p.source], seed=seed, window=window)
    ids, met = [], {}
    for epoch, step in _steps(len(order) // batch, batches):
        turns = order.places(epoch, np.arange(step * batch, (step + 1) * batch)).turn
        ids.append(order.clips(0, turns)[1])
        for turn in turns[[0, -1]].tolist():
            found = order.window(0, turn)
            met[found.name] = found
    drawn = np.array(ids)
    heard = p.recording[drawn]
    facts = [_facts(p, found, batch) for found in met.values()]
    clips = [len(found.ids) for found in met.values()]
    mean = np.average([list(f.values()) for f in facts], axis=0, weights=clips)
    bytes_of = [int(p.bytes[found.shards].sum()) for found in met.values()]
    count = pairs(heard)
    shards = np.sort(np.searchsorted(p.source.first_clip, drawn, side="right"), axis=1)
    named = dict(zip(facts[0], mean.tolist(), strict=True))
    return {
        "window": window,
        "batches": len(count),
        "pairs": float(count.mean()),
        "pairs_p95": float(np.percentile(count, 95)),
        "expected": named.pop("expected"),
        "recordings": float((np.diff(np.sort(heard, axis=1), axis=1) != 0).sum(axis=1).mean() + 1),
        "recordings_window": named.pop("recordings_window"),
        "shards": float((np.diff(shards, axis=1) != 0).sum(axis=1).mean() + 1),
        "window_bytes": float(np.average(bytes_of, weights=clips)),
        "window_bytes_most": max(bytes_of),
        "partnered": named,
    }


def _facts(p: Population, window: Window, batch: int) -> dict[str, float]:
    """Of one window: expected pairs, effective recordings, and for each reach the share of a sample of its clips with a partner."""
    ids = window.ids
    counts = np.array(list(_counts(p.recording[ids]).values()))
    companions = Companions(ids, p.recording[ids], p.start[ids])
    sample = ids[:64].tolist()
    partnered = {_reach(reach): np.mean([len(companions.near(i, reach)) > 0 for i in sample]).item() for reach in REACHES}
    return {"expected": same_pairs(counts, batch), "recordings_window": effective(counts)} | partnered


def _steps(a_epoch: int, wanted: int) -> Iterator[tuple[int, int]]:
    """(epoch, step) of the batches to count."""
    if wanted <= a_epoch:
        yield from ((0, i * a_epoch // wanted) for i in range(wanted))
    else:
        yield from (divmod(i, a_epoch) for i in range(min(wanted, _EPOCHS * a_epoch)))


def _reach(seconds: float) -> str:
    return "any" if seconds == math.inf else f"{seconds:g} s"


def _counts(recordings: np.ndarray) -> dict[int, int]:
    """Recording → clips."""
    return dict(zip(*(column.tolist() for column in np.unique(recordings, return_counts=True)), strict=True))


def _join(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if len(parts) else np.zeros(0, np.int64)


def _source(fingerprint: str, sizes: Sequence[int] | np.ndarray) -> Source:
    return Source(fingerprint, np.cumsum([0, *sizes], dtype=np.int64), np.arange(len(sizes)))


def lines(result: dict[str, Any]) -> list[str]:
    """The result as a table to print."""
    text = []
    for name, found in result["populations"].items():
        text.append(f"{name}: {found['recordings']} recordings, {found['clips']} clips, {found['shards']} shards")
        batch = f"pairs of one recording in a batch of {result['batch']}"
        text.append(f"{batch}: perfect shuffle {found['perfect']:.2f}, sorted {found['sorted']:.0f}")
        reaches = list(found["windows"][0]["partnered"]) if found["windows"] else []
        near = "  ".join(f"{reach:>5}" for reach in reaches)
        text.append(f"window   pairs    p95  × perfect  recordings  shards read  window GiB  a partner within {near}")
        for row in found["windows"]:
            times = "–" if row["times_perfect"] is None else f"{row['times_perfect']:.2f}"
            shares = "  ".join(f"{row['partnered'][reach]:5.0%}" for reach in reaches)
            text.append(
                f"{row['window']:6}  {row['pairs']:6.2f} {row['pairs_p95']:6.0f}  {times:>9}  {row['recordings']:10.1f}"
                f"  {row['shards']:11.1f}  {row['window_bytes'] / 2**30:10.2f}  {'':16} {shares}"
            )
    return text
