"""What clips say of themselves, and what all of a set have in common."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataio.audit.reindex.texts import number
from dataio.audit.reindex.values import agreed, exact, few, few_rows
from dataio.format import index, manifest
from dataio.format.clip import EARS, PAIRS

_CLASSES = 2**20  # labels above are no numbers of classes
_FRAME = re.compile(r"f\d{3}\.jpg")
_CONTAINERS = ("mp4", "webm")
_PAIR_OF = {f"{pair}.{suffix}": pair for pair in PAIRS for suffix in ("wav", "flac")}


@dataclass(frozen=True)
class Seen:
    """What the clips of a tar, or of all tars, say of themselves.

    everywhere: extensions that every clip has. pairs: those that any clip has. The rest are the different values that were met, at
    most two of each, because only a value that is alone is common to all: seconds, frames a clip, (height, width) of frames, rates
    (Hz), and how picture and sound are kept, if the clips' json says so. rms: ear → how many clips gave a value, and floats with
    the exact sum of those values.
    """

    everywhere: frozenset[str] = frozenset()
    pairs: frozenset[str] = frozenset()
    seconds: tuple[float, ...] = ()
    frames: tuple[int, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    rates: tuple[int, ...] = ()
    pictures: tuple[str, ...] = ()
    sounds: tuple[str, ...] = ()
    classes: Mapping[int, str | None] = field(default_factory=dict)
    rms: Mapping[str, tuple[int, tuple[float, ...]]] = field(default_factory=dict)


NOTHING = Seen()


def seen(entry: index.ShardIndex, facts: list[dict[str, Any]]) -> Seen:
    """Of one tar. facts: what the clips' json say."""

    def which(wanted: Callable[[str], object]) -> np.ndarray:
        """The members of the wanted extensions."""
        return np.array([bool(wanted(extension)) for extension in entry.extensions], bool)[entry.members["extension"]]

    m = entry.members
    frame, sound = which(_FRAME.fullmatch), which(_PAIR_OF.__contains__)
    picture = frame | which(_CONTAINERS.__contains__)
    if frame.any():
        frames = [count for (count,) in few_rows(np.bincount(m["clip"][frame], minlength=len(entry)))]
    else:
        frames = [len(fact["frame_times"]) for fact in facts if isinstance(fact.get("frame_times"), list)]
    rates = [int(rate) for fact in facts if (rate := number(fact.get("sound_rate"))) is not None]
    rms: dict[str, list[float]] = {}
    for fact in facts:
        if isinstance(levels := fact.get("rms"), dict):
            for ear in EARS:
                if (level := number(levels.get(ear))) is not None:
                    rms.setdefault(ear, []).append(level)
    return Seen(
        everywhere=frozenset(extension for extension in entry.extensions if (entry.column(extension) >= 0).all()),
        pairs=frozenset(_PAIR_OF[e] for e in entry.extensions if e in _PAIR_OF),
        seconds=few(s for fact in facts if (s := number(fact.get("seconds"))) is not None),
        frames=few(frames),
        sizes=few_rows(m["height"][picture], m["width"][picture]),  # type: ignore[arg-type]
        rates=few(rates) or few(rate for (rate,) in few_rows(m["rate"][sound])),
        pictures=few(fact["picture"] for fact in facts if isinstance(fact.get("picture"), str)),
        sounds=few(e.rpartition(".")[2] for e in entry.extensions if e in _PAIR_OF),
        classes=agreed(_classes(facts)),
        rms={ear: (len(values), exact(values)) for ear, values in rms.items()},
    )


def _classes(facts: list[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """Labels of an image set, and what the clips call them."""
    for fact in facts:
        label, name = fact.get("label"), fact.get("class")
        if isinstance(label, int) and isinstance(name, str) and 0 <= label < _CLASSES:
            yield label, name


def together(tars: Iterable[Seen]) -> Seen:
    """What all tars together say."""
    every = list(tars)

    rms: dict[str, tuple[int, tuple[float, ...]]] = {}
    for ear in EARS:
        sums = [one.rms[ear] for one in every if ear in one.rms]
        if sums:
            rms[ear] = sum(count for count, _ in sums), exact([part for _, parts in sums for part in parts])
    return Seen(
        everywhere=frozenset.intersection(*(one.everywhere for one in every)),
        pairs=frozenset().union(*(one.pairs for one in every)),
        seconds=few(value for one in every for value in one.seconds),
        frames=few(value for one in every for value in one.frames),
        sizes=few(value for one in every for value in one.sizes),
        rates=few(value for one in every for value in one.rates),
        pictures=few(value for one in every for value in one.pictures),
        sounds=few(value for one in every for value in one.sounds),
        classes=agreed(named for one in every for named in one.classes.items()),
        rms=rms,
    )


def media(seen: Seen) -> manifest.Media:
    """What all clips have in common. A class that no clip is of has no name."""

    def common(values: tuple[Any, ...], otherwise: Any) -> Any:
        return values[0] if len(values) == 1 else otherwise

    picture = "jpeg" if "f000.jpg" in seen.everywhere else common(seen.pictures, "still" if "jpg" in seen.everywhere else "")
    certain = None not in seen.classes.values()
    copied = picture == "copy"  # as the recordings were: the next set like it may differ, so nothing is said to be common
    sound = {"wav": "pcm", "flac": "flac"}.get(common(seen.sounds, ""), "")
    return manifest.Media(
        clip_seconds=common(seen.seconds, 0.0),
        frames=0 if copied else common(seen.frames, 0),
        size=(0, 0) if copied else common(seen.sizes, (0, 0)),
        rate=common(seen.rates, 0),
        pairs=tuple(pair for pair in PAIRS if pair in seen.pairs),
        picture=picture,
        sound=sound,
        extras=tuple(kind for kind in ("flow", "mask", "labels") if f"{kind}.png" in seen.everywhere),
        classes=tuple(seen.classes.get(label) or "" for label in range(max(seen.classes, default=-1) + 1)) if certain else (),
    )
