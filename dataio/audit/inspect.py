"""One HTML file that shows what a set holds: facts, a few clips to see and hear, how it is spread and mixed, what was left out.

Self-contained: pictures and sounds are data URIs, there is no script, and nothing is fetched. All text comes from the set, and so
from others: it is escaped, cut to a length, and freed of control characters.

However large the set, a bounded part of it is read: manifest and build.json, the indexes of 64 shards, the json of about a thousand
clips, and the clips that are shown. Which ones is a pure function of the fingerprint and a seed.
"""

import base64
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dataio.audit import figures, mixing
from dataio.audit.facts import binary, dbfs, describe, duration, facts, flat, level, plain, rounded
from dataio.audit.stats import levels_in
from dataio.format import index, manifest
from dataio.format.clip import EARS, PAIRS
from dataio.format.table import FormatError
from dataio.stream import order

SHARDS = 64  # indexes read at most
JSONS = 1024  # json members read for the levels and classes, about
STILLS = 48  # pictures on the contact sheet of an image set
MEMBER = 64 * 2**20  # bytes; larger members are named, not shown
_JSON = 2**20  # bytes of a json member that are still facts
_SECONDS = 10.0  # of a sound that are shown
_TEXT, _ROWS = 300, 40  # characters of a text of others, rows of a table of such texts
_FRAMES = 8  # of a clip that are shown

_FRAME = re.compile(r"f\d{3,}\.jpe?g")
_PICTURES, _VIDEOS = ("jpg", "jpeg", "png", "webp", "bmp"), ("mp4", "webm", "mkv", "mov", "avi")
_SOUNDS, _TEXTS = ("wav", "flac", "ogg", "mp3"), ("txt", "text", "cls", "caption", "csv", "xml")

T = TypeVar("T")


@dataclass(frozen=True)
class Clip:
    """A clip that may be shown. members: extension → (offset, length, CRC-32C or −1, frames), in the order of the tar."""

    shard: str
    split: str
    key: str
    recording: str
    start: float
    members: dict[str, tuple[int, int, int, int]]


@dataclass
class Look:
    """What was seen of the sampled shards, in the order in which they were drawn.

    counts: shard row → {recording id: clips}. sequence: shard row → recording id of its clips as stored. sizes: kind → lengths of
    members; bytes, members: of each kind, exactly. ends: recording id → start of its last clip seen. candidates: one list a shard.
    levels: ear → RMS of clips. classes: clips of each. broken: what could not be read.
    """

    counts: dict[int, dict[int, int]] = field(default_factory=dict)
    sequence: dict[int, np.ndarray] = field(default_factory=dict)
    sizes: dict[str, list[np.ndarray]] = field(default_factory=dict)
    bytes: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)
    ends: dict[int, float] = field(default_factory=dict)
    candidates: list[list[Clip]] = field(default_factory=list)
    levels: dict[str, list[float]] = field(default_factory=dict)
    classes: Counter[str] = field(default_factory=Counter)
    jsons: int = 0
    broken: list[str] = field(default_factory=list)


def inspect(folder: Path, *, clips: int = 6, seed: int = 0) -> str:
    """The report on a set, as HTML; the same set, count and seed give the same text.

    A shard, a member or a build.json that cannot be read is named in the report, which tells what the rest holds.

    Args:
        clips: shown, of as many recordings as there are. About half a megabyte each, with four pairs and eight frames.
        seed: another seed, other clips.

    Raises:
        FileNotFoundError: there is no finished set. FormatError: its manifest is damaged.
        ValueError: a negative number of clips.
    """
    import jinja2

    if clips < 0:
        raise ValueError(f"clips={clips} must be 0 or more")
    found = manifest.load(folder)
    still = found.media.picture == "still"
    stream = order.key("inspect", found.fingerprint, seed)
    rows = sampled_shards(found, stream)
    look = look_into(folder, found, rows, stream, STILLS if still else clips)
    shown = [clip_view(folder, clip, found) for clip in chosen(look.candidates, 0 if still else clips)]
    f = facts(found)
    report = {
        "title": plain(folder.resolve().name)[:_TEXT],
        "f": f,
        "facts": [(name, text) for name, text in describe(f) if name in ("shards", "frames", "sound", "also")],
        "fingerprint": plain(f["fingerprint"]),
        "cards": _cards(f),
        "splits": _splits(f),
        "clips": shown,
        "stills": [v for clip in chosen(look.candidates, STILLS) if (v := still_view(folder, clip, found))] if still else [],
        "wheel": _uri("png", figures.wheel()) if any("flow" in clip for clip in shown) else "",
        "charts": _charts(found, look, complete=len(look.counts) == len(found)),
        "kinds": _kinds(look),
        "levels": _level_rows(f),
        "mixing": [] if still else _mixing(found, look, stream),
        "left_out": left_out(folder),
        "options": _cut(flat(found.options)),
        "sampled": {"shards": len(look.counts), "of": len(found), "jsons": look.jsons, "seed": seed},
        "broken": [plain(line)[:_TEXT] for line in look.broken[:_ROWS]],
        "broken_more": max(0, len(look.broken) - _ROWS),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"binary": binary, "duration": duration}
    html = environment.get_template("inspect.html").render(r=report)
    return html.encode(errors="replace").decode()  # half a surrogate pair in a json is no text


# what is read


def sampled_shards(found: manifest.Manifest, stream: int, most: int = SHARDS) -> list[int]:
    """Rows of up to `most` shards, in random order: first enough of each split for a window, then each split by its share."""
    ranked = []
    for number in range(len(found.splits)):
        rows = np.flatnonzero(found.shards["split"] == number)
        for i, at in enumerate(order.permutation(order.key(stream, "shards", number), len(rows))[:most]):
            ranked.append((i >= mixing.WINDOW, (i + 0.5) / len(rows), number, int(rows[at])))
    return [row for *_, row in sorted(ranked)[:most]]


def look_into(folder: Path, found: manifest.Manifest, rows: Sequence[int], stream: int, clips: int) -> Look:
    """Read the indexes of these shards and the json of some of their clips. clips: that may be shown, wanted in all."""
    look = Look()
    for row in rows:
        name = found.name(row)
        try:
            data = (folder / f"{name}.npz").read_bytes()
            if index.crc32c(np.frombuffer(data, np.uint8)) != found.shards["index_crc"][row]:
                raise FormatError(f"{name}.npz does not match its checksum in the manifest")
            entry = index.load(data, f"{name}.npz")
            ids = found.shard_recordings(row)
            if len(ids) != len(entry.recordings) or len(entry) != found.shards["clips"][row]:
                raise FormatError(f"{name}.npz has other clips or recordings than the manifest says")
        except (OSError, FormatError) as error:
            look.broken.append(_reason(error, folder))
            continue
        _count(look, entry, row, ids)
        mixed = order.permutation(order.key(stream, "clips", row), len(entry))
        split = found.splits[found.shards["split"][row]]
        _read_jsons(look, folder, entry, np.sort(mixed[: max(1, JSONS // len(rows))]), found.media.classes)
        look.candidates.append(_candidates(entry, split, mixed, clips))
    return look


def _count(look: Look, entry: index.ShardIndex, row: int, ids: np.ndarray) -> None:
    sequence = ids[entry.clips["recording"]]
    look.sequence[row] = sequence
    numbers, counts = np.unique(sequence, return_counts=True)
    look.counts[row] = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    last = np.full(len(ids), -np.inf)
    np.maximum.at(last, entry.clips["recording"], entry.clips["start"])
    for number, start in zip(ids.tolist(), last.tolist(), strict=True):
        if math.isfinite(start):
            look.ends[number] = max(look.ends.get(number, start), start)
    lengths, extension = entry.members["length"], entry.members["extension"]
    for i, name in enumerate(entry.extensions):
        mine = lengths[extension == i]
        if not len(mine):
            continue
        kind = "f000.jpg ..." if _FRAME.fullmatch(name) else name
        look.bytes[kind] += int(mine.sum())
        look.members[kind] += len(mine)
        look.sizes.setdefault(kind, []).append(mine[:: -(-len(mine) // 4096)])


def _candidates(entry: index.ShardIndex, split: str, mixed: np.ndarray, most: int) -> list[Clip]:
    """Up to `most` clips of a shard: first one of each recording, then further ones."""
    recording = entry.clips["recording"][mixed]
    _, first = np.unique(recording, return_index=True)
    ranked = np.concatenate([np.sort(first), np.setdiff1d(np.arange(len(mixed)), first)])[:most]
    result = []
    m = entry.members
    for clip in mixed[ranked]:
        members = {}
        for row in np.sort(entry.row[clip][entry.row[clip] >= 0]):
            crc = int(m["crc"][row]) if entry.checksums else -1
            members[entry.extensions[m["extension"][row]]] = (
                int(m["offset"][row]),
                int(m["length"][row]),
                crc,
                int(m["frames"][row]),
            )
        name = entry.recordings[entry.clips["recording"][clip]]
        key = entry.clips["key"][clip].decode(errors="replace")
        result.append(Clip(entry.name, split, key, name, float(entry.clips["start"][clip]), members))
    return result


def chosen(candidates: Sequence[Sequence[Clip]], most: int) -> list[Clip]:
    """`most` clips of as many recordings, and then as many shards, as there are."""
    queue = [(i, j, clip) for j, clips in enumerate(candidates) for i, clip in enumerate(clips)]
    used: Counter[str] = Counter()
    result: list[Clip] = []
    while queue and len(result) < most:
        best = min(queue, key=lambda c: (used[c[2].recording], *c[:2]))
        queue.remove(best)
        used[best[2].recording] += 1
        result.append(best[2])
    return result


def _read_jsons(look: Look, folder: Path, entry: index.ShardIndex, clips: np.ndarray, classes: Sequence[str]) -> None:
    rows = entry.column("json")[clips]
    for row in rows[rows >= 0].tolist():
        m = entry.members
        place = int(m["offset"][row]), int(m["length"][row]), int(m["crc"][row]) if entry.checksums else -1
        try:
            known = _json(_read(folder / f"{entry.name}.tar", *place, most=_JSON))
            for ear, value in levels_in(known).items():
                if ear in EARS:
                    look.levels.setdefault(ear, []).append(value)
        except (OSError, ValueError) as error:
            look.broken.append(
                f"{entry.name}, {entry.clips['key'][m['clip'][row]].decode(errors='replace')}.json: {_reason(error, folder)}"
            )
            continue
        look.jsons += 1
        if classes and (name := class_name(known, classes)):
            look.classes[name] += 1


def _read(path: Path, offset: int, length: int, crc: int, most: int = MEMBER) -> bytes:
    """The bytes of a member. Raises ValueError where they are too many or not the right ones, OSError where they cannot be read."""
    if length > most:
        raise ValueError(f"is too large to be shown: {binary(length)}")
    with open(path, "rb") as tar:
        tar.seek(offset)
        data = tar.read(length)
    if len(data) < length or (crc >= 0 and index.crc32c(np.frombuffer(data, np.uint8)) != crc):
        raise ValueError("does not match its checksum" if len(data) == length else "lies beyond the end of its tar")
    return data


def _json(data: bytes) -> dict[str, Any]:
    """Raises ValueError unless these are the facts of a clip."""
    try:
        known = json.loads(data)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(known, dict):
        raise ValueError("is no JSON object")
    return known


def class_name(known: dict[str, Any], classes: Sequence[str]) -> str:
    """The class of a picture by its json, where it is a row of `classes` or a name; else nothing."""
    value = next((known[name] for name in ("class", "label", "cls") if name in known), None)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(classes):
        return plain(classes[value])[:_TEXT]
    return plain(value)[:_TEXT] if isinstance(value, str) else ""


# one clip


def clip_view(folder: Path, clip: Clip, found: manifest.Manifest) -> dict[str, Any]:
    """What the report shows of a clip: whatever of its members there is; what cannot be read or decoded is named in `problems`."""
    problems: list[str] = []
    view: dict[str, Any] = {
        "key": plain(clip.key)[:_TEXT],
        "recording": plain(clip.recording)[:_TEXT],
        "split": plain(clip.split)[:_TEXT],
        "shard": plain(clip.shard)[:_TEXT],
        "start": clip.start,
        "members": [(plain(name)[:_TEXT], binary(m[1])) for name, m in list(clip.members.items())[:200]],
        "problems": problems,
    }

    def attempt(name: str, show: Callable[[bytes], T]) -> T | None:
        if name not in clip.members:
            return None
        try:
            return show(_read(folder / f"{clip.shard}.tar", *clip.members[name][:3]))
        except Exception as error:  # decoders meet damage with a dozen kinds of exception
            problems.append(plain(f"{name}: {_reason(error, folder)}")[:_TEXT])
            return None

    known = attempt("json", _json) or {}
    view["json"] = _cut(attempt("json", lambda data: flat(known)) or []) if known else []
    frames, full = _frames(clip, known, attempt)
    if frames:
        view["film"] = [{"uri": _uri("jpeg", figures.jpeg(rgb, 288)), "time": time} for time, rgb in frames]
    if full is not None:
        view |= _sphere(full)
        for name, show in (("flow.png", _flow), ("mask.png", _mask), ("labels.png", _labels)):
            if (overlay := attempt(name, lambda data, show=show, full=full: show(full, data))) is not None:  # type: ignore[misc]
                view[name.removesuffix(".png")] = overlay
    view |= _sounds(clip, attempt)
    ours = {"flow.png", "mask.png", "labels.png"} if full is not None else set()
    others = [n for n in clip.members if n.endswith(_PICTURES) and not _FRAME.fullmatch(n) and n not in ours]
    uris = [(plain(n)[:_TEXT], attempt(n, lambda data: _uri("jpeg", figures.jpeg(picture(data), 360)))) for n in others[:8]]
    view["pictures"] = [(name, uri) for name, uri in uris if uri]
    texts = [n for n in clip.members if n.endswith(_TEXTS)][:8]
    said = [(plain(n)[:_TEXT], attempt(n, lambda data: plain(data[: 4 * _TEXT].decode(errors="replace"))[:_TEXT])) for n in texts]
    view["texts"] = [(name, text) for name, text in said if text]
    return view


def still_view(folder: Path, clip: Clip, found: manifest.Manifest) -> dict[str, str] | None:
    """A picture for the contact sheet and its class; None where it cannot be shown."""
    name = next((n for n in clip.members if n.endswith(_PICTURES)), None)
    if name is None:
        return None
    path = folder / f"{clip.shard}.tar"
    try:
        rgb = picture(_read(path, *clip.members[name][:3]))
        known = _json(_read(path, *clip.members["json"][:3], most=_JSON)) if "json" in clip.members else {}
    except Exception as error:  # decoders meet damage with a dozen kinds of exception
        return {"uri": "", "name": plain(f"{clip.key}: {_reason(error, folder)}")[:_TEXT]}
    label = class_name(known, found.media.classes)
    return {"uri": _uri("jpeg", figures.jpeg(figures.square(rgb), 160)), "name": label or plain(clip.key)[:_TEXT]}


def picture(data: bytes, mode: str = "RGB") -> np.ndarray:
    """A picture as (H, W, 3) uint8, or (H, W) for `L`. Raises ValueError where it has more pixels than can be shown."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP", "BMP"]) as image:
        if image.width * image.height > 2**26:
            raise ValueError(f"is too large to be shown: {image.height}x{image.width} pixels")
        if mode == "L" and image.mode == "P":  # class numbers with a palette for the eye
            return np.asarray(image)
        return np.asarray(image.convert(mode))


def _frames(
    clip: Clip, known: dict[str, Any], attempt: Callable[[str, Callable[[bytes], Any]], Any]
) -> tuple[list[tuple[str, np.ndarray]], np.ndarray | None]:
    """Up to 8 frames with their time stamps, and the frame that flow, mask and labels belong to (F/2)."""
    times = known.get("frame_times")
    times = [float(t) for t in times if _is_number(t)] if isinstance(times, list) else []
    stored = sorted(n for n in clip.members if _FRAME.fullmatch(n))
    if stored:
        wanted = sorted({i * len(stored) // _FRAMES for i in range(_FRAMES)} | {len(stored) // 2})
        decoded = [(i, attempt(stored[i], picture)) for i in wanted]
        frames = [(_stamp(times[i]) if i < len(times) else f"frame {i}", rgb) for i, rgb in decoded if rgb is not None]
        middle = next((rgb for i, rgb in decoded if i == len(stored) // 2 and rgb is not None), None)
        return frames[: _FRAMES + 1], middle
    name = next((n for n in clip.members if n.endswith(_VIDEOS)), None)
    if name is None:
        return [], None
    offset = known.get("offset") if _is_number(known.get("offset")) else None
    frames = attempt(name, lambda data: video_frames(data, clip, times, clip.members[name][3], offset)) or []
    return frames, frames[len(frames) // 2][1] if frames else None


def video_frames(data: bytes, clip: Clip, times: Sequence[float], count: int, offset: float | None) -> list[tuple[str, np.ndarray]]:
    """Up to 8 frames of a container at equal distances, at most 1024 pixels wide, with their time stamps.

    Args:
        times: of its frames, in seconds of the recording; may be empty. count: of its frames, 0 if that is not known.
        offset: seconds from its first frame to the beginning of the clip, for containers that were copied as recorded.
    """
    import av

    with av.open(io.BytesIO(data), "r", metadata_errors="replace") as container:
        stream = container.streams.video[0]
        seconds = float(container.duration or 0) / av.time_base
        count = count or stream.frames
        first = None
        result: list[tuple[str, np.ndarray]] = []
        for n, frame in enumerate(container.decode(stream)):
            time = float(frame.time or 0.0)
            first = time if first is None else first
            at, length = time - first - (offset or 0.0), seconds - (offset or 0.0)
            by_number = offset is None and count
            due = n * _FRAMES >= len(result) * count if by_number else at >= len(result) * length / _FRAMES - 1e-3
            if not due:
                continue
            width = min(1024, frame.width)
            rgb = frame.to_ndarray(format="rgb24", width=width, height=max(2, round(frame.height * width / frame.width)))
            stamp = times[n] if by_number and n < len(times) else clip.start + at
            result.append((_stamp(stamp), rgb))
            if len(result) == _FRAMES:
                break
        return result


def _sphere(rgb: np.ndarray) -> dict[str, Any]:
    """The frame as the viewer turns right, and the step across the recorded edges."""
    views = [{"uri": _uri("jpeg", figures.jpeg(figures.turned(rgb, d), 480)), "degrees": d} for d in (0, 90, 180, 270)]
    edge, typical = figures.seam(rgb)
    return {"turns": views, "edge": edge, "typical": typical}


def _flow(rgb: np.ndarray, data: bytes) -> dict[str, Any]:
    from dataio.format.flow import decode_flow

    flow, valid = decode_flow(data)
    over, fastest = figures.flow_overlay(_fit(rgb, valid), flow, valid)
    return {"uri": _uri("jpeg", figures.jpeg(over, 480)), "fastest": fastest, "valid": float(valid.mean())}


def _mask(rgb: np.ndarray, data: bytes) -> dict[str, Any]:
    mask = picture(data, "L")
    return {"uri": _uri("jpeg", figures.jpeg(figures.mask_overlay(_fit(rgb, mask), mask), 480)), "share": float((mask > 0).mean())}


def _labels(rgb: np.ndarray, data: bytes) -> dict[str, Any]:
    labels = picture(data, "L")
    counts = np.bincount(labels.ravel(), minlength=256)
    colours = figures.class_colours()
    top = [int(i) for i in np.argsort(-counts, kind="stable")[:10] if counts[i]]
    legend = [("#{:02x}{:02x}{:02x}".format(*colours[i]), i, _percent(counts[i] / labels.size)) for i in top]
    return {"uri": _uri("jpeg", figures.jpeg(figures.label_overlay(_fit(rgb, labels), labels), 480)), "legend": legend}


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "below 0.1 %"


def _fit(rgb: np.ndarray, over: np.ndarray) -> np.ndarray:
    """The frame at the size of what is laid over it."""
    from PIL import Image

    height, width = over.shape[:2]
    return rgb if rgb.shape[:2] == (height, width) else np.asarray(Image.fromarray(rgb).resize((width, height)))


def _sounds(clip: Clip, attempt: Callable[[str, Callable[[bytes], Any]], Any]) -> dict[str, Any]:
    """Waveform, spectrum and level of each ear, and the first pair to listen to."""
    ours = [f"{pair}.{kind}" for pair in PAIRS for kind in ("wav", "flac") if f"{pair}.{kind}" in clip.members]
    names = ours + [n for n in clip.members if n.endswith(_SOUNDS) and n not in ours][:8]
    heard = [(name, *found) for name in names if (found := attempt(name, _decode_sound)) is not None]
    ears = []
    for name, samples, rate in heard:
        side = ("left ear", "right ear") if name in ours and samples.shape[1] == 2 else [f"channel {i + 1}" for i in range(8)]
        for channel, said in zip(samples.T, side, strict=False):
            ears.append((f"{plain(name.rpartition('.')[0] or name)[:_TEXT]}, {said}", channel, rate, figures.spectrum(channel)))
    if not ears:
        return {}
    peak = max(float(np.abs(channel).max()) for _, channel, _, _ in ears)
    top = max(float(np.percentile(decibels, 99.9)) for *_, decibels in ears)
    views = [
        {
            "name": name,
            "wave": figures.envelope(channel, peak),
            "uri": _uri("jpeg", figures.spectrum_picture(decibels, top)),
            "level": level(rounded(dbfs(math.sqrt(float(np.mean(channel.astype(np.float64) ** 2)))))),
            "khz": rate / 2000,
            "seconds": len(channel) / rate,
        }
        for name, channel, rate, decibels in ears
    ]
    name, samples, rate = heard[0]
    return {
        "ears": views,
        "peak": level(rounded(dbfs(peak))),
        "top": f"{top:.0f} dB".replace("-", "−"),
        "listen": _listen(plain(name), samples, rate),
    }


def _decode_sound(data: bytes) -> tuple[np.ndarray, int]:
    """(samples, channels) float32 of full scale, the first ten seconds; rate in Hz."""
    import soundfile

    with soundfile.SoundFile(io.BytesIO(data)) as file:
        samples = file.read(int(_SECONDS * file.samplerate), dtype="float32", always_2d=True)
        if not len(samples):
            raise ValueError("holds no sound")
        return np.nan_to_num(samples), file.samplerate


def _listen(name: str, samples: np.ndarray, rate: int) -> dict[str, Any] | None:
    """The sound as an MP3 of 48 kHz, which every browser plays, raised to a peak of −3 dB; None where it is silent."""
    import soundfile

    count = round(len(samples) * 48_000 / rate)
    if count < 2 or float(np.abs(samples[:, :2]).max()) <= 0:
        return None
    # by Fourier transform, which suits a short piece and takes any rate
    lines = np.fft.rfft(samples[:, :2].astype(np.float64), axis=0)[: count // 2 + 1]
    sound = np.fft.irfft(lines, count, axis=0)
    buffer = io.BytesIO()
    gain = 10 ** (-3 / 20) / float(np.abs(sound).max())
    soundfile.write(buffer, sound * gain, 48_000, format="MP3", subtype="MPEG_LAYER_III")
    return {"name": name, "uri": _uri("mpeg", buffer.getvalue(), "audio"), "gain": 20 * math.log10(gain)}


def _stamp(seconds: float) -> str:
    """Seconds of a recording as `1:02:03.25`, `2:03.25` or `3.25 s`."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{minutes}:{rest:05.2f}"


# the whole set


def _cards(f: dict[str, Any]) -> list[tuple[str, str]]:
    still = f["picture"] == "still"
    cards = [(f"{f['clips']:,}", "pictures" if still else "clips" + (f" of {f['clip_seconds']:g} s" if f["clip_seconds"] else ""))]
    if f["hours"] is not None:
        cards.append((duration(f["hours"]), "in all"))
    if still:
        cards.append((f"{f['classes']:,}", "classes"))
    else:
        cards.append((f"{f['recordings']:,}", "recording" + "s" * (f["recordings"] != 1)))
    return [*cards, (binary(f["bytes"]), f"in {f['shards']:,} shard" + "s" * (f["shards"] != 1))]


def _splits(f: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": plain(name)[:_TEXT], "share": s["clips"] / max(1, f["clips"])} | s for name, s in list(f["splits"].items())[:_ROWS]
    ]


def _level_rows(f: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Pair, mean level of its left and of its right ear."""
    levels = f["mean_rms_dbfs"]
    return [(p, level(levels[f"{p}.L"]), level(levels[f"{p}.R"])) for p in PAIRS if f"{p}.L" in levels and f"{p}.R" in levels]


def _kinds(look: Look) -> list[dict[str, Any]]:
    """What the bytes of the shards looked into are."""
    total = sum(look.bytes.values())
    return [
        {
            "name": plain(kind)[:_TEXT],
            "members": look.members[kind],
            "mean": size / look.members[kind],
            "share": size / max(1, total),
            "percent": _percent(size / max(1, total)),
        }
        for kind, size in look.bytes.most_common(16)
    ]


def _charts(found: manifest.Manifest, look: Look, *, complete: bool) -> list[dict[str, str]]:
    """Histograms, each with a title and a sentence that says what was counted."""
    charts: list[tuple[str, str, bytes | None]] = []
    if look.levels:
        charts.append(_level_chart(look))
    if found.media.classes and look.classes:
        names = [name for name, _ in look.classes.most_common()]
        note = f"{len(names):,} of {len(found.media.classes):,} classes met in {look.jsons:,} pictures."
        charts.append(("Classes", note, figures.ranking(np.array([look.classes[name] for name in names]), names)))
    if found.media.clip_seconds and look.ends:
        seconds = np.array(list(look.ends.values())) + found.media.clip_seconds
        note = "To the end of the last clip" + (" of each." if complete else " met in the sampled shards, so a little short.")
        unit, values = ("minutes", seconds / 60) if seconds.max() > 180 else ("seconds", seconds)
        charts.append(_histogram("Length of the recordings", note, values, unit, "recordings"))
    if complete and found.media.picture != "still" and look.counts:
        clips = np.array(list(mixing.together(list(look.counts.values())).values()))
        charts.append(_histogram("Clips of a recording", "", clips, "clips", "recordings"))
    if look.sizes:
        rows = {figures.label(kind): {"": np.concatenate(look.sizes[kind])} for kind, _ in look.bytes.most_common(10)}
        charts.append(("Size of the members", "By kind; each as high as its fullest bin.", figures.ridges(rows, "", sizes=True)))
    if len(found):
        note = f"All {len(found):,} shards."
        charts.append(_histogram("Clips in a shard", note, found.shards["clips"], "clips", "shards"))
        unit, scale = ("MiB", 2**20) if found.shards["bytes"].max() >= 2**20 else ("KiB", 2**10)
        charts.append(_histogram("Bytes in a shard", note, found.shards["bytes"] / scale, unit, "shards"))
    return [{"title": title, "note": note, "uri": _uri("png", png) if png else ""} for title, note, png in charts]


def _histogram(title: str, note: str, values: np.ndarray, unit: str, what: str) -> tuple[str, str, bytes | None]:
    """A chart; where there is one value only, the note says it."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * abs(high):
        said = f"{_number(high)} {unit if high != 1 else unit.removesuffix('s')}"
        return title, f"{said}, all {len(values):,} {what}." if len(values) > 1 else f"{said}, the only one.", None
    return title, f"{_number(low)} to {_number(high)} {unit}. {note}", figures.bars(values, unit, what)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value.is_integer() else f"{value:.1f}"


def _level_chart(look: Look) -> tuple[str, str, bytes | None]:
    rows: dict[str, dict[str, np.ndarray]] = {}
    silent = 0
    for pair in PAIRS:
        for side, name in (("L", "left"), ("R", "right")):
            values = np.array(look.levels.get(f"{pair}.{side}", []))
            silent += int((values <= 0).sum())
            if (values > 0).any():
                rows.setdefault(pair, {})[name] = 20 * np.log10(values[values > 0])
    note = f"RMS of {look.jsons:,} clips, by their json." + (
        f" {silent:,} ears in digital silence are not drawn." if silent else ""
    )
    return "Level", note, figures.ridges(rows, "dBFS") if rows else None


def _mixing(found: manifest.Manifest, look: Look, stream: int) -> list[dict[str, Any]]:
    """How well each split is mixed, and what batches of it look like."""
    begin = found.shards["recording_begin"]
    shard = np.repeat(np.arange(len(found)), np.diff(begin))
    result = []
    for number, split in enumerate(found.splits):
        drawn = [row for row in look.counts if found.shards["split"][row] == number and look.counts[row]]
        if not drawn:
            continue
        mine = found.shards["split"][shard] == number
        known = {row: look.counts[row] for row in drawn}
        whole = mixing.whole_split(found.shards["recordings"][mine], shard[mine], found.shards["clips"], known)
        mixed = mixing.mixing(split, list(known.values()), whole)
        panels = _batches([look.sequence[row] for row in drawn], whole, order.key(stream, "batches", number))
        view = mixed.as_dict() | {
            "split": plain(split)[:_TEXT],
            "of": int((found.shards["split"] == number).sum()),
            "uri": _uri("png", figures.tapestry(panels, mixing.BATCH)) if mixed.recordings > 1 else "",
        }
        result.append(view)
    return result[:8]


def _batches(shards: Sequence[np.ndarray], whole: np.ndarray, stream: int, batches: int = 10) -> dict[str, np.ndarray]:
    """Recording of each clip of the first batches: shard after shard, as the loader deals them, and of a perfect shuffle."""
    need = batches * mixing.BATCH
    stored = np.concatenate(shards)[:need]
    dealt: list[np.ndarray] = []
    at = 0
    while at < len(shards) and sum(len(window) for window in dealt) < need:
        window = np.concatenate(shards[at : at + mixing.WINDOW])
        dealt.append(window[order.permutation(order.key(stream, at), len(window))])
        at += mixing.WINDOW
    if whole.sum() <= 10**6:
        everything = np.repeat(np.arange(len(whole)), np.rint(whole).astype(np.int64))
        perfect = everything[order.permutation(stream, len(everything))]
    else:  # so many that drawing without putting back makes no difference
        edges = np.cumsum(whole) / whole.sum()
        perfect = np.searchsorted(edges, order.draw(stream, np.arange(need)) / 2.0**64)
    loader = f"as loaded: windows of {min(mixing.WINDOW, len(shards))} shards"
    return {"as stored, shard by shard": stored, loader: np.concatenate(dealt)[:need], "a perfect shuffle": perfect[:need]}


def left_out(folder: Path) -> dict[str, Any] | None:
    """What build.json says of what was not built; None where there is none, as in a set that was only indexed."""
    path = folder / "build.json"
    try:
        if path.stat().st_size > MEMBER:
            return {"error": f"build.json is too large to be shown: {binary(path.stat().st_size)}"}
        known = _json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return {"error": plain(f"build.json {_reason(error, folder)}")[:_TEXT]}
    skipped, tails, dropped = (_as(dict, known.get(name)) for name in ("skipped", "tail_seconds", "dropped"))
    ends = sorted(((float(v), plain(k)[:_TEXT]) for k, v in tails.items() if _is_number(v)), key=lambda e: (-e[0], e[1]))
    rest = {k: v for k, v in known.items() if k not in _SHOWN}
    try:
        others = _cut(flat(rest))
    except RecursionError:
        others = []
    return {
        "skipped": len(skipped),
        "reasons": reasons(skipped),
        "names": [(plain(name)[:_TEXT], plain(why)[:_TEXT]) for name, why in list(skipped.items())[:100]],
        "tails": ends[:5],
        "tail_count": len(ends),
        "tail_seconds": math.fsum(v for v, _ in ends),
        "dropped": [(plain(why)[:_TEXT], count) for why, count in list(dropped.items())[:_ROWS] if _is_number(count)],
        "mono": len(_as(list, known.get("mono"))),
        "others": others,
    }


_SHOWN = (
    "dropped",
    "dropped_by_recording",
    "skipped",
    "tail_seconds",
    "mono",
    "bytes",
    "clips",
    "fingerprint",
    "mean_rms",
    "options",
    "recordings",
    "shards",
    "splits",
)


def reasons(skipped: dict[str, Any]) -> list[tuple[str, int, str]]:
    """(reason, how often, one that it befell), the most frequent first. Reasons that differ in names and numbers count as one."""
    counted: Counter[str] = Counter()
    example: dict[str, str] = {}
    for name, why in skipped.items():
        text = re.sub(re.escape(name) + r"(\.\w+)?", "…", plain(why)) if name else plain(why)
        text = re.sub(r"[\w./-]+\.(mp4|mov|mkv|webm|m4a|wav|flac|ogg|jpe?g|png|tar)\b", "…", text, flags=re.IGNORECASE)
        text = re.sub(r"\d+(\.\d+)?", "#", text)[:_TEXT]
        counted[text] += 1
        example.setdefault(text, plain(name)[:_TEXT])
    return [(text, count, example[text]) for text, count in sorted(counted.items(), key=lambda c: (-c[1], c[0]))[:_ROWS]]


def _as(kind: type[T], value: object) -> T:
    """The value, or an empty one of this kind where others wrote something else."""
    return value if isinstance(value, kind) else kind()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e12 < value < 1e12


def _cut(rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rows and texts of others, no more of them than one wants to read."""
    texts: Iterator[tuple[str, str]] = ((name[:_TEXT], text if len(text) <= _TEXT else text[:_TEXT] + " …") for name, text in rows)
    return [row for row, _ in zip(texts, range(_ROWS), strict=False)]


def _reason(error: Exception, folder: Path) -> str:
    """What went wrong, without the place of the set on this machine."""
    if isinstance(error, OSError) and error.strerror:
        return f"{Path(error.filename).name if isinstance(error.filename, str) else 'it'} cannot be read: {error.strerror}"
    return (str(error) or type(error).__name__).replace(f"{folder}/", "").rstrip(".")


def _uri(kind: str, data: bytes, family: str = "image") -> str:
    return f"data:{family}/{kind};base64,{base64.b64encode(data).decode()}"
