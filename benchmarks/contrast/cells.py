"""The dense probe: does a cell of the frozen feature map tell what is there? A linear classifier for every cell."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.contrast.material import Scenes
from dataio.stream.kernels.rotate import MEAN, STD
from models.encoder import Encoder

STRENGTH = 0.01
"""C of the classifier, the inverse of what large weights cost: features are standardised, and many."""


@dataclass(frozen=True)
class Probed:
    """miou: mean intersection over union, of the classes that are there, the background among them. foreground: share of the cells
    of objects that were told right. maps: (N, h, w) int64, what was told. All on held-out scenes.
    """

    miou: float
    foreground: float
    maps: np.ndarray


def probe(encoder: Encoder, learn: Scenes, judge: Scenes) -> Probed:
    """Fit on the cells of some scenes, judge on those of others."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    known, asked = (cells(encoder, some.pictures) for some in (learn, judge))
    n, h, w, channels = asked.shape
    mean, spread = known.mean((0, 1, 2)), known.std((0, 1, 2)) + 1e-6
    linear = LogisticRegression(C=STRENGTH, max_iter=300)
    with threadpool_limits(1):  # its products are so small that two threads took three times as long
        linear.fit(((known - mean) / spread).reshape(-1, channels), truth(learn.classes, h, w).ravel())
    told = linear.predict(((asked - mean) / spread).reshape(-1, channels)).reshape(n, h, w)
    right = truth(judge.classes, h, w)
    return Probed(miou(told, right), float((told == right)[right > 0].mean()), told)


@torch.no_grad()
def cells(encoder: Encoder, pictures: np.ndarray, batch: int = 50) -> np.ndarray:
    """Feature maps of pictures (N, S, S, 3) uint8: (N, h, w, C) float32."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    found = []
    for first in range(0, len(pictures), batch):
        part = torch.from_numpy(pictures[first : first + batch]).permute(0, 3, 1, 2).float()
        found.append(encoder((part / 255 - mean) / std).permute(0, 2, 3, 1))
    return torch.cat(found).numpy()


def truth(classes: np.ndarray, h: int, w: int) -> np.ndarray:
    """The class of most pixels of a cell, the lowest of equals, of maps (N, S, S) whose side h and w divide: (N, h, w) int64."""
    counts = F.one_hot(torch.from_numpy(classes).long()).permute(0, 3, 1, 2).float()
    return F.avg_pool2d(counts, (classes.shape[1] // h, classes.shape[2] // w)).argmax(1).numpy()


def miou(told: np.ndarray, right: np.ndarray) -> float:
    """Mean over the classes that are right anywhere of |told ∩ right| / |told ∪ right|."""
    both = [((told == name) & (right == name)).sum() / ((told == name) | (right == name)).sum() for name in np.unique(right)]
    return float(np.mean(both))
