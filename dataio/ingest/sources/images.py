"""Pictures with a class each: folders of class folders, or tars of pictures, as albums of up to 1,024 in mixed order.

    n01440764/a.JPEG                   a class folder; with train/, val/ or test/ above it, those are the splits
    n01440764.tar                      a class tar: pictures and nothing else, the class is the tar's name
    ILSVRC2012_img_train.tar           class tars within a tar
    imagenet-train-000000.tar          WebDataset: a.jpg with a.cls (a number) or a.json ({"label": a number or a name})

Tars may lie below train/, val/ and test/ too, and where their names tell at least two of these apart, they give the split. They are
read by offset and never unpacked. Classes are numbered in the order of their names; numbers in a `.cls` stay as they are.
"""

import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from dataio.ingest.deal import rank
from dataio.ingest.errors import SourceError
from dataio.ingest.sources.album import Album, Picture
from dataio.ingest.sources.folder import VIDEO
from dataio.ingest.sources.listing import SUFFIXES, Listing, walk
from dataio.ingest.sources.recording import Refused

ALBUM = 1024  # pictures

_LOOKED_AT = 10_000  # entries, by which `is_images` decides


def is_images(root: Path) -> bool:
    """Whether there are pictures or tars, and no video, among the first 10,000 entries below `root`."""
    found = False
    for entry in islice(walk(root), _LOOKED_AT):
        name = entry.name.lower()
        if name.endswith(VIDEO):
            return False
        found = found or name.endswith((*SUFFIXES, ".tar"))
    return found


def albums(root: Path, shares: Mapping[str, float], *, size: int = ALBUM) -> list[Album | Refused]:
    """Every picture below `root`, in albums called `train-00012`; and what cannot be used, a file or folder at a time.

    What the source gives no split for is dealt by `shares`, within every class and in the whole, to a picture or two. All orders
    depend on names alone.

    Raises:
        SourceError: nothing can be used, or some classes have names and others only numbers.
    """
    listing = Listing(root)
    listing.scan()
    refused = listing.refusals()
    if not listing.entries:
        why = "".join(f"; {r.reason}" for r in refused[:3])
        raise SourceError(f"{root} holds no picture with a class ({', '.join(SUFFIXES)}, in class folders or tars){why}")
    numbers = sorted(label for label in listing.entries if isinstance(label, int))
    names = sorted(label for label in listing.entries if isinstance(label, str))
    if numbers and names:
        raise SourceError(f"{root} holds both classes with names ({names[0]}, …) and with numbers alone ({numbers[0]}, …)")
    classes = tuple(names) or tuple(map(str, range(numbers[-1] + 1)))
    by_split: dict[str, list[Picture]] = {}
    counts: dict[str, int] = {}
    for number, label in zip(numbers, numbers, strict=True) if numbers else enumerate(names):
        for split, entries in listing.entries.pop(label).items():
            pictures = [Picture(str(root), *entry, number) for entry in entries]
            if split is None:
                for name, part in _dealt(pictures, shares, counts).items():
                    by_split.setdefault(name, []).extend(part)
            else:
                by_split.setdefault(split, []).extend(pictures)
    found: list[Album | Refused] = list(refused)
    for split in sorted(by_split):
        pictures = sorted(by_split.pop(split), key=lambda picture: rank("album", picture.source))
        count = math.ceil(len(pictures) / size)
        edges = [len(pictures) * i // max(1, count) for i in range(count + 1)]
        for i, (low, high) in enumerate(zip(edges, edges[1:], strict=False)):
            found.append(Album(f"{split}-{i:05d}", split, tuple(pictures[low:high]), classes))
    return found


def _dealt(pictures: list[Picture], shares: Mapping[str, float], counts: dict[str, int]) -> dict[str, list[Picture]]:
    """The pictures of one class by split: each, in an order as good as random, to the split that is farthest behind its share.

    Args:
        counts: how many pictures each split has been given of the classes before; brought up to date. So many small classes get
            their shares together, as one large class does.
    """
    result: dict[str, list[Picture]] = {split: [] for split in shares}
    total = sum(counts.values())
    for number, picture in enumerate(sorted(pictures, key=lambda picture: rank("split", picture.source)), total + 1):
        split = max(shares, key=lambda name: shares[name] * number - counts.get(name, 0))
        result[split].append(picture)
        counts[split] = counts.get(split, 0) + 1
    return result
