"""What the report shows of one clip: whatever of its members there is."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dataio.audit.facts import binary, flat
from dataio.audit.inspect import middle
from dataio.audit.inspect.ears import ears
from dataio.audit.inspect.figures import photos
from dataio.audit.inspect.film import film, picture
from dataio.audit.inspect.members import FACTS, FRAME, PICTURES, TEXTS, Clip, Members, class_name, json_object, read
from dataio.audit.inspect.text import TEXT, cut, reason, short, uri
from dataio.format import manifest

_OVERLAYS = {"flow.png": middle.flow, "mask.png": middle.mask, "labels.png": middle.labels}


def clip_view(folder: Path, clip: Clip) -> dict[str, Any]:
    """A clip for the page. What cannot be read or decoded is named in its `problems`, and the rest shown."""
    members = Members(folder, clip)
    known, facts = members.show("json", _facts) or ({}, [])
    frames, full = film(clip, known, members)
    view: dict[str, Any] = {
        "key": short(clip.key),
        "recording": short(clip.recording),
        "split": short(clip.split),
        "shard": short(clip.shard),
        "start": clip.start,
        "members": [(short(name), binary(m[1])) for name, m in list(clip.members.items())[:200]],
        "json": facts,
        "film": [{"uri": uri("jpeg", photos.jpeg(rgb, 288)), "time": time} for time, rgb in frames],
        "problems": members.problems,
    }
    if full is not None:
        view |= middle.turns(full)
        for name, show in _OVERLAYS.items():
            if (overlay := members.show(name, partial(show, full))) is not None:
                view[name.removesuffix(".png")] = overlay
    view |= ears(clip, members)
    ours = set(_OVERLAYS) if full is not None else set()
    others = [n for n in clip.members if n.endswith(PICTURES) and not FRAME.fullmatch(n) and n not in ours]
    view["pictures"] = _shown(others, members, lambda data: uri("jpeg", photos.jpeg(picture(data), 360)))
    texts = [n for n in clip.members if n.endswith(TEXTS)]
    view["texts"] = _shown(texts, members, lambda data: short(data[: 4 * TEXT].decode(errors="replace")))
    return view


def _facts(data: bytes) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The json of a clip, and the same as rows."""
    known = json_object(data)
    return known, cut(flat(known))


def _shown(names: list[str], members: Members, how: Callable[[bytes], str], most: int = 8) -> list[tuple[str, str]]:
    """Name and what is shown of each of these members, where there is something to show."""
    found = [(short(name), members.show(name, how)) for name in names[:most]]
    return [(name, said) for name, said in found if said]


def still_view(folder: Path, clip: Clip, found: manifest.Manifest) -> dict[str, str] | None:
    """A picture for the contact sheet and its class; None where it cannot be shown."""
    name = next((n for n in clip.members if n.endswith(PICTURES)), None)
    if name is None:
        return None
    path = folder / f"{clip.shard}.tar"
    try:
        rgb = picture(read(path, *clip.members[name][:3]))
        known = json_object(read(path, *clip.members["json"][:3], most=FACTS)) if "json" in clip.members else {}
    except Exception as error:  # decoders meet damage with a dozen kinds of exception
        return {"uri": "", "name": short(f"{clip.key}: {reason(error, folder)}")}
    label = class_name(known, found.media.classes)
    return {"uri": uri("jpeg", photos.jpeg(photos.square(rgb), 160)), "name": label or short(clip.key)}
