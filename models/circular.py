"""The last axis of a picture of the sphere is a circle: azimuth has no edge."""

import torch
from torch import Tensor


def around(x: Tensor, before: int, after: int) -> Tensor:
    """x (…, W) continued to the left and right: (…, before + W + after), with column i of it column (i − before) mod W of x.

    It may go around more than once; slices, not an index, so that the gradient needs no scatter.
    """
    width = x.shape[-1]
    (left, first), (right, last) = divmod(before, width), divmod(after, width)
    if not (before or after):
        return x
    return torch.cat([x[..., width - first :], *[x] * (left + 1 + right), x[..., :last]], dim=-1)
