"""What a source has to offer to a build: its units, what is wrong with the rest, and what tells it from every other source."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dataio.format.clip import slug
from dataio.ingest import deal, inputs, sources
from dataio.ingest.errors import SourceError
from dataio.ingest.options import BuildOptions
from dataio.ingest.sources import Album, Recording, Refused
from dataio.ingest.sources.images import albums
from dataio.ingest.work import Unit, files


@dataclass(frozen=True)
class Material:
    """units: by name. skipped: name → why it cannot be used. weights: bytes to be read of each unit.

    plan: what identifies a build of it. `options` go into the manifest: the options, and the names and lengths of all that is read;
    the same content gives the same set wherever and whenever it was copied. `times` are held against a build that goes on only.
    """

    source: Path
    units: dict[str, Unit]
    skipped: dict[str, str]
    weights: dict[str, int]
    plan: dict[str, Any]
    _seen: dict[str, tuple[int, int]]

    def splits(self, shares: dict[str, float]) -> dict[str, str]:
        """The split of each unit: the source's word where it has one, the shares for the rest."""
        families = {name: unit.family for name, unit in self.units.items() if isinstance(unit, Recording)}
        return deal.splits({name: unit.split for name, unit in self.units.items()}, shares, families)

    def check(self) -> None:
        """That its recordings are what they were when they were surveyed, as far as they are still there.

        Raises:
            SourceError: one was changed, so that nobody knows what was built.
        """
        if changed := inputs.changed(self.source, self._seen):
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            raise SourceError(f"{changed[0]} was changed while it was built from{more}: build again, into another folder")


def survey(source: Path, options: BuildOptions, shares: dict[str, float]) -> Material:
    """List a source.

    Raises:
        SourceError: it holds nothing that can be used, or two units of one name. OSError: it cannot be read, or disappears.
    """
    layout = sources.layout_of(source, options.layout)
    odd, names = inputs.look_through(source, layout)
    found = [_nameable(f) for f in _find(source, layout, shares, options)]
    twice = [name for name, count in Counter(f.name for f in found).items() if count > 1]
    if twice:
        raise SourceError(f"{source} holds more than one recording {twice[0]}: names without suffix must differ")
    units = {f.name: f for f in found if not isinstance(f, Refused)}
    skipped = odd | {f.name: f.reason for f in found if isinstance(f, Refused)}
    if inputs.look_through(source, layout) != (odd, names):
        raise OSError(f"the source {source} changed, or has disappeared, while it was listed; nothing has been written")
    if not units:
        raise SourceError(nothing(source, skipped))
    sizes: dict[str, int] = {}
    seen: dict[str, tuple[int, int]] = {}
    weights: dict[str, int] = {}
    for unit in units.values():
        if isinstance(unit, Album):  # a million pictures are not asked one by one when they were last changed
            weights[unit.name] = sum(picture.length for picture in unit.pictures)
            sizes |= {f"{picture.source} {picture.label}": picture.length for picture in unit.pictures}
        else:
            facts = {path: path.stat() for path in files(unit)}
            weights[unit.name] = sum(fact.st_size for fact in facts.values())
            seen |= {path.relative_to(source).as_posix(): (fact.st_size, fact.st_mtime_ns) for path, fact in facts.items()}
    chosen = asdict(options) | {"layout": layout}
    if layout != "images":
        chosen["encode"]["still"] = None  # the size that was asked for is that of frames
    chosen["source"] = _digest([[f.name for f in found], sizes | {name: size for name, (size, _) in seen.items()}])
    plan = {"options": json.loads(json.dumps(chosen)), "times": _digest({name: time for name, (_, time) in seen.items()})}
    return Material(source, units, skipped, weights, plan, seen)


def _find(source: Path, layout: str, shares: dict[str, float], options: BuildOptions) -> Sequence[Unit | Refused]:
    """All recordings or albums of the source, and what of it cannot be used."""
    if layout == "images":
        return albums(source, shares)
    return sources.find(source, layout, allow_mono=options.allow_mono)


def _nameable(found: Unit | Refused) -> Unit | Refused:
    """The unit, or why its name makes no key. Different names make different keys, so nothing can collide after this."""
    if isinstance(found, Refused):
        return found
    try:
        slug(found.name)
    except ValueError as error:
        return Refused(found.name, str(error))
    return found


def nothing(source: Path, skipped: dict[str, str]) -> str:
    reasons = "; ".join(list(skipped.values())[:3]) + (f"; and {len(skipped) - 3} more" if len(skipped) > 3 else "")
    return f"nothing in {source} could be built: {reasons}"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode(errors="surrogateescape")).hexdigest()
