"""What a walk fills, and where it stands. Tables grow outside the compiled loop: counting references inside it costs more."""

from typing import NamedTuple

import numpy as np

from dataio.format import index
from dataio.format.compiled import inlined
from dataio.format.tar.columns import CLIP_COLUMNS, EXTENSION_COLUMNS, MEMBER_COLUMNS, RECORDING_COLUMNS
from dataio.format.tar.limits import NAME_LIMIT, TEXT_LIMIT, TEXTS_LIMIT
from dataio.format.tar.words import enter_all

# how full the tables are
MEMBERS, CLIPS, NAMED, WRITTEN, BLOCKS, EXTENSIONS, RECORDINGS = range(7)
# what the walk has seen: the byte it is at, the checksum up to there, and files of no sample
AT, WHOLE, SKIPPED, OTHERS = range(7, 11)
# of the member to come: its first header, and what PAX and GNU headers say; −1 for nothing. Its name stands at names[NAMED:]
FIRST, SAID_NAME, SAID_SIZE = range(11, 14)
# hash of the key of a clip that is not among the others yet; −1 for none
HASH = 14
_STATE = 15

_LEAP = 64  # times: how much larger a table becomes at most, however few members there have been to go by
_SLOTS = 4  # of a hash table, for every word there is room for


class Tables(NamedTuple):
    """Of `clips`, `extensions` and `recordings`, the slots are the hash tables."""

    rows: np.ndarray  # (members, columns) int64
    clips: np.ndarray  # (clips, columns) int64
    names: np.ndarray  # bytes
    texts: np.ndarray  # bytes
    blocks: np.ndarray  # uint32
    extensions: np.ndarray  # (words, columns) int64
    recordings: np.ndarray  # (words, columns) int64
    clip_slots: np.ndarray  # int32
    extension_slots: np.ndarray
    recording_slots: np.ndarray


def begin(size: int) -> tuple[np.ndarray, Tables]:
    """State and tables at the begin of a tar of so many bytes."""
    state = np.zeros(_STATE, np.int64)
    state[[FIRST, SAID_NAME, SAID_SIZE, HASH]] = -1
    words = 256, 64, 64
    return state, Tables(
        np.empty((256, MEMBER_COLUMNS), np.int64),
        np.empty((words[0], CLIP_COLUMNS), np.int64),
        np.empty(64 * 1024, np.uint8),
        np.empty(4 * TEXT_LIMIT, np.uint8),
        np.empty(_most_blocks(size, 256), np.uint32),
        np.empty((words[1], EXTENSION_COLUMNS), np.int64),
        np.empty((words[2], RECORDING_COLUMNS), np.int64),
        *(np.full(_SLOTS * count, -1, np.int32) for count in words),
    )


@inlined
def is_full(t, state):
    """Whether one more member may not fit into a table."""
    return (
        state[MEMBERS] == len(t.rows)
        or state[CLIPS] == len(t.clips)
        or state[EXTENSIONS] == len(t.extensions)
        or state[RECORDINGS] == len(t.recordings)
        or state[NAMED] + NAME_LIMIT + 1 > len(t.names)
        or (state[WRITTEN] + TEXT_LIMIT > len(t.texts) and len(t.texts) < TEXTS_LIMIT)
    )


def larger(t: Tables, state: np.ndarray, size: int) -> Tables:
    """The tables with room for one member more: twice as large or, by what the tar has held so far, large enough at once."""
    so_far = max(1, int(state[AT])) / size
    grown: dict[str, np.ndarray] = {}
    for name, count, least in (
        ("rows", state[MEMBERS], 1),
        ("clips", state[CLIPS], 1),
        ("names", state[NAMED], NAME_LIMIT + 1),
        ("texts", state[WRITTEN], TEXT_LIMIT),
        ("extensions", state[EXTENSIONS], 1),
        ("recordings", state[RECORDINGS], 1),
    ):
        old = getattr(t, name)
        if count + least <= len(old) or (name == "texts" and len(old) >= TEXTS_LIMIT):
            continue
        length = 2 * len(old)
        while name in ("rows", "clips", "names") and length < min(1.1 * count / so_far, _LEAP * len(old)):
            length *= 2
        grown[name] = _longer(old, length)
    if "rows" in grown:
        grown["blocks"] = _longer(t.blocks, _most_blocks(size, len(grown["rows"])))
    t = t._replace(**grown)
    for words, slots, count in (
        ("clips", "clip_slots", state[CLIPS]),
        ("extensions", "extension_slots", state[EXTENSIONS]),
        ("recordings", "recording_slots", state[RECORDINGS]),
    ):
        if words in grown:
            anew = np.full(_SLOTS * len(grown[words]), -1, np.int32)
            enter_all(anew, t.names, grown[words], count)
            t = t._replace(**{slots: anew})
    return t


def _longer(old: np.ndarray, length: int) -> np.ndarray:
    new = np.empty((length, *old.shape[1:]), old.dtype)
    new[: len(old)] = old  # all of it: the name of a member to come may stand behind the others
    return new


def _most_blocks(size: int, members: int) -> int:
    """PCM members have whole blocks, and one that is begun, at most, each."""
    return size // index.BLOCK + members
