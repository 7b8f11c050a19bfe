"""The dictionary of keys of earlier batches that contrastive learning with momentum looks its negatives up in."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class KeyQueue(nn.Module):
    """First in, first out: K keys of D numbers on the unit sphere; at first random ones.

    Attributes:
        keys: (K, D) float32, a buffer, so that a checkpoint holds it. place: where the next batch goes.

    Raises:
        ValueError: no key at all.
    """

    keys: Tensor
    place: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size={size} of the queue must be at least 1")
        self.register_buffer("keys", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest keys by these, (N, D).

        Raises:
            ValueError: K is no multiple of N: the oldest would not be the ones to go.
        """
        size, count = len(self.keys), len(keys)
        if size % count:
            raise ValueError(
                f"a queue of {size} keys takes batches that divide it, not {count}: change the queue or the batch size"
            )
        rows = (self.place + torch.arange(count, device=keys.device)) % size  # on the device: nothing waits for it
        self.keys[rows] = keys.to(self.keys.dtype)
        self.place.copy_((self.place + count) % size)


def queue_buffers(model: nn.Module) -> list[str]:
    """Names of the buffers of every queue in a model."""
    queues = [name for name, module in model.named_modules() if isinstance(module, KeyQueue)]
    return [name for name, _ in model.named_buffers() if any(name.startswith(f"{queue}.") for queue in queues)]
