"""What belongs to a GPU, behind one small door: its memory, its stream, its events. Whatever makes batches goes through here, so
that its order can be tried without a GPU, by a device that does everything as late as the rules of streams allow.

The rules: a device has one stream of its own, on which copies and kernels run one after the other, later than they are called.
Host memory that is copied from, and memory of DALI that is read, must stay as they are until an event behind their last use has
passed. Memory on the device may be dropped at any time, since what comes to lie there next is written on the same stream. Another
stream must be told to wait.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

import torch

from dataio.stream.buffers import BufferPool


class Event(Protocol):
    """A moment on the stream of a device."""

    def passed(self) -> bool:
        """Whether the stream has come there."""

    def wait(self) -> None:
        """Until it has, asleep."""

    def since(self, earlier: Self) -> float:
        """Seconds between two moments that have passed, by the device's clock."""


class Device(Protocol):
    """name: as DALI and torch have it. host: lends memory that is copied from while the host goes on."""

    name: str
    where: torch.device
    host: BufferPool

    def entered(self) -> AbstractContextManager[None]:
        """This thread's calls of every library go to this device, and torch's to its stream."""

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Memory on the device, of undefined content."""

    def send(self, values: torch.Tensor) -> torch.Tensor:
        """A copy on the device; `values`, lent by `host`, stay as they are until an event marked later has passed."""

    def tables(self, resize: Any) -> Any:
        """What the kernels take in place of a `rotate.Resize`."""

    def launch(self, kernel: Callable[..., None], *arguments: Any) -> None:
        """Call a function of `kernels`, whose last argument is the handle of a stream, with ours."""

    def share(self, pipe: Any) -> Any:
        """The next output of a DALI pipeline, which our stream waits for."""

    def blocks(self, output: Any) -> list[torch.Tensor]:
        """What `share` gave, where it lies: neighbouring pictures of one size together, (n, …, 3) uint8."""

    def mark(self) -> Event:
        """The moment at which all is done that was asked for so far."""

    def hand_over(self, ready: Event, tensors: Iterable[torch.Tensor]) -> None:
        """Whatever this thread does next on its own stream of the device comes after `ready`, and the tensors may be dropped at any
        time: their memory is not used again before that stream is done with them.
        """


class Arriving(dict[str, torch.Tensor]):
    """A batch that the device is still at work on. ready: when it will not be."""

    def __init__(self, fields: dict[str, torch.Tensor], ready: Event) -> None:
        super().__init__(fields)
        self.ready = ready


def blocks(output: Any) -> list[torch.Tensor]:
    """The pictures of a DALI TensorList, without a copy if they have one size and lie in one piece; otherwise those of one size
    that follow each other are put together.
    """
    try:
        return [torch.from_dlpack(output.as_tensor())]
    except RuntimeError:
        pass
    found: list[list[torch.Tensor]] = []
    for i in range(len(output)):
        picture = torch.from_dlpack(output[i])
        if not found or found[-1][0].shape != picture.shape:
            found.append([])
        found[-1].append(picture)
    return [torch.stack(group) for group in found]
