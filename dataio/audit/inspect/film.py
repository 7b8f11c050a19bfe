"""The pictures of a clip, decoded: a frame a member, or a container."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from dataio.audit.inspect.members import FRAME, VIDEOS, Clip, Members, is_number
from dataio.audit.inspect.text import stamp

_FRAMES = 8  # of a clip that are shown


def film(clip: Clip, known: dict[str, Any], members: Members) -> tuple[list[tuple[str, np.ndarray]], np.ndarray | None]:
    """Up to 8 frames with their time stamps, and the frame that flow, mask and labels belong to (F/2)."""
    times = known.get("frame_times")
    times = [float(t) for t in times if is_number(t)] if isinstance(times, list) else []
    stored = sorted(n for n in clip.members if FRAME.fullmatch(n))
    if stored:
        wanted = sorted({i * len(stored) // _FRAMES for i in range(_FRAMES)} | {len(stored) // 2})
        decoded = [(i, members.show(stored[i], picture)) for i in wanted]
        frames = [(stamp(times[i]) if i < len(times) else f"frame {i}", rgb) for i, rgb in decoded if rgb is not None]
        middle = next((rgb for i, rgb in decoded if i == len(stored) // 2 and rgb is not None), None)
        return frames[: _FRAMES + 1], middle
    name = next((n for n in clip.members if n.endswith(VIDEOS)), None)
    if name is None:
        return [], None
    offset = known.get("offset") if is_number(known.get("offset")) else None
    frames = members.show(name, lambda data: video_frames(data, times, clip.members[name][3], clip.start, offset)) or []
    return frames, frames[len(frames) // 2][1] if frames else None


def video_frames(
    data: bytes, times: Sequence[float], count: int, start: float, offset: float | None
) -> list[tuple[str, np.ndarray]]:
    """Up to 8 frames of a container at equal distances, at most 1024 pixels wide, with their time stamps.

    Args:
        times: of its frames, in seconds of the recording; may be empty. count: of its frames, 0 if that is not known.
        start: of the clip, in seconds of the recording.
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
            moment = times[n] if by_number and n < len(times) else start + at
            result.append((stamp(moment), rgb))
            if len(result) == _FRAMES:
                break
        return result


def picture(data: bytes, mode: str = "RGB") -> np.ndarray:
    """A picture as (H, W, 3) uint8, or (H, W) for `L`. Raises ValueError where it has more pixels than can be shown."""
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP", "BMP"]) as image:
        if image.width * image.height > 2**26:
            raise ValueError(f"is too large to be shown: {image.height}x{image.width} pixels")
        if mode == "L" and image.mode == "P":  # class numbers with a palette for the eye
            return np.asarray(image)
        return np.asarray(image.convert(mode))
