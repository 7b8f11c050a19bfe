"""What is learned: one module per task, each a torch module from a batch to a loss."""

from train.objectives.base import Objective
from train.objectives.densecl import DenseCL
from train.objectives.foreground import ForegroundAlignment
from train.objectives.gap import TemporalGap
from train.objectives.moco import MoCo
from train.objectives.motion import MotionAlignment
from train.objectives.spatial import SpatialAlignment

OBJECTIVES: dict[str, type[Objective]] = {
    "spatial": SpatialAlignment,
    "foreground": ForegroundAlignment,
    "motion": MotionAlignment,
    "gap": TemporalGap,
    "moco": MoCo,
    "densecl": DenseCL,
}
"""By the recipe's `objective.name`: A, B1, B2 and C of the paper, on sound; and two on pictures."""
