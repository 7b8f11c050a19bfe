"""What a member says of itself: the facts in its first bytes, or the text of a `json`. Compiled."""

import numpy as np

from dataio.format import headers
from dataio.format.compiled import inlined
from dataio.format.tar.columns import CLIP, END, EXTENSION, FACTS, IS_MEDIA, KEY, LATER, LENGTH, NAME, OFFSET, TEXT_AT, TEXT_LENGTH
from dataio.format.tar.faults import FINE, READ
from dataio.format.tar.limits import HEADER_LIMIT, TEXT_LIMIT
from dataio.format.tar.spans import copy, says
from dataio.format.tar.tables import WRITTEN
from dataio.format.tar.window import need, there


@inlined
def look(t, state, w, member, facts):
    """Fill the member's facts, and its clip's text; a fault, or FINE. facts: scratch."""
    facts[:] = 0
    rows, clips = t.rows, t.clips
    offset, length = rows[member, OFFSET], rows[member, LENGTH]
    dot = rows[member, NAME] + rows[member, KEY]
    later = False
    if t.extensions[rows[member, EXTENSION], IS_MEDIA]:
        enough = min(length, headers.FIRST)
        later = True
        while later and enough <= HEADER_LIMIT:  # containers tell their frames at their end
            i = need(w, offset, enough)
            if i < 0:
                return READ
            later = not headers.read(w.data, i, i + min(length, there(w, offset)), length, facts)
            enough = min(length, 8 * enough) if enough < length else HEADER_LIMIT + 1
    elif rows[member, END] - dot == 5 and says(t.names, dot, b".json"):
        clip, written = rows[member, CLIP], state[WRITTEN]
        clips[clip, TEXT_AT], clips[clip, TEXT_LENGTH] = -offset, length
        if length <= TEXT_LIMIT and written + length <= len(t.texts):
            i = need(w, offset, length)
            if i < 0:
                return READ
            copy(t.texts, written, w.data, i, length)
            clips[clip, TEXT_AT] = written
            state[WRITTEN] = written + length
    for j in range(headers.COLUMNS):
        rows[member, FACTS + j] = facts[j]
    rows[member, LATER] = np.int64(later)
    return FINE
