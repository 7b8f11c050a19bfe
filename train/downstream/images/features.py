"""Pictures as a linear judge sees them: what a frozen encoder makes of each, as one vector of length 1."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from dataio.stream.images.spec import MEAN, STD
from models.encoder import Encoder

SHORT, SIDE = 256, 224
"""Pixels: of the short side after the first resize, and of both sides after the second."""

FLATTEST = 40
"""Sides differ at most by this factor: the first resize of a picture that is one pixel high would fill the memory."""

AHEAD = 2
"""Batches that are decoded while one is encoded."""


def picture_features(
    encoder: Encoder,
    paths: Sequence[Path],
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 32,
    threads: int = 2,
    say: Callable[[str], None] = lambda message: None,
) -> Tensor:
    """`cells` of every picture, in the order of the files: (N, 4 · out_channels) float32 on the CPU.

    10,000 of ResNet-50 take 330 MB, twice that for a moment. In float32 without autocast or TF32, in evaluation mode without
    gradients; the batch size changes no more than rounding.

    Args:
        encoder: moved to the device; its training mode returns at the end.
        threads: that decode.
        say: called with a message after each tenth.

    Raises:
        ValueError: no picture, one that cannot be read (the message names it), a setting, or a map that is too small.
    """
    if not paths:
        raise ValueError("there is no picture to encode")
    if batch_size < 1 or threads < 1:
        raise ValueError(f"batch_size={batch_size} and threads={threads} must be 1 or more")
    found: list[Tensor] = []
    done, told, training = 0, 0, encoder.training
    encoder.to(device).eval()
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with torch.inference_mode(), exact, torch.autocast(torch.device(device).type, enabled=False):
            for pictures in _batches(paths, batch_size, threads):
                found.append(cells(encoder(pictures.to(device))).cpu())
                done += len(pictures)
                if 10 * done // len(paths) > told:
                    told = 10 * done // len(paths)
                    say(f"features of {done} of {len(paths)} pictures")
    finally:
        encoder.train(training)
    return torch.cat(found)


def cells(features: Tensor) -> Tensor:
    """A map (B, C, h, w) averaged so that 2 × 2 cells remain, as vectors x / (‖x‖ + 1e-5): (B, 4C) float32; 8,192 for 2048 × 7 × 7.

    The windows have h − 1 by w − 1 cells and overlap: 6 × 6 of 7 × 7.

    Raises:
        ValueError: a map that has no 2 × 2 cells.
    """
    if features.ndim != 4 or min(features.shape[2:]) < 2:
        raise ValueError(f"the map of a picture must be (B, C, h, w) of 2 × 2 cells or more, not {tuple(features.shape)}")
    height, width = features.shape[2:]
    vectors = F.avg_pool2d(features.float(), (height - 1, width - 1), stride=1).flatten(1)
    return vectors / (vectors.norm(dim=1, keepdim=True) + 1e-5)


def read_picture(path: Path) -> Tensor:
    """A picture as (3, 224, 224) float32, by ImageNet's mean and spread: its short side resized to 256, then both to 224.

    So it is squeezed, not cropped. Bilinear as Pillow has it, which averages where a picture shrinks.

    Raises:
        ValueError: the file is no readable picture, or much longer than wide.
    """
    from PIL import Image
    from torchvision.transforms.v2 import functional as transforms

    try:
        with Image.open(path) as file:
            picture = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # by the kind of damage
        raise ValueError(f"{path} is no readable picture ({error})") from error
    if max(picture.size) > FLATTEST * min(picture.size):
        raise ValueError(f"{path} is {picture.width} × {picture.height}: one side may be {FLATTEST} times the other at most")
    bilinear = transforms.InterpolationMode.BILINEAR
    picture = transforms.resize(transforms.resize(picture, [SHORT], bilinear), [SIDE, SIDE], bilinear)
    return transforms.normalize(transforms.to_dtype(transforms.pil_to_tensor(picture), torch.float32, scale=True), MEAN, STD)


def _batches(paths: Sequence[Path], batch_size: int, threads: int) -> Iterator[Tensor]:
    """Pictures (B, 3, 224, 224) in order, decoded by threads a bounded number of batches ahead."""
    ahead: deque[list[Future[Tensor]]] = deque()
    with ThreadPoolExecutor(threads, "sonosphere-pictures") as pool:
        try:
            for first in range(0, len(paths), batch_size):
                ahead.append([pool.submit(read_picture, path) for path in paths[first : first + batch_size]])
                if len(ahead) > AHEAD:
                    yield torch.stack([picture.result() for picture in ahead.popleft()])
            while ahead:
                yield torch.stack([picture.result() for picture in ahead.popleft()])
        finally:
            pool.shutdown(cancel_futures=True)  # of a run that ends early
