"""To which sample a member belongs, by its name. Compiled.

A sample is a run of members with the same key. The key is the name up to the first dot after the last slash, the extension all
that follows that dot: the rule of webdataset and of DALI.
"""

import numpy as np

from dataio.format import headers
from dataio.format.compiled import inlined
from dataio.format.tar.columns import (
    CLIP,
    END,
    EXTENSION,
    IS_MEDIA,
    KEY,
    KEY_AT,
    KEY_LENGTH,
    LAST_CLIP,
    NAME,
    RECORDING,
    TEXT_AT,
    TEXT_LENGTH,
    WORD_AT,
    WORD_LENGTH,
)
from dataio.format.tar.faults import APART, FINE, TWICE
from dataio.format.tar.tables import CLIPS, EXTENSIONS, HASH, MEMBERS, NAMED, RECORDINGS
from dataio.format.tar.words import expect, find, hash_of, same


@inlined
def dot_of(names, begin, end):
    """Where the first dot after the last slash of a name lies; `begin` − 1 where it has no key or no extension."""
    base = begin
    for i in range(begin, end):
        if names[i] == 0x2F:
            base = i + 1
    dot = base
    while dot < end and names[dot] != 0x2E:
        dot += 1
    return begin - 1 if dot == base or dot >= end - 1 else dot


@inlined
def enter(t, state, dot, end):
    """Give the member whose name is names[NAMED : end] its row, with clip and extension; a fault, or FINE."""
    names, rows, clips = t.names, t.rows, t.clips
    begin, member = state[NAMED], state[MEMBERS]
    key = dot - begin
    clip = state[CLIPS] - 1
    if clip < 0 or clips[clip, KEY_LENGTH] != key or not same(names, clips[clip, KEY_AT], begin, key):
        clip += 1
        state[HASH] = hash_of(names, begin, key)
        expect(t.clip_slots, state[HASH])
        clips[clip, KEY_AT], clips[clip, KEY_LENGTH] = begin, key
        clips[clip, TEXT_AT], clips[clip, TEXT_LENGTH] = 0, -1
        clips[clip, RECORDING] = _recording(t, state, begin, key)
        state[CLIPS] = clip + 1
    extension = _extension(t, state, dot + 1, end - dot - 1)
    if t.extensions[extension, LAST_CLIP] == clip:
        return TWICE
    t.extensions[extension, LAST_CLIP] = clip
    rows[member, NAME], rows[member, KEY], rows[member, END] = begin, key, end
    rows[member, CLIP], rows[member, EXTENSION] = clip, extension
    names[end] = 0  # so that what is cut short in one name cannot go on in the next
    state[NAMED] = end + 1
    state[MEMBERS] = member + 1
    return FINE


@inlined
def settle(t, state):
    """Put the clip of the member that was entered last among the others, if it is a new one; a fault, or FINE.

    That is done after all else, because of what `expect` is about.
    """
    if state[HASH] >= 0:
        clip = state[CLIPS] - 1
        slot = find(t.clip_slots, t.names, t.clips, t.clips[clip, KEY_AT], t.clips[clip, KEY_LENGTH], state[HASH])
        if slot >= 0:
            return APART
        t.clip_slots[-1 - slot] = clip
        state[HASH] = -1
    return FINE


@inlined
def _recording(t, state, begin, key):
    """Number of the recording that a key names; −1 for none."""
    if not _is_clip_key(t.names, begin, key):
        return np.int64(-1)
    number = find(t.recording_slots, t.names, t.recordings, begin, key - 7, hash_of(t.names, begin, key - 7))
    if number < 0:
        slot = -1 - number
        number = state[RECORDINGS]
        t.recording_slots[slot] = number
        t.recordings[number, WORD_AT], t.recordings[number, WORD_LENGTH] = begin, key - 7
        state[RECORDINGS] = number + 1
    return number


@inlined
def _extension(t, state, begin, length):
    number = find(t.extension_slots, t.names, t.extensions, begin, length, hash_of(t.names, begin, length))
    if number < 0:
        slot = -1 - number
        number = state[EXTENSIONS]
        t.extension_slots[slot] = number
        t.extensions[number, WORD_AT], t.extensions[number, WORD_LENGTH], t.extensions[number, LAST_CLIP] = begin, length, -1
        t.extensions[number, IS_MEDIA] = headers.is_media(t.names, begin, length)
        state[EXTENSIONS] = number + 1
    return number


@inlined
def _is_clip_key(names, begin, length):
    """Whether `clip.split_key` takes this key: something, a hyphen and six digits."""
    if length < 8 or names[begin + length - 7] != 0x2D:
        return False
    digits = True
    for i in range(begin + length - 6, begin + length):
        digits &= 0x30 <= names[i] <= 0x39
    return digits
