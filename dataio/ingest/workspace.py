"""The output folder of a build while it is unfinished: whose it is, what is done, and how it is left behind.

OUT/.build/plan.json          what is being built: a folder with another plan is not ours to touch
OUT/.build/lock               held by the one running build
OUT/.build/group-000.json     rows of a finished group, whose shards lie in OUT under their final names
OUT/.build/*.spool            encoded recordings of groups under way
"""

import fcntl
import json
import shutil
from pathlib import Path
from typing import IO, Any

from dataio.format import atomic
from dataio.format.manifest import FILE as MANIFEST
from dataio.ingest.errors import SourceError

WORK = ".build"


class Workspace:
    """Opens `out` for the build with this plan, or goes on with an unfinished build of the same plan.

    Raises:
        SourceError: `out` is a file, a finished set, holds other things, belongs to another plan, or another build runs in it.
    """

    def __init__(self, out: Path, plan: dict[str, Any]) -> None:
        self.out, self.work = out, out / WORK
        self._text = json.dumps(plan, sort_keys=True, indent=1)
        if out.exists() and not out.is_dir():
            raise SourceError(f"the output {out} is a file")
        self.created = not out.exists()
        if not self.created and any(out.iterdir()) and not (self.work / "plan.json").is_file():
            what = (
                "already holds a finished shard set" if (out / MANIFEST).is_file() else "is neither empty nor an unfinished build"
            )
            raise SourceError(f"the output {out} {what}; choose another folder")
        self.work.mkdir(parents=True, exist_ok=True)
        self._lock: IO[str] = open(self.work / "lock", "w")  # noqa: SIM115  held until close()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise SourceError(f"another build is running in {out}") from None
        self.resumed = (self.work / "plan.json").is_file()
        if not self.resumed:
            atomic.write_file(self.work / "plan.json", self._text.encode())
        elif (self.work / "plan.json").read_text() != self._text:
            self._lock.close()
            raise SourceError(
                f"the output {out} holds an unfinished build of another source or other options; choose another folder"
            )
        for leftover in (*out.glob(".*.tmp"), *self.work.glob("*.spool")):  # of a run that was killed: the lock was free
            leftover.unlink()

    def group(self, number: int) -> dict[str, Any] | None:
        """What a finished group left, or None."""
        path = self.work / f"group-{number:06d}.json"
        return json.loads(path.read_text()) if path.is_file() else None

    def finish_group(self, number: int, rows: dict[str, Any]) -> None:
        atomic.write_file(self.work / f"group-{number:06d}.json", json.dumps(rows, sort_keys=True).encode())

    def publish(self, manifest: bytes, report: dict[str, Any]) -> None:
        """The last act: report, then the manifest that makes the shards exist, then the workspace goes."""
        text = json.dumps(report, sort_keys=True, indent=1, ensure_ascii=False)
        atomic.write_file(self.out / "build.json", text.encode(errors="backslashreplace"))  # file names need not be valid UTF-8
        atomic.write_file(self.out / MANIFEST, manifest)
        self._lock.close()
        shutil.rmtree(self.work)

    def abandon(self) -> None:
        """Leave nothing behind: used when nothing could be built."""
        self._lock.close()
        shutil.rmtree(self.work, ignore_errors=True)
        if self.created:
            shutil.rmtree(self.out, ignore_errors=True)

    def pause(self) -> None:
        """Leave what is finished for a later run of the same build."""
        self._lock.close()
