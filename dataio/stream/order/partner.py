"""Which clips may be a clip's partner: others of the same recording, near enough, in the same shuffle window.

Within the window, because its shards are being read anyway. The drawn order is a pure function of (seed, epoch, clip) and of the
window's content. Since it is an order and not one clip, whoever finds a candidate to be corrupt takes the next.
"""

import numpy as np

from dataio.stream.order.random import draw, key

_TICKS = 1_000_000  # a second: differences of whole microseconds are exact, and so the same seen from either clip
_LATEST = 1e12  # seconds; a start beyond is none, whatever an index claims, and sums of ticks stay within 64 bits
_FARTHEST = 2.0**61  # ticks; every start is within reach


class Companions:
    """The clips of one window, by recording and start. Never changes once made, so safe to use from several threads.

    Args:
        ids: (n,) ids within the set, each once, in any order. recordings: (n,) ids ≥ 0, of the set or not. starts: (n,) seconds
            of the recording; a clip whose start is no time (not a number, or beyond ±10¹²) has no partner but itself.
    """

    def __init__(self, ids: np.ndarray, recordings: np.ndarray, starts: np.ndarray) -> None:
        sane = np.abs(starts) <= _LATEST
        recordings = np.where(sane, recordings, -1 - np.arange(len(ids)))
        ticks = np.rint(np.where(sane, starts, 0.0) * _TICKS).astype(np.int64)
        order = np.lexsort((ids, ticks, recordings))
        self._ids, self._ticks, recordings = np.asarray(ids, np.int64)[order], ticks[order], recordings[order]
        self._by_id = np.argsort(self._ids)
        self._sorted = self._ids[self._by_id]
        self._begin = np.searchsorted(recordings, recordings, side="left")  # of the clip's recording, and its end
        self._end = np.searchsorted(recordings, recordings, side="right")

    def __len__(self) -> int:
        return len(self._ids)

    def near(self, clip: int, reach: float) -> np.ndarray:
        """Other clips of the same recording that start at most `reach` seconds before or after: (k,) int64, by start
        and id.

        Raises:
            KeyError: no such clip in this window.
        """
        at = int(np.searchsorted(self._sorted, clip))
        if at == len(self._sorted) or self._sorted[at] != clip:
            raise KeyError(f"clip {clip} is not in this window")
        row = int(self._by_id[at])
        begin, end, tick = int(self._begin[row]), int(self._end[row]), int(self._ticks[row])
        far = round(min(reach * _TICKS, _FARTHEST))
        ticks = self._ticks[begin:end]
        low = begin + int(np.searchsorted(ticks, tick - far, side="left"))
        high = begin + int(np.searchsorted(ticks, tick + far, side="right"))
        return np.concatenate([self._ids[low:row], self._ids[row + 1 : high]])

    def candidates(self, clip: int, seed: int, epoch: int, reach: float) -> np.ndarray:
        """Who may be the partner of `clip`, in drawn order; the last one is the clip itself: (≥ 1,) int64.

        Args:
            reach: seconds; how far apart the two may start at most.

        Raises:
            KeyError: no such clip in this window.
        """
        others = self.near(clip, reach)
        drawn = np.argsort(draw(key(seed, epoch, "partner", clip), others), kind="stable")
        return np.append(others[drawn], clip)
