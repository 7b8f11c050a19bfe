"""Weights that came from elsewhere: are they those of this network, and numbers at all? Only then they are taken."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.encoder import Encoder
from models.image import ImageEncoder

COUNTER = "num_batches_tracked"
"""Of batch norm: how many batches it saw. Old files lack it, and nothing that is computed here depends on it."""


def checked(found: Mapping[str, Any], wanted: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Copies of the tensors of `found`, which must be as those of `wanted` are, in their types; counters that are missing are 0.

    Args:
        wanted: the state of a network, which may be on the device `meta`: only names, shapes and types are asked.
        where: the file, for people.

    Raises:
        ValueError: a name is missing or one too many, a value is no plain tensor, has another shape or kind of number, or holds
            NaN, infinity, or a negative variance.
    """
    if missing := [name for name in wanted if name not in found and not name.endswith(COUNTER)]:
        raise ValueError(f"{where} lacks {_some(missing)}")
    if surplus := [name for name in found if name not in wanted]:
        raise ValueError(f"{where} holds {_some(surplus)}, which this network does not have")
    for name, value in found.items():
        like = wanted[name]
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_meta or value.is_quantized:
            raise ValueError(f"{where}: {name} is no plain tensor")
        if value.shape != like.shape:
            raise ValueError(f"{where}: {name} has shape {tuple(value.shape)} where {tuple(like.shape)} is needed")
        if value.is_floating_point() != like.is_floating_point() or value.is_complex():
            raise ValueError(f"{where}: {name} is {value.dtype} where {like.dtype} is needed")
    taken = {name: _own(found.get(name), like) for name, like in wanted.items()}
    for name, value in taken.items():
        if not value.isfinite().all():
            raise ValueError(f"{where}: {name} holds NaN or infinity, which no network computes with")
        if name.endswith("running_var") and (value < 0).any():
            raise ValueError(f"{where}: {name} holds negative variances")
    return taken


def fill(module: nn.Module, found: Mapping[str, Any], where: str) -> None:
    """Give a network these weights. It may be on the device `meta`, so that no weights are drawn first only to be replaced.

    Raises:
        ValueError: see `checked`; nothing was taken then.
    """
    module.load_state_dict(checked(found, module.state_dict(), where), assign=True)


def own_names(encoder: Encoder) -> dict[str, Tensor]:
    """An encoder's weights by the names that others know: torchvision's for a ResNet, else our own."""
    return dict((encoder.trunk if isinstance(encoder, ImageEncoder) else encoder).state_dict())


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes, whatever the order and the file they lie in: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _own(value: Tensor | None, like: Tensor) -> Tensor:
    """A copy in memory of its own, whatever file or larger tensor the value lies in; zeros for a counter that is missing."""
    if value is None:
        return torch.zeros(like.shape, dtype=like.dtype)
    return value.detach().to(like.dtype, copy=True).contiguous()


def _some(names: Sequence[str]) -> str:
    """Three of the names, and how many more there are; they come from a file, so nobody knows how long they are."""
    shown = ", ".join(repr(name[:80]) for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
