"""The middle frame of a clip: turned as the viewer turns, and beneath its flow, its mask and its classes."""

from typing import Any

import numpy as np

from dataio.audit.inspect.figures import overlays, photos
from dataio.audit.inspect.film import picture
from dataio.audit.inspect.text import percent, uri


def turns(rgb: np.ndarray) -> dict[str, Any]:
    """The frame as the viewer turns right, and the step across the recorded edges."""
    views = [{"uri": uri("jpeg", photos.jpeg(photos.turned(rgb, d), 480)), "degrees": d} for d in (0, 90, 180, 270)]
    edge, typical = photos.seam(rgb)
    return {"turns": views, "edge": edge, "typical": typical}


def flow(rgb: np.ndarray, data: bytes) -> dict[str, Any]:
    """The motion of a `.flow.png` over the frame, and its key."""
    from dataio.format.flow import decode_flow

    motion, valid = decode_flow(data)
    over, fastest = overlays.flow_overlay(_fit(rgb, valid), motion, valid)
    return {"uri": uri("jpeg", photos.jpeg(over, 480)), "fastest": fastest, "valid": float(valid.mean())}


def mask(rgb: np.ndarray, data: bytes) -> dict[str, Any]:
    """What a `.mask.png` says that moves, and its share of the picture."""
    moving = picture(data, "L")
    over = overlays.mask_overlay(_fit(rgb, moving), moving)
    return {"uri": uri("jpeg", photos.jpeg(over, 480)), "share": float((moving > 0).mean())}


def labels(rgb: np.ndarray, data: bytes) -> dict[str, Any]:
    """The classes of a `.labels.png` over the frame; colour, number and share of the ten largest."""
    classes = picture(data, "L")
    counts = np.bincount(classes.ravel(), minlength=256)
    colours = overlays.class_colours()
    top = [int(i) for i in np.argsort(-counts, kind="stable")[:10] if counts[i]]
    shown = ["#a0a0a0"] + ["#{:02x}{:02x}{:02x}".format(*colours[i]) for i in top[1:]]  # the largest is left as the grey frame
    legend = [(colour, i, percent(counts[i] / classes.size)) for colour, i in zip(shown, top, strict=True)]
    over = overlays.label_overlay(_fit(rgb, classes), classes)
    return {"uri": uri("jpeg", photos.jpeg(over, 480)), "legend": legend}


def _fit(rgb: np.ndarray, over: np.ndarray) -> np.ndarray:
    """The frame at the size of what is laid over it."""
    from PIL import Image

    height, width = over.shape[:2]
    return rgb if rgb.shape[:2] == (height, width) else np.asarray(Image.fromarray(rgb).resize((width, height)))
