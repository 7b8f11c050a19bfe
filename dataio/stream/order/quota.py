"""How several sequences make one: which is served at a place, so that each has its count in the end and its share all along.

The sequences are the leaves of a binary tree, as Huffman (1952) builds it of their counts. A node serves N places, l of them by its
left child, which has had

    ⌊(p l + ⌊N/2⌋) / N⌋

of the first p: at most half a place away from its share, none at p = 0 and all at p = N. The errors of the levels add up, each
scaled down to the leaf's share of the level. In a Huffman tree a node and its parent together serve no more places than its
grandparent, so these shares shrink at least as the reciprocal Fibonacci numbers do: no sequence is ever further than half their
sum, `STRAY`, from its share, however many there are.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

STRAY = 1.68  # places; ½ Σ 1/Fₙ = 1.6799…
_EXACT = 3_000_000_000  # places, whose square still fits int64


@dataclass(frozen=True)
class Node:
    """total: places served. left_total: of these, by `left`. A child is a Node or the number of a sequence."""

    total: int
    left_total: int
    left: "Node | int"
    right: "Node | int"


class Quota:
    """Cuts every `sum(counts)` places into one part for each sequence, evenly, and finds any place of either in O(sequences).

    counts: places of each; a sequence with none is never served.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.total = sum(counts)
        self._size = len(counts)
        heap: list[tuple[int, int, Node | int]] = [(count, i, i) for i, count in enumerate(counts) if count]
        heapq.heapify(heap)
        for made in range(len(counts), 2 * len(counts)):  # a number breaks ties, so that the tree depends on the counts alone
            if len(heap) < 2:
                break
            (a, _, right), (b, _, left) = heapq.heappop(heap), heapq.heappop(heap)
            heapq.heappush(heap, (a + b, made, Node(a + b, b, left, right)))
        self._root = heap[0][2] if heap else None
        self._paths: list[list[tuple[int, int, int]]] = [[] for _ in counts]
        if self._root is not None:
            self._walk(self._root, [])

    def _walk(self, node: Node | int, path: list[tuple[int, int, int]]) -> None:
        """Remember for every sequence, from its leaf up, (places of the parent, of the child, what is added before dividing)."""
        if isinstance(node, int):
            self._paths[node] = path
            return
        half = node.total // 2
        self._walk(node.left, [(node.total, node.left_total, half), *path])
        # what the left one has not had: p − ⌊(p l + h) / N⌋ = ⌊(p (N − l) + N − 1 − h) / N⌋
        self._walk(node.right, [(node.total, node.total - node.left_total, node.total - 1 - half), *path])

    def places(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which sequence is served at each of these positions, and how many times it was before: two (n,) int64.

        positions: (n,), from 0 to total − 1.
        """
        positions = np.asarray(positions, np.int64)
        which, before = np.zeros(len(positions), np.int64), np.zeros(len(positions), np.int64)
        if self.total > _EXACT:
            positions = positions.astype(object)
        if self._root is not None:
            _descend(self._root, positions, np.arange(len(positions)), which, before)
        return which, before

    def taken(self, position: int) -> list[int]:
        """How many of the first `position` places each sequence has."""
        counts = [0] * self._size
        nodes = [(self._root, position)]
        while nodes:
            node, p = nodes.pop()
            if isinstance(node, Node):
                left = (p * node.left_total + node.total // 2) // node.total
                nodes += [(node.left, left), (node.right, p - left)]
            elif node is not None:
                counts[node] = p
        return counts

    def position(self, which: int, before: int) -> int:
        """Where a sequence is served that was served `before` times: the inverse of `places`. before: from 0 to its count − 1."""
        for total, child, plus in self._paths[which]:
            before = -(-((before + 1) * total - plus) // child) - 1
        return before


def _descend(node: Node | int, rank: np.ndarray, at: np.ndarray, which: np.ndarray, before: np.ndarray) -> None:
    """Fill in the rows `at` of the answer, which stand at `rank` of the places that the node serves."""
    if isinstance(node, int):
        which[at], before[at] = node, rank
        return
    had = (rank * node.left_total + node.total // 2) // node.total
    left = ((rank + 1) * node.left_total + node.total // 2) // node.total > had
    for child, mine, ranks in ((node.left, left, had), (node.right, ~left, rank - had)):
        if mine.any():
            _descend(child, ranks[mine], at[mine], which, before)


def share_out(total: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers that add up to `total`, as near to these shares as can be (largest remainders; ties go to the earlier one).

    shares: weights, which need not add up to 1.

    Raises:
        ValueError: a share that is negative or no number, or none above zero.
    """
    try:
        exact = [Fraction(str(share)) for share in shares]
    except ValueError:
        raise ValueError(f"shares {list(shares)}: each must be a finite number") from None
    whole = sum(exact)
    if min(exact, default=Fraction(0)) < 0 or not whole:
        raise ValueError(f"shares {list(shares)}: none may be below zero, and one must be above")
    ideal = [total * share / whole for share in exact]
    counts = [int(value) for value in ideal]
    behind = sorted(range(len(counts)), key=lambda i: (counts[i] - ideal[i], i))
    for i in behind[: total - sum(counts)]:
        counts[i] += 1
    return counts
