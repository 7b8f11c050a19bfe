"""The rows of the table: which run each is, and which runs must be there before it."""

from dataclasses import dataclass

SINGLE = {"spatial": "A", "foreground": "B1", "motion": "B2", "gap": "C"}
"""Tasks by the name of the recipe, and what the paper calls them."""

COMBINED = ("concatenate", "multitask", "progressive", "euclidean", "contrastive", "incremental")
"""The order of the paper's list of methods."""

COMBINES = ("gap", "spatial", "motion")
"""The tasks that are combined: as in the paper, B2 stands for foreground alignment, being slightly better than B1 there."""


@dataclass(frozen=True)
class Row:
    """One row of one seed. settings: of the recipe. needs: rows of the same seed whose encoders it starts from.

    trained: whether there is an encoder to train beforehand.
    """

    name: str
    title: str
    settings: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    trained: bool = True


def rows() -> list[Row]:
    """All of them, each after those it needs."""
    single = [Row(name, f"{label}  {TITLES[name]}", (f"objective.name={name}",)) for name, label in SINGLE.items()]
    combined = [
        Row(name, TITLES[name], (f"method.name={name}", f"method.tasks=[{', '.join(COMBINES)}]"), needs=COMBINES)
        for name in COMBINED
    ]
    baselines = [Row("random", TITLES["random"], ("method.name=random",)), Row("supervised", TITLES["supervised"], trained=False)]
    return [*single, *baselines, *combined]


TITLES = {
    "spatial": "spatial alignment",
    "foreground": "foreground alignment, objects",
    "motion": "foreground alignment, motion",
    "gap": "temporal gap",
    "random": "random encoder, frozen",
    "supervised": "fully supervised",
    "concatenate": "Concatenate",
    "multitask": "Multi-task",
    "progressive": "ProgressiveNet",
    "euclidean": "Euclidean distillation",
    "contrastive": "Contrastive distillation",
    "incremental": "Incremental learning",
}
