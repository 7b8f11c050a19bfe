"""What can be wrong with a tar. Compiled functions return these numbers."""

from dataio.format.tar.limits import HEADER_LIMIT, NAME_LIMIT

FINE, CUT, CHECKSUM, SIZE, PAX, LONG_HEADER, LONG_NAME, SPARSE, GLOBAL, GARBAGE, APART, TWICE = range(12)
READ, FULL = 12, 13  # no faults of the tar: it cannot be read; a table of the walk is full

TEXTS = (
    "",
    "the archive is cut off",
    "no tar header: its checksum does not match",
    "a size that is no number of bytes",
    "a damaged PAX header",
    f"a PAX or GNU header of more than {HEADER_LIMIT} bytes",
    f"a name of more than {NAME_LIMIT} bytes, or with a NUL in it",
    "a sparse file, whose bytes do not lie in the tar as they are",
    "a global PAX header that names every member alike",
    "something follows the end of the archive",
    "a member of a sample that is not adjacent to the others with its key",
    "a second member with this extension in its sample",
    "the file ends here, though it was longer a moment ago",
)


class TarError(ValueError):
    """A tar that cannot be indexed. offset: byte where the fault lies; the message names it, and the tar."""

    def __init__(self, tar: str, offset: int, what: str) -> None:
        super().__init__(f"{tar}, byte {offset}: {what}")
        self.offset, self.what = offset, what
