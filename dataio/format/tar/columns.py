"""Columns of the tables that a walk fills, all int64."""

from dataio.format import headers

HEADER, OFFSET, LENGTH, NAME, KEY, END, CLIP, EXTENSION, CRC, FACTS = range(10)
"""Of a member's row. HEADER: byte of the tar where its first header lies. OFFSET, LENGTH: its data, bytes. NAME, END: places in
`names`; KEY: bytes of the name that are the key. CLIP, EXTENSION: rows of their tables. FACTS: the first of those of headers.py.
"""

FIRST_BLOCK, LATER, MEMBER_COLUMNS = FACTS + headers.COLUMNS, FACTS + headers.COLUMNS + 1, FACTS + headers.COLUMNS + 2
"""FIRST_BLOCK: row of its first block checksum, −1 for none. LATER: whether its facts lie further on than the walk looked."""

KEY_AT, KEY_LENGTH, RECORDING, TEXT_AT, TEXT_LENGTH, CLIP_COLUMNS = range(6)
"""Of a clip's row. KEY_AT: place in `names`. RECORDING: row, or −1. TEXT_AT: place of its `json` in `texts`; a text at −n was too
long to be kept, and lies at byte n of the tar. TEXT_LENGTH: bytes, −1 where there is none.
"""

WORD_AT, WORD_LENGTH, RECORDING_COLUMNS = range(3)
LAST_CLIP, IS_MEDIA, EXTENSION_COLUMNS = range(2, 5)
"""Of an extension's row, after its place and length: the clip that had it last, and whether such members are looked into."""
