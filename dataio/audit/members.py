"""Deep checks: every member of a sample is decoded, and must be what index, manifest and the sample's own json say."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataio.audit.decoding import Decoded, UndecodableError, decoder
from dataio.audit.frames import check_frames, check_size, check_times
from dataio.format.clip import pair_extension, slug
from dataio.format.index import Facts
from dataio.format.manifest import Media

_RMS = 1e-9  # of full scale; the builder computed it from the same samples


@dataclass(frozen=True)
class Sample:
    """The members of one clip. recording, start: by the index. split: by the manifest. files: extension → bytes. facts: extension →
    what the index says.
    """

    key: str
    recording: str
    start: float
    split: str
    files: dict[str, bytes]
    facts: dict[str, Facts]


def check_sample(sample: Sample, media: Media, on_level: Callable[[str, float], None]) -> Iterator[tuple[str, str]]:
    """(extension, what is wrong). on_level: told (ear, RMS) by the sample's json."""
    decoded: dict[str, Decoded] = {}
    for extension, data in sample.files.items():
        decode = decoder(extension)
        if decode is None:
            continue
        try:
            decoded[extension] = decode(data)
        except UndecodableError as error:
            yield extension, str(error)
            continue
        yield from ((extension, what) for what in _against_index(sample.facts[extension], decoded[extension].facts))
    if media.clip_seconds:
        yield from _clip(sample, decoded, media, on_level)
    elif media.picture == "still":
        yield from _still(sample, decoded, media)


def _against_index(said: Facts, found: Facts) -> Iterator[str]:
    """Zeros in the index say nothing; where PCM begins is seen when it is decoded."""
    for name in ("height", "width", "rate", "channels", "samples", "frames"):
        if getattr(said, name) not in (0, getattr(found, name)):
            yield f"its {name} is {getattr(found, name)}, the index says {getattr(said, name)}"


def _still(sample: Sample, decoded: dict[str, Decoded], media: Media) -> Iterator[tuple[str, str]]:
    pictures = [extension for extension in decoded if extension.rpartition(".")[2].lower() in ("jpg", "jpeg", "png", "webp")]
    if "jpg" not in sample.files:
        yield "jpg", "the sample has no picture"
    for extension in pictures if any(media.size) else ():
        yield from ((extension, what) for what in check_size(decoded[extension].facts, media.size))
    facts = decoded["json"].value if "json" in decoded else {}
    if not media.classes or not isinstance(facts, dict):
        return
    label = facts.get("label")
    if not isinstance(label, int) or not 0 <= label < len(media.classes):
        yield "json", f"its label {label!r} is none of the {len(media.classes)} classes"
    elif facts.get("class") not in (None, media.classes[label]):
        yield "json", f"its class is {facts['class']!r}, the manifest calls label {label} {media.classes[label]!r}"
    yield from _split(facts, sample)


def _split(facts: dict[str, Any], sample: Sample) -> Iterator[tuple[str, str]]:
    if facts.get("split") not in (None, sample.split):
        yield "json", f"its split is {facts['split']!r}, the manifest says {sample.split!r}"


def _clip(
    sample: Sample, decoded: dict[str, Decoded], media: Media, on_level: Callable[[str, float], None]
) -> Iterator[tuple[str, str]]:
    facts: Any = decoded["json"].value if "json" in decoded else None
    try:
        levels = {str(ear): float(level) for ear, level in facts["rms"].items()}
        times = [float(time) for time in facts["frame_times"]]
        start, seconds = float(facts["start"]), float(facts["seconds"])
        recording = slug(facts["recording"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield "json", f"no facts of a clip: {type(error).__name__}: {error}"
        return
    if seconds != media.clip_seconds:
        yield "json", f"the clip lasts {seconds} s, the manifest says {media.clip_seconds}"
    if (recording, start) != (sample.recording, sample.start):
        yield "json", f"it is of {recording} at {start} s, the index says {sample.recording} at {sample.start} s"
    if media.rate and facts.get("sound_rate") not in (None, media.rate):
        yield "json", f"its sound rate is {facts['sound_rate']!r}, the manifest says {media.rate}"
    yield from _split(facts, sample)
    yield from check_frames(decoded, sample.files, media, facts)
    yield from check_times(times, start, seconds, media)
    for kind in media.extras:
        if f"{kind}.png" not in sample.files:
            yield f"{kind}.png", "is missing, though the manifest says that every clip has it"
    for extension in ("flow.png", "mask.png", "labels.png"):
        if extension in decoded and any(media.size):
            yield from ((extension, what) for what in check_size(decoded[extension].facts, media.size))
        if extension in decoded and extension != "flow.png" and decoded[extension].value.shape[2:]:
            yield extension, "is no picture of one channel"
    if "mask.png" in decoded and not np.isin(decoded["mask.png"].value, (0, 255)).all():
        yield "mask.png", "holds values other than 0 and 255"
    for pair in media.pairs:
        yield from _pair(pair, sample, decoded, media, levels)
    for ear, level in levels.items():
        on_level(ear, level)


def _pair(
    pair: str, sample: Sample, decoded: dict[str, Decoded], media: Media, levels: dict[str, float]
) -> Iterator[tuple[str, str]]:
    """A pair that this clip lacks is lacking in its json, too."""
    kind = {"pcm": "wav", "flac": "flac"}.get(media.sound)
    found = [pair_extension(pair, each) for each in ("wav", "flac") if pair_extension(pair, each) in sample.files]
    if not found and any(f"{pair}.{ear}" in levels for ear in "LR"):
        yield pair_extension(pair, kind or "wav"), "is missing, though the clip's json tells its RMS"
    for extension in found:
        if kind and extension != pair_extension(pair, kind):
            yield extension, f"the manifest says that sound is kept as {media.sound}"
        if extension not in decoded:
            continue
        pcm, facts = decoded[extension].value, decoded[extension].facts
        expected = 2, media.rate or facts.rate, round(media.clip_seconds * (media.rate or facts.rate))
        if (facts.channels, facts.rate, facts.samples) != expected:
            yield extension, f"(channels, rate, samples) = {(facts.channels, facts.rate, facts.samples)}; expected {expected}"
            continue
        wide = pcm.astype(np.float64)
        for side, ear in enumerate("LR"):
            rms = math.sqrt(float(wide[:, side] @ wide[:, side]) / max(1, len(wide))) / 32768
            said = levels.get(f"{pair}.{ear}")
            if said is None or not abs(said - rms) <= _RMS:
                yield extension, f"RMS of {ear} is {rms:.9f}, its json says {said}"
