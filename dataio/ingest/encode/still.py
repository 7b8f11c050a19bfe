"""Single pictures as JPEGs that every decoder takes: passed through where they are such already, made so where they are not."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dataio.ingest.errors import SourceError
from dataio.ingest.media.facts import reason
from dataio.ingest.sources.album import Picture

MOST_BYTES = 2**28  # of one picture; what is larger is taken for damage

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")  # what a picture may be, whatever its name says
_SAMPLING = ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (4, 2))  # luma against chroma, as every decoder knows them


def read_picture(picture: Picture, size: tuple[int, int] | None = None, quality: int = 90) -> tuple[bytes, int, int]:
    """A picture as an RGB or grey JPEG that every decoder takes, decoded once to see that it is whole.

    A JPEG that is such a one already passes through untouched, byte for byte, if it need not shrink. All else (PNG, CMYK, 16 bit,
    palettes, what EXIF says to turn, a PNG called .JPEG) is made one, upright; what is transparent lies on white.

    Args:
        size: (height, width) that the picture still covers when it has been shrunk, its proportions kept; it is never enlarged.
        quality: of a JPEG that must be written.

    Returns:
        the JPEG's bytes, its height and its width.

    Raises:
        SourceError: the picture is broken, too large, or of another kind; the message names it.
    """
    data = _read(picture)
    header = _jpeg_header(data)
    try:
        if header and header.plain:
            found = _plain(data, header, size)
            if isinstance(found, bytes):
                return found, header.height, header.width
            rgb = found
        else:
            rgb = _rgb(data)
    except MemoryError:
        raise
    except UnidentifiedImageError as error:  # its own words hold an address in memory, different in every run
        raise SourceError(f"{picture.source} is no picture: neither {', '.join(_FORMATS[:-1])} nor {_FORMATS[-1]}") from error
    except Exception as error:  # decoders raise whatever the broken bytes make them stumble over
        raise SourceError(f"{picture.source} cannot be read as a picture: {reason(error)}") from error
    height, width = _shrunk(rgb.shape[0], rgb.shape[1], size)
    import simplejpeg

    if (height, width) != rgb.shape[:2]:
        import cv2

        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality, "RGB", "420"), height, width


@dataclass(frozen=True)
class _JpegHeader:
    """plain: grey or YCbCr of 8 bit, baseline or progressive, in a usual sampling, upright: what every decoder takes."""

    height: int
    width: int
    plain: bool


def _read(picture: Picture) -> bytes:
    if picture.length > MOST_BYTES:
        raise SourceError(f"{picture.source} is {picture.length} bytes long; a picture has at most {MOST_BYTES}")
    try:
        with open(picture.path, "rb") as file:
            file.seek(picture.offset)
            data = file.read(picture.length)
    except OSError as error:
        raise SourceError(f"{picture.source} cannot be read: {reason(error)}") from error
    if len(data) < picture.length or not data:
        raise SourceError(f"{picture.source} {'breaks off' if data else 'is empty'} after {len(data)} of {picture.length} bytes")
    return data


def _jpeg_header(data: bytes) -> _JpegHeader | None:
    """What the markers before the scan say (ITU-T T.81, annex B; Adobe's APP14 tells how colours are coded); None for no JPEG."""
    if data[:2] != b"\xff\xd8":
        return None
    at, frame, kind, jfif, adobe, upright = 2, b"", 0, False, -1, True
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at + 4 : at + 2 + length]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame, kind = segment, marker
        elif marker == 0xE0 and segment.startswith(b"JFIF\0"):
            jfif = True
        elif marker == 0xE1 and segment.startswith(b"Exif\0\0"):
            upright = _orientation(segment) == 1
        elif marker == 0xEE and segment.startswith(b"Adobe") and len(segment) >= 12:
            adobe = segment[11]
        elif marker in (0xDA, 0xD9):
            break
        at += 2 + max(2, length)
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        return None
    bits, height, width, parts = frame[0], int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    ids, sampling = frame[6 : 6 + 3 * parts : 3], [divmod(factor, 16) for factor in frame[7 : 6 + 3 * parts : 3]]
    colours = parts == 3 and (jfif or adobe == 1 or (adobe < 0 and ids != b"RGB")) and sampling[0] in _SAMPLING
    known = parts == 1 or (colours and sampling[1:] == [(1, 1), (1, 1)])
    fits = height > 0 and 0 < height * width <= (Image.MAX_IMAGE_PIXELS or 0)
    return _JpegHeader(height, width, kind in (0xC0, 0xC1, 0xC2) and bits == 8 and known and fits and upright)


def _orientation(segment: bytes) -> int:
    exif = Image.Exif()
    try:
        exif.load(segment)
        return exif.get(0x0112, 1)
    except Exception:  # as broken as EXIF often is, it turns nothing
        return 1


def _plain(data: bytes, header: _JpegHeader, size: tuple[int, int] | None) -> bytes | np.ndarray:
    """The bytes as they are if nothing must change, or the pixels, at no less than the size wanted."""
    import simplejpeg

    height, width = _shrunk(header.height, header.width, size)
    try:
        if (height, width) != (header.height, header.width):
            return simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width, min_factor=1)
        simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8)  # the fastest that still reads every bit
        return data
    except ValueError:  # it warns of an oddity that another decoder may refuse: read it kindly, write it properly
        return _rgb(data)


def _rgb(data: bytes) -> np.ndarray:
    """The pixels of any picture, upright: (height, width, 3) uint8."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        opened = Image.open(io.BytesIO(data), formats=_FORMATS)
        opened.load()
    image: Image.Image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[:, :, None], 3, 2)
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _shrunk(height: int, width: int, size: tuple[int, int] | None) -> tuple[int, int]:
    """The smallest height and width of these proportions that cover `size`, but never larger than they are."""
    scale = max(size[0] / height, size[1] / width) if size else 1.0
    if size is None or scale >= 1:
        return height, width
    return max(size[0], round(height * scale)), max(size[1], round(width * scale))
