"""Video retrieval: what a sound finds among all held-out clips."""

from collections.abc import Sequence
from pathlib import Path

from train.downstream.base import Rows
from train.downstream.pictures.style import INK, RIGHT, SOFT, bare, new_figure, save

QUERIES, FOUND = 5, 5


def retrieved(rows: Rows, clips: Sequence[int], figures: dict[str, float], path: Path) -> None:
    """A row a query: the frame of its own clip, and those of the clips found; the right one in green.

    Args:
        rows: of all clips: clip (N,), sounds and videos (N, D), pictures (N, h, w, 3) uint8.
        clips: ids of the queries.
    """
    place = {clip: i for i, clip in enumerate(rows["clip"].tolist())}
    queries, gallery = list(clips)[:QUERIES], int(figures["gallery"])
    count = min(FOUND, gallery)
    title = (
        f"Video retrieval: which of {gallery} held-out clips does this sound belong to? Among the first 10: "
        f"{figures['recall_at_10']:.0f} %, by chance {100 * min(1, 10 / gallery):.0f} %"
    )
    figure = new_figure(1.2 + 1.35 * len(queries), title)
    axes = figure.subplots(len(queries), 1 + count, squeeze=False)
    for row, clip in enumerate(queries):
        own = place[clip]
        scores = rows["videos"] @ rows["sounds"][own]
        order = scores.argsort(descending=True, stable=True).tolist()
        for column, i in enumerate([own, *order[:count]]):
            axis = axes[row, column]
            axis.imshow(rows["pictures"][i].numpy(), aspect="equal", interpolation="nearest")
            bare(axis)
            if column == 0:
                axis.set_title(f"sound of clip {clip}; its frame", color=INK, fontsize=9, loc="left")
                axis.set_xlabel(f"found as number {order.index(own) + 1}", color=INK, fontsize=9, loc="left")
                continue
            axis.set_title(f"{column}.  cosine {float(scores[i]):.2f}", color=RIGHT if i == own else SOFT, fontsize=9, loc="left")
            if i == own:
                for side in axis.spines.values():
                    side.set_visible(True)
                    side.set_edgecolor(RIGHT)
                    side.set_linewidth(4)
    save(figure, path)
