"""The frames of one clip in one video container, and what such a container holds.

What every reader can count on, NVDEC through DALI or torchcodec as much as FFmpeg:

- `.mp4` (H.264, HEVC, AV1) with the `moov` box before the data, no fragments and no edit list; `.webm` (VP9);
- closed groups of exactly `gop` frames, no frame out of its order, a constant rate from time stamp 0 on (WebM rounds to 1 ms);
- 8-bit 4:2:0, BT.601 matrix, limited range, said so in the tags. The matrix is that of JPEG too (JFIF 1.02), and both are what a
  reader takes for granted that ignores the tags, as swscale by default does: so no reader changes the colours. Primaries and
  transfer are those of sRGB, as no step of the builder changes them.

The same frames and options give the same bytes: one thread, and no clock, no random id and no library version in the file.
"""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from fractions import Fraction
from typing import Any

import av
import av.container
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from dataio.ingest.encode.scheduling import scheduling_kept
from dataio.ingest.media.container import muxer
from dataio.ingest.media.facts import reason

EXTENSIONS = {"h264": "mp4", "hevc": "mp4", "vp9": "webm", "av1": "mp4"}

_QUALITIES = (1, 10, 25, 50, 75, 90, 95, 100)
_CRF = {
    "h264": (49, 39, 32, 27, 22, 16, 12, 4),
    "hevc": (50, 41, 33, 28, 24, 18, 14, 3),
    "vp9": (62, 58, 44, 35, 26, 13, 8, 2),
    "av1": (62, 56, 42, 33, 24, 12, 8, 2),
}
"""The constant rate factor at which a codec reaches the PSNR, over RGB, of 4:2:0 JPEGs of that quality: the mean over four clips of
a real recording at 256×512 and 128×256, 8 frames at 4 a second, GOP 8. Between these, linear. From quality 96 on JPEG goes higher
than 8 bits of limited range can. Never 0: that is lossless, which hardware decoders refuse."""

_ENCODERS = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
# SEI of x264 tells its version and options; the user data of other sources went when the frames were copied
_CLEANED = {"h264": "filter_units=remove_types=6"}
_TAGS = {"hevc": "hvc1"}  # parameter sets in the head alone; FFmpeg's own choice, hev1, is refused by Apple's players


def crf(codec: str, quality: int) -> int:
    """The codec's constant rate factor for a quality of 1 … 100, which means what it means for JPEG."""
    return round(float(np.interp(quality, _QUALITIES, _CRF[codec])))


def encode_video(
    frames: Sequence[av.VideoFrame | np.ndarray],
    *,
    fps: Fraction | float,
    codec: str,
    size: tuple[int, int] | None = None,
    quality: int = 90,
    gop: int = 8,
) -> bytes:
    """One clip as a file in memory: `.mp4`, or `.webm` for VP9 (see EXTENSIONS).

    Args:
        frames: at a constant rate; decoded pictures of any size and format, left as they are, or (H, W, 3) uint8 RGB.
        fps: frames per second.
        codec: `h264`, `hevc`, `vp9` or `av1`.
        size: (height, width), pixels; None for the first frame's. Others are scaled to it, area-averaged where they shrink.
        quality: 1 … 100.
        gop: frames from one key frame to the next.

    Raises:
        ValueError: no frames; or codec, size, rate, quality or gop is one that the encoder does not take; the message names it.
    """
    if codec not in EXTENSIONS:
        raise ValueError(f"codec {codec!r} is unknown; there are {', '.join(EXTENSIONS)}")
    if not len(frames):
        raise ValueError("a video needs at least one frame")
    size = size or _size(frames[0])
    if min(size) < 2 or size[0] % 2 or size[1] % 2:
        raise ValueError(f"size {size[0]}x{size[1]}: {codec} needs even sides")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality {quality} is outside 1 … 100")
    if gop < 1:
        raise ValueError(f"gop {gop} must be at least 1")
    rate = Fraction(fps).limit_denominator(1001)  # 30000/1001, given as a float, becomes itself
    if rate <= 0:
        raise ValueError(f"fps {fps} must be positive")
    try:
        return _encode(frames, rate, codec, size, crf(codec, quality), min(gop, len(frames)))
    except av.error.FFmpegError as error:
        raise ValueError(f"{codec} cannot encode {size[0]}x{size[1]} at {rate} frames per second: {reason(error)}") from error


def _encode(frames: Sequence[Any], rate: Fraction, codec: str, size: tuple[int, int], factor: int, gop: int) -> bytes:
    if codec == "av1":
        os.environ.setdefault("SVT_LOG", "0")  # read when an encoder is made; otherwise it greets on standard error
    with muxer(EXTENSIONS[codec]) as (container, file):
        stream: Any = container.add_stream(_ENCODERS[codec], rate=rate, options=_options(codec, factor, gop))
        context = stream.codec_context
        context.height, context.width = size
        context.pix_fmt, context.time_base = "yuv420p", 1 / rate
        context.thread_count, context.gop_size, context.max_b_frames = 1, gop, 0
        context.flags |= av.codec.context.Flags.bitexact
        context.color_range, context.colorspace = ColorRange.MPEG, 6  # SMPTE 170M, H.273's number of the BT.601 matrix
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.IEC61966_2_1
        if codec in _TAGS:
            context.codec_tag = _TAGS[codec]
        kept = scheduling_kept if codec == "av1" else nullcontext
        with kept():
            context.open()
        cleaner = av.BitStreamFilterContext(_CLEANED[codec], stream) if codec in _CLEANED else None
        for i, frame in enumerate((*frames, None)):
            with kept():  # the first frame may start more threads
                packets = stream.encode(frame if frame is None else _picture(frame, size, i, 1 / rate))
            for packet in packets:
                packet.duration = 1  # x265 leaves the last one open
                container.mux(cleaner.filter(packet) if cleaner else packet)
    return file.getvalue()


def _size(frame: av.VideoFrame | np.ndarray) -> tuple[int, int]:
    return frame.shape[:2] if isinstance(frame, np.ndarray) else (frame.height, frame.width)


def _picture(frame: av.VideoFrame | np.ndarray, size: tuple[int, int], number: int, base: Fraction) -> av.VideoFrame:
    """A frame as it is encoded: a copy, since the given one may be in use, and its type (I, P) and side data steer an encoder."""
    if isinstance(frame, np.ndarray):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    kind = "AREA" if frame.height > size[0] or frame.width > size[1] else "BICUBIC"
    colours: dict[str, Any] = {"dst_colorspace": Colorspace.ITU601, "dst_color_range": ColorRange.MPEG}
    scaled = frame.reformat(size[1], size[0], "yuv420p", interpolation=kind, threads=1, **colours)
    picture = av.VideoFrame.from_ndarray(scaled.to_ndarray(), format="yuv420p")
    picture.pts, picture.time_base = number, base
    picture.colorspace, picture.color_range = 6, ColorRange.MPEG
    return picture


def _options(codec: str, factor: int, gop: int) -> dict[str, str]:
    """Of the encoder. Presets are where, tried by hand, the next slower one cost more time than it saved bytes."""
    closed = f"bframes=0:keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0"
    if codec == "h264":
        alone = "threads=1:lookahead-threads=1:sliced-threads=0:sync-lookahead=0:rc-lookahead=0:mbtree=0"
        return {"preset": "veryfast", "crf": str(factor), "x264-params": f"{alone}:{closed}"}
    if codec == "hevc":
        alone = "log-level=none:pools=none:frame-threads=1:wpp=0:rc-lookahead=1:info=0"
        return {"preset": "ultrafast", "crf": str(factor), "x265-params": f"{alone}:{closed}"}
    if codec == "vp9":  # without look-ahead there are no alternate references, frames that are never shown
        speed = {"deadline": "realtime", "cpu-used": "6", "row-mt": "0", "tile-columns": "0", "lag-in-frames": "0"}
        return speed | {"auto-alt-ref": "0", "crf": str(factor), "b": "0", "keyint_min": str(gop)}
    # pred-struct 1: low delay; irefresh-type 2: every key frame closes the group before it; lp 1: one logical processor
    return {"preset": "9", "crf": str(factor), "svtav1-params": "lp=1:pred-struct=1:irefresh-type=2:scd=0"}
