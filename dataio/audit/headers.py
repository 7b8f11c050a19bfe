"""The headers of a tar, as Python's tarfile reads them, against the index: every member where it says, under the name it says."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

from dataio.audit.contents import member_name
from dataio.audit.report import Problem
from dataio.format import index


def against_tar(path: Path, entry: index.ShardIndex) -> list[Problem]:
    """Where index and tar part ways; what comes after that is not compared. Reads headers alone."""
    offsets, lengths = entry.members["offset"].tolist(), entry.members["length"].tolist()
    row = 0
    try:
        with tarfile.open(path, "r:", errorlevel=2) as tar:
            for header in _samples(tar):
                if row == len(offsets):
                    return [Problem(path.name, "is not in the index", header.name, header.offset_data)]
                name = member_name(entry, row)
                if (_plain(header.name), header.offset_data, header.size) != (name, offsets[row], lengths[row]):
                    there = f"{_plain(header.name)} at {header.offset_data}, {header.size} bytes"
                    return [Problem(path.name, f"the index has this member here, the tar has {there}", name, offsets[row])]
                row += 1
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        what = f"its header cannot be read: {error}"
        if row == len(offsets):
            return [Problem(path.name, f"cannot be read behind its last member: {error}")]
    else:
        what = "its header is damaged, or the tar ends before it"
        if row == len(offsets):
            return []
    return [Problem(path.name, what, member_name(entry, row), offsets[row])]


def _samples(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members that belong to a sample: plain files that have an extension and are not hidden."""
    at = -1
    while (header := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all
        if tar.offset <= at:
            raise tarfile.ReadError(f"the header at byte {header.offset} leads nowhere")
        at = tar.offset
        stem, dot, _ = header.name.rpartition("/")[2].partition(".")
        if header.isreg() and stem and dot:
            yield header


def _plain(name: str) -> str:
    """As the index would give it; a name that is not UTF-8 can only be told in escapes."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
