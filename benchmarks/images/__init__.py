"""The views of pictures: the loader against its own ceiling, against DALI alone, and against torchvision; one run, in turns."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.images import dali, peers
from benchmarks.loader.turns import Endless, rates
from benchmarks.machine import portable
from dataio.stream.health import Health
from dataio.stream.images.decode import decoder
from dataio.stream.images.draws import choose
from dataio.stream.images.loader import ImageLoader
from dataio.stream.images.reader import StillReader
from dataio.stream.images.spec import ViewSpec
from dataio.stream.images.views import Views
from dataio.stream.store.local import LocalStore
from train.environment import machine

AHEAD = 2  # batches that each of a DataLoader's workers prepares, torch's default


def images(
    shards: Path,
    spec: ViewSpec = ViewSpec(),
    *,
    batch_size: int = 64,
    threads: int = 2,
    rounds: int = 5,
    seconds: float = 2.0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure on a set of pictures.

    Args:
        threads: of ours and of DALI's, and worker processes of the DataLoaders.
        rounds: every contender runs once a round, for so many seconds; medians are reported.

    Returns:
        JSON: `pictures_per_second` → contender → median, min, max. `ceiling`: 1 / (decode + views) of a picture, each alone;
        `share`: of it that the loader reaches. `times`: as fast as each peer.

    Raises:
        ValueError: the set has fewer pictures than a batch. SpecError: it is no set of pictures.
    """
    torch.set_num_threads(1)  # every contender gets its cores from `threads`
    with ExitStack() as stack:
        store = stack.enter_context(LocalStore(shards))
        if store.manifest.clips < batch_size:
            raise ValueError(f"{shards} holds {store.manifest.clips} pictures, fewer than batch_size={batch_size}")
        reader = StillReader(store, spec)
        jpegs = [reader.read(clip).picture.parts[0] for clip in range(batch_size)]
        found = stages(stack.enter_context(ThreadPoolExecutor(threads)), spec, jpegs, threads)
        loader = stack.enter_context(ImageLoader(shards, spec, batch_size=batch_size, threads=threads, health=Health(None)))
        found[LOADER] = Endless(loader, loader.batches_ahead)
        for backend in peers.BACKENDS:
            other = peers.loader(shards, spec, backend, batch_size, threads)
            found[f"torch DataLoader, torchvision v2, {backend}"] = Endless(other, AHEAD * threads + 1)
        seen = rates(found, batch_size, rounds=rounds, seconds=seconds, say=say)
        report = portable(loader.report())
    middle = {name: rate["median"] for name, rate in seen.items()}
    ceiling = 1 / (1 / middle[DECODE] + 1 / middle[VIEWS])
    return {
        "bench": "images",
        "machine": machine(),
        "spec": asdict(spec),
        "batch_size": batch_size,
        "threads": threads,
        "rounds": rounds,
        "unit": "pictures/s",
        "pictures_per_second": seen,
        "ceiling": ceiling,
        "share": middle[LOADER] / ceiling,
        "loader_report": report,
        "times": {name: middle[LOADER] / rate for name, rate in middle.items() if name.startswith(("torch", "DALI"))},
    }


DECODE, VIEWS, BOTH = "decode alone", "views alone", "decode and views, without a loader"
LOADER = "Sonosphere ImageLoader"


def stages(pool: ThreadPoolExecutor, spec: ViewSpec, jpegs: list[np.ndarray], threads: int) -> dict[str, Callable[[], object]]:
    """Our stages alone and together, and DALI's graphs, each as a function that does one batch."""
    run, maker, count = decoder()[1], Views(spec), range(len(jpegs))
    pictures, draws = [run(jpeg) for jpeg in jpegs], choose(spec, 0, 0, np.arange(len(jpegs)))
    out = np.empty((len(jpegs), spec.views, 3, spec.size, spec.size), np.float32)

    def decode(jpeg: np.ndarray) -> None:
        run(jpeg)  # what is kept until the end of the batch would cost page faults, which the loader does not have

    def views(i: int, picture: np.ndarray) -> None:
        maker.write(picture, draws.row(i), list(out[i]))

    found: dict[str, Callable[[], object]] = {
        DECODE: lambda: list(pool.map(decode, jpegs)),
        VIEWS: lambda: list(pool.map(views, count, pictures)),
        BOTH: lambda: list(pool.map(lambda i: views(i, run(jpegs[i])), count)),
    }
    if spec.views == 2 and spec.augment:
        sizes = [picture.shape[:2] for picture in pictures]
        found["DALI, each picture decoded once"] = dali.contender(spec, draws, jpegs, sizes, threads, once=True)
        found["DALI, the region of each view decoded"] = dali.contender(spec, draws, jpegs, sizes, threads, once=False)
    return found
