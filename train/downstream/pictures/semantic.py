"""Semantic prediction: the class map that sound alone tells, beside the true one."""

from pathlib import Path

from train.downstream.base import Rows
from train.downstream.pictures.style import INK, bare, new_figure, save

COLOURS = ("#f1f3f5", "#e4572e", "#2e86ab", "#f2b134", "#6a4c93", "#2e9e4f")
BEYOND = "#8a97a6"
UNKNOWN = "#ffffff"


def class_maps(shown: Rows, figures: dict[str, float], classes: int, path: Path) -> None:
    """A row a clip: the frame (never seen by the network), the true classes, the predicted ones.

    Args:
        shown: pictures (n, h, w, 3) uint8; labels and predicted (n, H, W).
        classes: background included; those beyond the colours share one.
    """
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    wheel = [*COLOURS, *[BEYOND] * 256][:classes]
    colours = ListedColormap([*wheel, UNKNOWN])
    norm = BoundaryNorm([i - 0.5 for i in range(classes + 1)] + [256], classes + 1)
    clips = shown["labels"].shape[0]
    columns = [("true classes", "labels"), ("predicted from sound alone", "predicted")]
    if "pictures" in shown:
        columns.insert(0, ("the frame, which is not given", "pictures"))
    percent = f"foreground mIoU {figures['miou_foreground']:.1%}, mIoU {figures['miou']:.1%} over all held-out clips"
    figure = new_figure(1.4 + 2.0 * clips, f"Semantic prediction: what sounds where? {percent}")
    axes = figure.subplots(clips, len(columns), squeeze=False)
    for row in range(clips):
        for column, (title, name) in enumerate(columns):
            axis, image = axes[row, column], shown[name][row].numpy()
            options = {} if name == "pictures" else {"cmap": colours, "norm": norm}
            axis.imshow(image, extent=(-180, 180, -90, 90), aspect="equal", interpolation="nearest", **options)
            bare(axis)
            if row == 0:
                axis.set_title(title, color=INK, fontsize=12, loc="left")
            if column == 0:
                axis.set_ylabel(f"clip {int(shown['clip'][row])}", color=INK, fontsize=10)
            if row == clips - 1:
                axis.set_xticks([-180, -90, 0, 90, 180], ["−180°", "−90°", "front", "90°", "180°"], color=INK, fontsize=9)
    used = sorted({int(v) for name in ("labels", "predicted") for v in shown[name].unique()} | {0})
    patches = [
        Patch(facecolor=wheel[i], edgecolor=BEYOND, label="background" if i == 0 else f"class {i}") for i in used if i < classes
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(8, len(patches)), frameon=False, fontsize=11)
    save(figure, path)
