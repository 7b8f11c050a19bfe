"""What is learned: one module per task, each a torch module from a batch to a loss."""

from train.objectives.spatial import SpatialAlignment

OBJECTIVES = {"spatial": SpatialAlignment}
"""By the recipe's `objective.name`. Each has `from_recipe(recipe)`, `clip_spec(recipe)` and `forward(batch)` → loss, metrics."""
