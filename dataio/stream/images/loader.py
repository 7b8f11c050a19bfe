"""ImageLoader: views of pictures, in the order and with the state, health and storage of every loader."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from dataio.stream.engine import Made, Means
from dataio.stream.images.batcher import ViewBatcher
from dataio.stream.images.reader import StillReader
from dataio.stream.images.spec import ViewSpec
from dataio.stream.loader import Loader, Options


class ImageLoader(Loader):
    """Batches of single pictures, each in one or more views: `view0`, `view1`, … (B, 3, size, size), `label` and `clip` (B,).

    The views are MoCo-v2's two crops by default: cut out, resized, jittered, greyed, blurred and flipped, all by numbers that are
    pure functions of (seed, epoch, picture, view).

    Args:
        path, options: see `Loader`. The set is one of pictures (`shards build --layout images`).
        spec: the views wanted.
        batch_size: pictures a batch, on each rank.

    Raises:
        As Loader.
    """

    def __init__(
        self,
        path: str | Path | Mapping[str, str | Path],
        spec: ViewSpec = ViewSpec(),
        *,
        batch_size: int,
        **options: Unpack[Options],
    ) -> None:
        self.spec = spec
        make = partial(_batcher, spec, options.get("seed", 0))
        super().__init__(path, partial(StillReader, views=spec), make, (), batch_size=batch_size, **options)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, whose rows the labels are.

        Raises:
            ValueError: several sets whose classes differ.
        """
        found = {reader.store.manifest.media.classes for reader in self._sets.readers}
        if len(found) > 1:
            raise ValueError(f"the sets {', '.join(self._sets.names)} have different classes, so a label means nothing by itself")
        return next(iter(found))


def _batcher(spec: ViewSpec, seed: int, means: Means) -> Made:
    sizes: dict[str, Any] = {"seed": seed, "workers": means.threads, "meter": means.meter}
    if means.device == "cpu":
        batcher = ViewBatcher(means.supply, spec, readers=means.readers, **sizes)
    else:
        from dataio.stream.device.cuda import Cuda
        from dataio.stream.images.batcher_cuda import CudaViewBatcher

        readers, device = means.readers or means.threads, Cuda(means.device)
        batcher = CudaViewBatcher(means.supply, spec, readers=readers, batch_size=means.batch_size, device=device, **sizes)
    return Made(batcher, batcher.decoder)
