"""Which GPU `cuda` means: under torchrun, where a process has a GPU of its own, not the first one for all of them."""

from collections.abc import Mapping


def index_of(asked: int | None, current: int, count: int, environment: Mapping[str, str]) -> int:
    """The index of a GPU.

    A number in the device's name counts, then the device that the process has chosen, then torchrun's LOCAL_RANK. That a process
    has not chosen looks like having chosen the first; a rank that sees only one GPU has nothing to choose.

    Args:
        asked: index in the name, None for plain `cuda`. current: as torch says. count: GPUs that are seen.
        environment: of the process.

    Raises:
        ValueError: there is no such GPU.
    """
    if asked is not None:
        if not 0 <= asked < count:
            raise ValueError(f"device='cuda:{asked}': there are {count} GPUs, counted from 0")
        return asked
    local = environment.get("LOCAL_RANK", "")
    if current == 0 and local.isdecimal() and int(local) < count:
        return int(local)
    return current
