"""MoCo-v2: two views of a picture find each other among the keys of earlier batches."""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.encoder import Encoder
from models.image import GlobalHead
from train.modality import PICTURE
from train.objectives.base import Batch, Metrics, Objective
from train.objectives.contrast import at_least_float32, unit
from train.objectives.gather import first_row, gathered, processes
from train.objectives.momentum import follow, follower, shuffled
from train.objectives.queue import KeyQueue
from train.recipe import Recipe


class MoCo(Objective):
    """L = −log(exp(q·k⁺/τ) / (exp(q·k⁺/τ) + Σ_i exp(q·k_i/τ))) over the K keys of the queue (He et al., 2020, equation 1).

    q is the query network's answer to the first view, k⁺ the key network's to the second, both on the unit sphere; the key network
    follows the query network with momentum m, before it is asked. Then the batch's keys, of all processes, take the place of
    the oldest. MoCo-v2 (Chen et al., 2020): a perceptron as the head, stronger augmentation, τ = 0.2. In evaluation nothing moves.

    With `companions` the other keys of the joint batch are negatives as well. Those of the queue are of earlier steps: while the
    networks move fast, whatever tells now from then tells the own key from all others, and little of the pictures is learned.
    """

    FIELDS = ("view0", "view1")
    MODALITY = PICTURE

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        # as convolutions are fastest, on CPUs and on tensor cores; torch's types do not know this form
        encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(recipe, encoder)
        settings = recipe.contrast
        self.momentum, self.temperature, self.groups = settings.momentum, settings.temperature, settings.groups
        self.companions = settings.companions
        self.head = GlobalHead(encoder.out_channels, hidden=settings.hidden, out=settings.out)
        self.key_encoder, self.key_head = follower(encoder), follower(self.head)
        self.queue = KeyQueue(settings.queue, settings.out)

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and `accuracy`: how often the own key is the nearest of all."""
        first, second = (at_least_float32(batch[name]) for name in self.FIELDS)
        queries = unit(self.head(self.encoder(first)))
        self.follow()
        (keys,) = self.keys(second, lambda view: (unit(self.key_head(self.key_encoder(view))),))
        joint = self.joint(keys)
        logits = self.logits(queries, keys, self.queue, joint)
        self.push(self.queue, joint)
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

    def joint(self, keys: Tensor) -> Tensor:
        """Keys (N, D) of the pictures of all processes; in evaluation, where they may have unequally many, of this one."""
        with torch.no_grad():
            return gathered(keys) if self.training else keys

    def logits(self, queries: Tensor, positives: Tensor, queue: KeyQueue, joint: Tensor) -> Tensor:
        """Similarities over τ, (M, 1 + K), or with companions (M, 1 + K + N), the positive first.

        Args:
            queries, positives: (M, D), equally many of each picture of this process, one after another.
            joint: (N, D), a key of each picture of all processes; a picture's own is no companion.
        """
        found = against_queue(queries, positives, queue.keys, self.temperature)
        if not self.companions:
            return found
        pictures = len(joint) // processes() if self.training else len(joint)
        own = torch.arange(len(queries), device=queries.device) // (len(queries) // pictures)
        own += first_row(pictures) if self.training else 0
        beside = against(queries, joint, self.temperature).scatter(1, own[:, None], -torch.inf)
        return torch.cat([found, beside], 1)

    def push(self, queue: KeyQueue, joint: Tensor) -> None:
        """Remember the keys of all processes, in training."""
        if self.training:
            queue.push(joint)


def against_queue(queries: Tensor, positives: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Similarities over τ: (M, 1 + K), the positive first. queries, positives: (M, D). queue: (K, D); a copy is used, for it
    changes.
    """
    queries, positives = at_least_float32(queries), at_least_float32(positives)
    own = (queries * positives).sum(1, keepdim=True) / temperature
    return torch.cat([own, against(queries, queue.to(queries.dtype, copy=True), temperature)], dim=1)


def against(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Similarities over τ of queries (M, D) to keys (N, D): (M, N)."""
    with torch.autocast(queries.device.type, enabled=False):  # half precision would blur what is divided by τ
        queries = at_least_float32(queries)
        return queries @ keys.to(queries.dtype).T / temperature


def own_key(logits: Tensor) -> Tensor:
    """Mean cross entropy with the first as the right one."""
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))
