"""The state of a loader: a few hundred bytes of JSON that say what was handed out."""

from typing import Any

VERSION = 3
_FREE = ("epoch", "position")  # all else must be as it was


class StateError(ValueError):
    """A loader state belongs to another data set or another order; the message names the difference."""


def restore(saved: dict[str, Any], mine: dict[str, Any], clips: int) -> tuple[int, int]:
    """Epoch and position of a saved state, if it fits a loader whose own state is `mine` and whose epochs have so many clips.

    Raises:
        StateError: it does not.
    """
    for name, value in mine.items():
        if name not in _FREE and saved.get(name) != value:
            raise StateError(f"the loader state has {name}={saved.get(name)!r}, this loader {value!r}: it cannot go on from there")
    epoch, position = saved.get("epoch"), saved.get("position")
    if not isinstance(epoch, int) or not isinstance(position, int) or epoch < 0 or not 0 <= position <= clips:
        raise StateError(f"the loader state has epoch={epoch!r} and position={position!r}; an epoch here has {clips} clips")
    return epoch, position
