"""How a resize is dealt to the blocks of a GPU: strips of output columns, bands of output rows, and which rows are mixed when.

A block owns one strip of one band of one frame. Its threads hold eight neighbouring bytes of the input's rows each and go down the
band once: every word is loaded once, unpacked once, and added to the one or two output rows that it counts for. A triangle as wide
as the larger of an input and an output pixel gives no input row to more than two output rows when an axis shrinks, so that two sums
a byte are enough; when it grows, output rows have few taps and are mixed one by one. Both are the same list of steps.

Pure NumPy: what a kernel is to do can be checked here without one.
"""

from dataclasses import dataclass

import numpy as np

from dataio.stream.kernels.rotate import Resize

WARP = 32
WORD = 8
"""Bytes that a thread loads at once."""

LINES = 4
"""Mixed rows that wait in shared memory to be mixed by columns: a thread then does all of them with one look at a weight."""

PITCH = 2048
"""Floats of such a row: eight of each of 256 threads. Fixed, so that four rows are four offsets from one address."""

SHARED = 48 * 1024
"""Bytes of shared memory that CUDA gives any kernel without asking."""

_THREADS = PITCH // WORD
_BAND = 32  # output rows: the rows above a band that are mixed again cost 1/32


@dataclass(frozen=True)
class Steps:
    """The rows to be mixed for output rows y … : steps at[y] … at[y + 1] − 1.

    rows: (K,) int32, input row of a step. weights: (K, 2) float32, what it counts for in output row y and in output row y + 1.
    at: (height + 1,) int32. carry: 1 where row y also gets what the steps of y − 1 left for it, else 0.
    """

    rows: np.ndarray
    weights: np.ndarray
    at: np.ndarray
    carry: int

    def packed(self, row_words: int) -> np.ndarray:
        """Two words of 8 bytes a step, (2 · (K + 2),) uint64: both weights, and at which word of the frame the row begins. The last
        row comes twice more, as loads run two steps ahead.
        """
        table = np.zeros((len(self.rows) + 2, 4), np.uint32)
        table[: len(self.rows), :2] = self.weights.view(np.uint32)
        table[:, 2] = np.r_[self.rows, self.rows[-1:], self.rows[-1:]] * row_words
        return table.reshape(-1).view(np.uint64)


@dataclass(frozen=True)
class Strips:
    """Geometry of the launch and the tables of the columns.

    threads: of a block. columns: of a strip; the last may have fewer. count: of strips. band: output rows of a block.
    words: of a strip's piece of an input row, at most `threads`.
    first: (count,) int32, the word of the row at which the piece begins; it may end beyond the row's end, at its beginning.
    start: (width,) int32, byte of the piece at which the first tap of an output column lies; its taps follow 3 bytes apart.
    weights: (taps, width) float32. steps: of the rows. shared: bytes of shared memory.
    """

    threads: int
    columns: int
    count: int
    band: int
    words: int
    first: np.ndarray
    start: np.ndarray
    weights: np.ndarray
    steps: Steps

    @property
    def shared(self) -> int:
        """Bytes: the mixed rows, the strip's column weights, and where its taps begin; all of four bytes."""
        return _shared(self.columns, len(self.weights))


def strips(resize: Resize, band: int = _BAND) -> Strips | None:
    """The plan, or None where there is none: rows of the input that are no whole number of words, or taps too many for a block."""
    (_, width_in), (height, width) = resize.stored, resize.size
    if 3 * width_in % WORD:
        return None
    rows, row_weights, columns, column_weights = resize.neighbours
    taps = len(column_weights) // width
    for wide in [*range(-(-width // WARP) * WARP, 0, -WARP), 16, 8, 4, 2, 1]:
        even = -(-width // -(-width // wide))  # as many strips, but of about equal width
        wide = -(-even // WARP) * WARP if wide > WARP else wide
        first, start, words = _pieces(columns, taps, wide, width_in)
        if words <= _THREADS and _shared(wide, taps) <= SHARED:
            steps = _steps(rows, row_weights, height)
            weights = np.ascontiguousarray(column_weights.reshape(width, taps).T)
            return Strips(-(-words // WARP) * WARP, wide, len(first), min(band, height), words, first, start, weights, steps)
    return None


def _shared(columns: int, taps: int) -> int:
    return 4 * (LINES * PITCH + columns * (taps + 1))


def _pieces(columns: np.ndarray, taps: int, wide: int, width_in: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Where the pieces begin, where the taps in them, and the words of the longest."""
    strip = np.arange(len(columns)) // wide
    begin = columns[::wide]  # first tap of every strip's first column
    first = 3 * begin // WORD
    start = 3 * begin[strip] - WORD * first[strip] + 3 * ((columns - begin[strip]) % width_in)
    words = -(-(int(start.max()) + 3 * taps) // WORD)
    return first.astype(np.int32), start.astype(np.int32), words


def _steps(rows: np.ndarray, row_weights: np.ndarray, height: int) -> Steps:
    """Row by row of the input where none counts for more than two output rows, which then follow each other; else tap by tap."""
    weight = row_weights.reshape(height, -1)
    index = rows[:, None] + np.arange(weight.shape[1])
    y, tap = np.nonzero(weight)
    used = index[y, tap]
    order = np.lexsort((y, used))
    used, y, value = used[order], y[order], weight[y, tap][order]
    fresh = np.flatnonzero(np.r_[True, used[1:] != used[:-1]])
    count = np.diff(np.r_[fresh, len(used)])
    lead, seen = y[fresh], used[fresh]
    pairs = np.zeros((len(fresh), 2), np.float32)
    pairs[:, 0] = value[fresh]
    two = np.flatnonzero(count == 2)
    pairs[two, 1] = value[fresh[two] + 1]
    if count.max() <= 2 and (y[fresh[two] + 1] == lead[two] + 1).all() and (np.diff(lead) >= 0).all():
        at = np.searchsorted(lead, np.arange(height + 1))
        return Steps(seen.astype(np.int32), pairs, at.astype(np.int32), 1)
    y, tap = np.nonzero(weight)
    alone = np.stack([weight[y, tap], np.zeros(len(y), np.float32)], 1)
    return Steps(index[y, tap].astype(np.int32), alone, np.searchsorted(y, np.arange(height + 1)).astype(np.int32), 0)
