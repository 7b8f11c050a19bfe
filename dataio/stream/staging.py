"""What of a clip goes to the device beside its pictures: samples, gains, maps and how the viewer stands, in memory that it copies
from. A field is one array for the whole batch, so that it is one transfer; the tasks fill it clip by clip.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataio.stream.buffers import BufferPool
from dataio.stream.decode.errors import DecodeError
from dataio.stream.errors import CorruptClipError
from dataio.stream.reader import ClipReader, Sound
from dataio.stream.spec import ClipSpec
from dataio.stream.supply import Served

Shape = tuple[tuple[int, ...], Any]
"""Of one clip's part of a field, and the dtype."""


def layout(spec: ClipSpec, maps: tuple[int, int] | None) -> dict[str, Shape]:
    """The fields by name: `pcm` (P, n, 2), `gains` (P, 2) and the same of the partner; `shift`, `mirror` and `matrix` where there
    is something to look at; `flow`, `valid`, `mask` and `labels`.

    Args:
        maps: (height, width) of the maps as they are stored; None: they do not go to the device.
    """
    found: dict[str, Shape] = {}
    if spec.pictured:
        found |= {"shift": ((1,), np.int64), "mirror": ((1,), np.int64)}
        found |= {"matrix": ((9,), np.float64)} if spec.tilt else {}
    for prefix in ("", "partner_")[: (1 + spec.partner) if spec.pairs else 0]:
        found[prefix + "pcm"] = ((len(spec.pairs), spec.samples, 2), np.int16)
        found[prefix + "gains"] = ((len(spec.pairs), 2), np.float32)
    for name in spec.maps if maps is not None else ():
        assert maps is not None
        found[name] = ((*maps, 2), np.float32) if name == "flow" else (maps, np.uint8)
        found |= {"valid": (maps, np.uint8)} if name == "flow" else {}
    return found


def lend(fields: Mapping[str, Shape], clips: int, host: BufferPool) -> dict[str, Any]:
    """Room for a batch, by field."""
    return {name: host.lend((clips, *shape), dtype) for name, (shape, dtype) in fields.items()}


def fill(slot: dict[str, np.ndarray], served: Served, reader: ClipReader) -> None:
    """Write a clip into its part of every field of `layout`; what else the slot holds is left as it is.

    Raises:
        CorruptClipError: a map cannot be decoded, or is of another size than the set says.
    """
    pick = served.pick
    if "shift" in slot:
        slot["shift"][0], slot["mirror"][0] = pick.shift, pick.mirror
    if "matrix" in slot:
        from dataio.format import sphere

        slot["matrix"][...] = sphere.rotation(pick.pitch, pick.roll).reshape(-1)
    if "pcm" in slot:
        _sound(slot, "", served.raw.sound)
    if "partner_pcm" in slot:
        _sound(slot, "partner_", served.partner.sound if served.partner is not None else None)
    for name, data in served.raw.maps.items():
        if "valid" in slot or name != "flow":
            try:
                _map(slot, name, data)
            except DecodeError as error:
                raise _broken(reader, served, name, error.reason) from error


def _sound(slot: dict[str, np.ndarray], prefix: str, sound: Sound | None) -> None:
    assert sound is not None
    for room, pcm in zip(slot[prefix + "pcm"], sound.pairs, strict=True):
        room[...] = pcm
    slot[prefix + "gains"][...] = sound.gains


def _map(slot: dict[str, np.ndarray], name: str, data: np.ndarray) -> None:
    from dataio.format.flow import decode_flow
    from dataio.format.table import FormatError
    from dataio.stream.decode import png

    try:
        found = dict(zip(("flow", "valid"), decode_flow(bytes(data)), strict=True)) if name == "flow" else {name: png.decode(data)}
    except FormatError as error:
        raise DecodeError(str(error)) from error
    size, expected = found[name].shape[:2], slot[name].shape[:2]
    if size != expected:
        raise DecodeError(f"the map is {size[0]}x{size[1]}, where all of the set are {expected[0]}x{expected[1]} (height x width)")
    for part, values in found.items():
        slot[part][...] = values


def _broken(reader: ClipReader, served: Served, name: str, reason: str) -> CorruptClipError:
    return reader.broken(served.raw, name, 0, reason)
