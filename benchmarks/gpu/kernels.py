"""The kernels alone: `rotate` and `stft` of this room, each with its own limits and rivals."""

from importlib import import_module

from benchmarks.gpu.task import PartError, Task

NAMES = ("rotate", "stft")


def measure(task: Task) -> None:
    """Notes what each `measure` gives under its name.

    Raises:
        PartError: one is not there or did not come out; the other was measured all the same.
    """
    wrong = []
    for name in NAMES:
        task.say(f"kernel {name}")
        try:
            found = import_module(f"benchmarks.gpu.{name}").measure(task.device, rounds=2 if task.small else 30, small=task.small)
        except Exception as error:  # whatever it is, the other kernel is still to be measured
            wrong.append(f"{name}: {type(error).__name__}: {error}")
            task.note(name, {"error": wrong[-1]})
        else:
            task.note(name, found)
    if wrong:
        raise PartError("; ".join(wrong))
