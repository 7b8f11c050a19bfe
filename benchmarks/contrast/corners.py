"""What DenseCL's cells go by: is a cell matched by what it shows, or by where in the map it lies?"""

from collections.abc import Iterable

import torch

from train.objectives.base import Batch
from train.objectives.contrast import unit
from train.objectives.densecl import DenseCL, matches


@torch.no_grad()
def corners(objective: DenseCL, batches: Iterable[Batch]) -> dict[str, float]:
    """Means over all cells of the first views.

    Returns:
        same_place: share matched with the cell of the second view that lies at the same place of the map. Cosines of a cell, all as
        the dense loss takes them: `positive`, with its match; `elsewhere`, with the cell at that place of another picture;
        `negative`, with the keys of the dense queue.
    """
    objective.eval()
    found = []
    for batch in batches:
        features = objective.encoder(batch["view0"])
        cells = unit(objective.dense_head(features).flatten(2))
        _, keys, _, key_features = objective._encode_keys(batch["view1"])
        nearest = matches(features.flatten(2), key_features)
        place = nearest[:, None].expand(-1, keys.shape[1], -1)
        here = torch.arange(nearest.shape[1], device=nearest.device)
        found.append(
            torch.stack(
                [
                    (nearest == here).float().mean(),
                    (cells * keys.gather(2, place)).sum(1).mean(),
                    (cells * keys.roll(1, 0).gather(2, place)).sum(1).mean(),
                    (cells.transpose(1, 2).flatten(0, 1) @ objective.dense_queue.keys.T).mean(),
                ]
            )
        )
    means = torch.stack(found).mean(0).tolist()
    return dict(zip(("same_place", "positive", "elsewhere", "negative"), means, strict=True))
