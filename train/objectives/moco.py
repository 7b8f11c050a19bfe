"""MoCo-v2: two views of a picture find each other among the keys of earlier batches."""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.encoder import Encoder
from models.image import GlobalHead
from train.modality import PICTURE
from train.objectives.base import Batch, Metrics, Objective
from train.objectives.contrast import at_least_float32, unit
from train.objectives.gather import gathered
from train.objectives.momentum import follow, follower, shuffled
from train.objectives.queue import KeyQueue
from train.recipe import Recipe


class MoCo(Objective):
    """L = −log(exp(q·k⁺/τ) / (exp(q·k⁺/τ) + Σ_i exp(q·k_i/τ))) over the K keys of the queue (He et al., 2020, equation 1).

    q is the query network's answer to the first view, k⁺ the key network's to the second, both on the unit sphere; the key network
    follows the query network with momentum m, before it is asked. Then the batch's keys, of all processes, take the place of
    the oldest. MoCo-v2 (Chen et al., 2020): a perceptron as the head, stronger augmentation, τ = 0.2. In evaluation nothing moves.
    """

    FIELDS = ("view0", "view1")
    MODALITY = PICTURE

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        # as convolutions are fastest, on CPUs and on tensor cores; torch's types do not know this form
        encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(recipe, encoder)
        settings = recipe.contrast
        self.momentum, self.temperature, self.groups = settings.momentum, settings.temperature, settings.groups
        self.head = GlobalHead(encoder.out_channels, hidden=settings.hidden, out=settings.out)
        self.key_encoder, self.key_head = follower(encoder), follower(self.head)
        self.queue = KeyQueue(settings.queue, settings.out)

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and `accuracy`: how often the own key is the nearest of all."""
        first, second = (at_least_float32(batch[name]) for name in self.FIELDS)
        queries = unit(self.head(self.encoder(first)))
        self.follow()
        (keys,) = self.keys(second, lambda view: (unit(self.key_head(self.key_encoder(view))),))
        logits = against_queue(queries, keys, self.queue.keys, self.temperature)
        self.push(self.queue, keys)
        return own_key(logits), {"accuracy": (logits.detach().argmax(1) == 0).float().mean()}

    def follow(self) -> None:
        """Move the key network, in training."""
        if self.training:
            follow(self.key_encoder, self.encoder, self.momentum)
            follow(self.key_head, self.head, self.momentum)

    def keys(self, view: Tensor, encode) -> tuple[Tensor, ...]:  # type: ignore[no-untyped-def]
        """What `encode` gives for a view, in training with shuffled batch norm; no gradient."""
        if self.training:
            return shuffled(encode, view, self.groups)
        with torch.no_grad():
            return tuple(encode(view))

    def push(self, queue: KeyQueue, keys: Tensor) -> None:
        """Remember the keys of all processes, in training."""
        if self.training:
            with torch.no_grad():
                queue.push(gathered(keys))


def against_queue(queries: Tensor, positives: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Similarities over τ: (M, 1 + K), the positive first. queries, positives: (M, D). queue: (K, D); a copy is used, for it
    changes.
    """
    with torch.autocast(queries.device.type, enabled=False):  # half precision would blur what is divided by τ
        queries, positives = at_least_float32(queries), at_least_float32(positives)
        own = (queries * positives).sum(1, keepdim=True)
        return torch.cat([own, queries @ queue.to(queries.dtype, copy=True).T], dim=1) / temperature


def own_key(logits: Tensor) -> Tensor:
    """Mean cross entropy with the first as the right one."""
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))
