"""DenseCL: beside whole pictures, cells of their feature maps find each other."""

import torch
from torch import Tensor

from models.encoder import Encoder
from models.image import DenseHead
from train.objectives.base import Batch, Metrics
from train.objectives.contrast import at_least_float32, unit
from train.objectives.moco import MoCo, against_queue, own_key
from train.objectives.momentum import follow, follower
from train.objectives.queue import KeyQueue
from train.recipe import Recipe


class DenseCL(MoCo):
    """L = (1 − λ) L_q + λ L_r ("Dense Contrastive Learning for Self-Supervised Visual Pre-Training", Wang et al., 2021, eq. 3).

    L_q is MoCo-v2's loss. L_r is the same for every cell of the query's dense map: its positive is the key's dense vector in the
    cell whose *backbone* features are most alike (equation 2), its negatives are dense keys of earlier pictures, one each: the
    mean over the picture's cells. λ is 0 for the first `dense_from` steps."""

    steps: Tensor

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        super().__init__(recipe, encoder)
        settings = recipe.contrast
        self.dense, self.dense_from = settings.dense, settings.dense_from
        self.dense_head = DenseHead(encoder.out_channels, hidden=settings.hidden, out=settings.out)
        self.key_dense_head = follower(self.dense_head)
        self.dense_queue = KeyQueue(settings.queue, settings.out)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss; `accuracy` and `dense_accuracy`: how often the own key is the nearest of all."""
        first, second = (at_least_float32(batch[name]) for name in self.FIELDS)
        features = self.encoder(first)
        queries = unit(self.head(features))
        cells = unit(self.dense_head(features).flatten(2))  # (N, D, S²)
        self.follow()
        keys, key_cells, pooled, key_features = self.keys(second, self._encode_keys)
        logits = against_queue(queries, keys, self.queue.keys, self.temperature)
        with torch.no_grad():
            nearest = matches(features.flatten(2), key_features)
            positives = key_cells.gather(2, nearest[:, None].expand(-1, key_cells.shape[1], -1))
        dense_logits = against_queue(by_cell(cells), by_cell(positives), self.dense_queue.keys, self.temperature)
        self.push(self.queue, keys)
        self.push(self.dense_queue, pooled)
        weight = (self.steps >= self.dense_from).to(logits) * self.dense
        if self.training:
            self.steps += 1
        loss = (1 - weight) * own_key(logits) + weight * own_key(dense_logits)
        right = {"accuracy": logits, "dense_accuracy": dense_logits}
        return loss, {name: (values.detach().argmax(1) == 0).float().mean() for name, values in right.items()}

    def follow(self) -> None:
        super().follow()
        if self.training:
            follow(self.key_dense_head, self.dense_head, self.momentum)

    def _encode_keys(self, view: Tensor) -> tuple[Tensor, ...]:
        """Global keys (N, D), dense keys (N, D, S²), their means (N, D), backbone features (N, C, S²)."""
        features = self.key_encoder(view)
        keys = unit(self.key_head(features))
        cells = self.key_dense_head(features).flatten(2)
        return keys, unit(cells), unit(cells.mean(2)), features.flatten(2)


def matches(features: Tensor, key_features: Tensor) -> Tensor:
    """For every cell of a query the cell of its key with the largest cosine between backbone features (N, C, S²): (N, S²) int64."""
    similarity = unit(features).transpose(1, 2) @ unit(key_features)
    return similarity.argmax(2)


def by_cell(cells: Tensor) -> Tensor:
    """(N, D, S²) to (N · S², D)."""
    return cells.transpose(1, 2).flatten(0, 1)
