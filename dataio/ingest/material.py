"""What a source has to offer to a build: its units, what is wrong with the rest, and what tells it from every other source."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dataio.format.clip import slug
from dataio.ingest import deal, inputs, sources
from dataio.ingest.errors import SourceError
from dataio.ingest.options import BuildOptions
from dataio.ingest.sources import Album, Recording, Refused
from dataio.ingest.sources.images import albums
from dataio.ingest.work import Unit, files

_PACKAGES = ("av", "numpy", "opencv-python-headless", "opencv-python", "simplejpeg", "sonosphere", "soundfile", "torchaudio")
_NAMED = 200_000  # files whose facts a plan keeps one by one


@dataclass(frozen=True)
class Material:
    """units: by name. skipped: name → why it cannot be used. weights: bytes to be read of each unit.

    plan: what identifies a build of it. `options` go into the manifest: the options, and the names and lengths of all that is read;
    the same content gives the same set wherever and whenever it was copied. The rest is held against a build that goes on only:
    `versions` of what encodes, `times` when the files were last changed (a digest), and `files` to name one that differs.
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
        if isinstance(unit, Album):
            weights[unit.name] = sum(picture.length for picture in unit.pictures)
            sizes.update((f"{picture.source} {picture.label}", picture.length) for picture in unit.pictures)
            for name in {picture.file: None for picture in unit.pictures}:
                if name not in seen:  # a tar has pictures in many albums
                    fact = (source / name).stat()
                    seen[name] = fact.st_size, fact.st_mtime_ns
        else:
            facts = {path.relative_to(source).as_posix(): path.stat() for path in files(unit)}
            weights[unit.name] = sum(fact.st_size for fact in facts.values())
            sizes.update((name, fact.st_size) for name, fact in facts.items())
            seen.update((name, (fact.st_size, fact.st_mtime_ns)) for name, fact in facts.items())
    chosen = asdict(options) | {"layout": layout}
    if layout != "images":
        chosen["encode"]["still"] = None  # the size that was asked for is that of frames
    chosen["source"] = _digest([[f.name for f in found], sizes])
    plan = {
        "options": json.loads(json.dumps(chosen)),
        "versions": versions(),
        "times": _digest({name: time for name, (_, time) in seen.items()}),
        "files": {_plain(name): f"{size} {time}" for name, (size, time) in seen.items()} if len(seen) <= _NAMED else {},
    }
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


def versions() -> dict[str, str]:
    """Of the packages that decide the bytes of a set: two of one of them may encode differently."""
    found = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def difference(begun: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    """What tells two plans apart, in a few words: an option, a version or a file, the first that differs."""
    for kind, what in (("options", ""), ("versions", "version of ")):
        one, other = _flat(begun.get(kind, {})), _flat(plan.get(kind, {}))
        for name in sorted(one.keys() | other.keys()):
            if name != "source" and one.get(name) != other.get(name):
                return f"{what}{name} is {_value(other.get(name))} now, and was {_value(one.get(name))}"
    one, other = begun.get("files", {}), plan.get("files", {})
    for name in sorted(one.keys() | other.keys()) if one and other else ():
        if name not in one or name not in other:
            return f"{name} was {'not there' if name in other else 'there'} before"
        if one[name] != other[name]:
            return f"{name} has been changed since"
    return "its files are others, or have been changed since"


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in options.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def _value(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else "not given" if value is None else str(value)


def _plain(name: str) -> str:
    """A file name as it can be told: it need not be UTF-8."""
    return name.encode(errors="backslashreplace").decode()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode(errors="surrogateescape")).hexdigest()
