"""The output folder of a build while it is unfinished: whose it is, what is done, and how it is left behind.

OUT/.build/plan.json          what is being built: a folder with another plan is not ours to touch
OUT/.build/lock               held by the one running build
OUT/.build/group-000000.json  rows of a finished group, whose shards lie in OUT under their final names
OUT/.build/NAME.spool …       encoded units of groups under way (see spool)
"""

import json
import re
from contextlib import suppress
from functools import cached_property
from typing import Any

from dataio.format import manifest
from dataio.format.folder import Folder, LocalFolder
from dataio.ingest import spool
from dataio.ingest.errors import SourceError
from dataio.ingest.lock import FILE as LOCK
from dataio.ingest.lock import LockedError, lock
from dataio.ingest.material import difference
from dataio.ingest.outcome import LEFT_OUT, facts

WORK, PLAN, REPORT = ".build", "plan.json", "build.json"

_TEMPORARY = re.compile(r"\.(clips-\d+\.(tar|idx|npz)|build\.json|manifest\.npz)\.[0-9a-f]+\.tmp")
"""What a killed run leaves beside the shards: nothing else there is ours to remove."""


OF_THE_SYSTEM = re.compile(r"lost\+found|\.nfs.*|\.DS_Store", re.DOTALL)
"""What a disk, a network share or a desktop puts into a folder by itself."""


class Workspace:
    """Opens `out` for the build with this plan, or goes on with an unfinished build of the same plan.

    finished: `out` already holds what the plan asks for, and there is nothing to do. resumed: an earlier run got somewhere.

    Args:
        plan: `options`, which also go into the manifest, and what else must agree for a build to be gone on with.

    Raises:
        SourceError: `out` is a file, a finished set of another plan, holds other things, belongs to another plan, or another build
            runs in it.
    """

    def __init__(self, out: Folder, plan: dict[str, Any]) -> None:
        self.out, self.work = out, out.child(WORK)
        self._plan = plan
        self._text = json.dumps(plan, sort_keys=True, indent=1)
        if isinstance(out, LocalFolder) and out.path.exists() and not out.path.is_dir():
            raise SourceError(f"the output {out} is a file")
        if isinstance(out, LocalFolder) and out.path.is_symlink() and not out.path.exists():
            raise SourceError(f"the output {out} is a link to nothing; choose another folder")
        self.created = not out.exists()
        names, inside = [name for name in out.names() if not OF_THE_SYSTEM.fullmatch(name)], self.work.names()
        self.finished = manifest.FILE in names
        if self.finished:
            self._check_finished(plan)
        elif names and PLAN not in inside and (names != [WORK] or any(not _of_birth(name) for name in inside)):
            raise SourceError(f"the output {out} is neither empty nor an unfinished build; choose another folder")
        if self.finished and WORK not in names:
            self.resumed = False
            return
        self.work.create()
        try:
            self._lock = lock(self.work)
        except LockedError:
            raise SourceError(f"another build is running in {out}") from None
        try:
            self._take()
        except BaseException:
            self._lock.release()
            raise

    def _take(self) -> None:
        """Begin, or go on, or end what a killed run has left of its last act. The lock is held."""
        if not self.finished and self.out.has(manifest.FILE):
            raise SourceError(f"another build has just been finished in {self.out}")
        self.resumed = self.work.has(PLAN)
        if self.finished:  # it was killed within its last act
            self._clear()
        elif not self.resumed:
            self.work.write(PLAN, self._text.encode())
        elif (begun := self.work.read(PLAN)) != self._text.encode():
            raise SourceError(
                f"the output {self.out} holds an unfinished build of another source or other options ({self._differs(begun)}); "
                "choose another folder"
            )
        for folder, temporary in ((self.out, _TEMPORARY), (self.work, re.compile(r"\..*\.tmp"))):
            for name in folder.names():
                if temporary.fullmatch(name):  # of a run that was killed: the lock was free
                    folder.remove(name)

    def _differs(self, begun: bytes) -> str:
        try:
            return difference(json.loads(begun), self._plan)
        except (ValueError, AttributeError, TypeError):
            return f"its {PLAN} is damaged"

    def _check_finished(self, plan: dict[str, Any]) -> None:
        found = manifest.parse(self.out.read(manifest.FILE), f"{self.out}/{manifest.FILE}")
        if found.options != plan["options"]:
            raise SourceError(
                f"the output {self.out} already holds a finished shard set, of another source or other options "
                f"({difference({'options': found.options}, {'options': plan['options']})}); choose another folder"
            )

    def group(self, number: int) -> dict[str, Any] | None:
        """What a finished group left; None if there is none, or if not all of its shards are there as they were written."""
        name = f"group-{number:06d}.json"
        if name not in self.left:
            return None
        try:
            rows = json.loads(self.work.read(name))
            whole = all(
                self._sizes.get(f"{shard['name']}.tar") == shard["bytes"]
                and self._sizes.keys() >= {f"{shard['name']}.{kind}" for kind in ("idx", "npz")}
                for shard in rows["shards"]
            )
        except (ValueError, KeyError, TypeError):  # a power cut
            return None
        return rows if whole else None

    @cached_property
    def left(self) -> set[str]:
        """Names of what an earlier run has left in the workspace."""
        return set(self.work.names()) if self.resumed else set()

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return self.out.sizes()

    def finish_group(self, number: int, rows: dict[str, Any], slugs: list[str]) -> None:
        """Record that its shards are there; its spools are not needed any more.

        Raises:
            SourceError: another build has taken over, because this one could not reach the storage for too long.
        """
        self._hold()
        self.work.write(f"group-{number:06d}.json", json.dumps(rows, sort_keys=True).encode())
        spool.remove(self.work, slugs)

    def publish(self, data: bytes, report: dict[str, Any]) -> None:
        """The last act: report, then the manifest that makes the shards exist, then the workspace goes."""
        self._hold()
        text = json.dumps(report, sort_keys=True, indent=1, ensure_ascii=False)
        self.out.write(REPORT, text.encode(errors="backslashreplace"))  # file names need not be valid UTF-8
        self.out.write(manifest.FILE, data)
        self._clear()

    def _hold(self) -> None:
        try:
            self._lock.check()
        except LockedError as error:
            raise SourceError(f"another build has taken over in {self.out}: this one was cut off from it for too long") from error

    def _clear(self) -> None:
        """The plan goes last but for the lock: killed in between, the next run still knows whose folder this is."""
        self.work.remove_many([name for name in self.work.names() if name not in (PLAN, LOCK)])
        self.work.remove(PLAN)
        self._lock.remove()
        self.work.discard()

    def report(self) -> dict[str, Any]:
        """What the finished set's build wrote about it, as far as that is there; what the manifest knows is taken from there.

        `touched`: files of the source have been changed since, although names and lengths are the same.
        """
        told: Any = {}
        with suppress(FileNotFoundError, ValueError):
            told = json.loads(self.out.read(REPORT))
        told = told if isinstance(told, dict) else {}
        found = manifest.parse(self.out.read(manifest.FILE), f"{self.out}/{manifest.FILE}")
        kept = {key: value for key, value in told.items() if isinstance(value, type(LEFT_OUT.get(key, value)))}
        touched = "times" in told and told["times"] != self._plan["times"]
        return LEFT_OUT | kept | facts(found) | {"touched": touched}

    def abandon(self) -> None:
        """Leave nothing behind: used when nothing could be built."""
        self._clear()
        if self.created:
            self.out.discard()

    def pause(self) -> None:
        """Leave what is finished for a later run of the same build."""
        self._lock.release()


def _of_birth(name: str) -> bool:
    """Whether a build that was killed in its first moments may have left this."""
    return name == LOCK or (name.startswith(f".{PLAN}.") and name.endswith(".tmp"))
