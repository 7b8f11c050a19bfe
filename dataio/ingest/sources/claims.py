"""Which sound files beside videos belong to which, by their names, and what to say of those that belong to none."""

import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from dataio.format.clip import PAIRS
from dataio.ingest.sources.recording import Refused

_NEIGHBOURS = 8  # videos before and behind in the alphabet, among which the nearest name is looked for: there may be 64,250


class Claims:
    """The sound files of a folder layout, each claimed by the video of its name or by none.

    A sound is claimed by the video beside it with its stem, or with its stem less the name of a pair, in exactly these letters.
    """

    def __init__(self, videos: Sequence[Path], sounds: Sequence[Path]) -> None:
        places = {(video.parent, video.stem) for video in videos}
        folded = {(parent, _folded(stem)) for parent, stem in places}
        self._of: dict[tuple[Path, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        self._alike: dict[tuple[Path, str], list[Path]] = defaultdict(list)
        self._free: list[Path] = []
        for sound in sounds:
            at = sound.parent
            claimed = next(((stem, pair) for stem, pair in _readings(sound.stem) if (at, stem) in places), None)
            alike = next((stem for stem, _ in _readings(_folded(sound.stem)) if (at, stem) in folded), None)
            if claimed:
                self._of[at, claimed[0]][claimed[1]].append(sound)
            elif alike:
                self._alike[at, alike].append(sound)
            else:
                self._free.append(sound)
        self._beside: dict[Path, list[str]] = defaultdict(list)
        for parent, stem in sorted(places):
            self._beside[parent].append(stem)

    def of(self, video: Path) -> dict[str, list[Path]]:
        """Pair → the sounds that this video claims."""
        return self._of.get((video.parent, video.stem), {})

    def alike(self, video: Path) -> list[Path]:
        """Sounds that no video claims, and this one would but for capitals: a slip, or a file system that knew no capitals."""
        return self._alike.get((video.parent, _folded(video.stem)), [])

    def unclaimed(self, root: Path) -> Iterator[Refused]:
        """Every sound that belongs to no video, in the order of the names, with the nearest name that would."""
        for sound in self._free:
            names = self._beside.get(sound.parent, [])
            at = bisect_left(names, sound.stem)
            near = names[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS]
            possible = [name for stem in near for name in (stem, *(f"{stem}.{pair}" for pair in PAIRS))]
            nearest = get_close_matches(sound.stem, possible, 1)
            name = sound.relative_to(root).as_posix()
            hint = f"the nearest name that does is {nearest[0]}{sound.suffix}" if nearest else "no video beside it has such a name"
            yield Refused(name, f"{name} belongs to no video; {hint}")


def _readings(stem: str) -> list[tuple[str, str]]:
    """Stem of the video and pair that the stem of a sound may tell: the pair may be no more than a part of the video's name."""
    before, _, tail = stem.rpartition(".")
    return [(before, tail), (stem, "front")] if before and tail in PAIRS else [(stem, "front")]


def _folded(stem: str) -> str:
    """The same for names that differ in capitals only, or in how Unicode spells the same letters (macOS has its own way)."""
    return unicodedata.normalize("NFC", stem).casefold()
