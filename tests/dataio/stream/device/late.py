"""A device that does nothing before it must: a stand-in for a GPU, by the rules of streams that `device.py` names.

What is asked of it waits in a queue and is done at random moments, or when somebody waits for an event. It knows memory by its
address alone, so nothing that it still needs is kept alive for it; memory that is given back is filled with 0xFF at once (host
memory) or in the order of its stream (its own), which is NaN, −1 or white to whoever reads it too late. The user has a stream too,
which is as late. Whatever comes out right in the end, under many such orders, did not depend on luck.
"""

import ctypes
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np
import torch

from dataio.stream.buffers import BufferPool
from dataio.stream.device.device import blocks

POISON = 0xFF


class Stream:
    """Operations in order. One that is an event holds up what comes after it until the event has passed."""

    def __init__(self) -> None:
        self.queue: deque[Any] = deque()

    def step(self) -> bool:
        """Do the first operation; False if there is none, or it must wait."""
        if not self.queue or (isinstance(self.queue[0], LateEvent) and not self.queue[0].done):
            return False
        operation = self.queue.popleft()
        if not isinstance(operation, LateEvent):
            operation()
        return True


class LateEvent:
    def __init__(self, device: "Late") -> None:
        self._device, self.done = device, False

    def _happen(self) -> None:
        self.done = True

    def passed(self) -> bool:
        self._device.some()
        return self.done

    def wait(self) -> None:
        self._device.until(self)

    def since(self, earlier: "LateEvent") -> float:
        assert self.done and earlier.done, "a clock was read before its event"
        return 0.001


class Memory(BufferPool):
    """Keeps every byte that was ever lent, so that reading too late is an error and no crash."""

    def __init__(self, freed: Callable[[np.ndarray, Callable[[], None]], None]) -> None:
        self.all: list[np.ndarray] = []
        self._freed = freed
        super().__init__(self._new)

    def _new(self, size: int) -> np.ndarray:
        self.all.append(np.full(max(size, 1), POISON, np.uint8)[:size])
        return self.all[-1]

    def _take_back(self, memory: np.ndarray) -> None:
        self._freed(memory, lambda: super(Memory, self)._take_back(memory))


class Late:
    """See `Device`.

    Args:
        seed: of the moments. eagerness: operations that are done a call, at most; 0: none before it must be.
        stand_ins: what to call for a kernel, with arrays; None: the kernels themselves, in numba's simulator.
    """

    name = "cpu"
    where = torch.device("cpu")

    def __init__(self, seed: int, eagerness: int, stand_ins: dict[Any, Callable[..., None]] | None) -> None:
        self._draw, self._eagerness, self._stand_ins = random.Random(seed), eagerness, stand_ins
        self._lock = RLock()
        self.ours, self.users = Stream(), Stream()
        self._recorded: set[int] = set()
        self.host = Memory(self._at_once)
        self._dalis = Memory(self._at_once)
        self._memory = Memory(self._in_order)

    # time

    def some(self) -> None:
        """A moment goes by."""
        with self._lock:
            for _ in range(self._draw.randint(0, self._eagerness)):
                self._draw.choice((self.ours, self.users)).step()

    def until(self, event: LateEvent) -> None:
        with self._lock:
            while not event.done:
                assert self.ours.step(), "waits for what will never happen"

    def finish(self) -> None:
        with self._lock:
            while self.ours.queue or self.users.queue:
                if not self._draw.choice((self.ours, self.users)).step():
                    assert self.ours.step() or self.users.step(), "the streams wait for each other"

    def _later(self, stream: Stream, operation: Callable[[], None] | LateEvent) -> None:
        with self._lock:
            stream.queue.append(operation)
            self.some()

    # memory

    def _at_once(self, memory: np.ndarray, back: Callable[[], None]) -> None:
        memory.fill(POISON)
        back()

    def _in_order(self, memory: np.ndarray, back: Callable[[], None]) -> None:
        def free() -> None:
            self.ours.queue.append(lambda: memory.fill(POISON))
            back()

        with self._lock:
            if memory.ctypes.data in self._recorded:
                self._recorded.discard(memory.ctypes.data)
                self.users.queue.append(free)
            else:
                free()

    # the device

    @contextmanager
    def entered(self) -> Iterator[None]:
        yield

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        return self._memory.lend(shape, torch.empty(0, dtype=dtype).numpy().dtype.type)

    def send(self, values: torch.Tensor) -> torch.Tensor:
        out = self.empty(tuple(values.shape), values.dtype)
        source, target = Place(values), Place(out)
        self._later(self.ours, lambda: np.copyto(target.array(), source.array()))
        return out

    def tables(self, resize: Any) -> Any:
        if self._stand_ins is not None:
            return resize
        from dataio.stream.kernels import rotate_cuda

        return rotate_cuda.Tables(resize)

    def launch(self, kernel: Callable[..., None], *arguments: Any) -> None:
        places = [Place(a) if isinstance(a, torch.Tensor) else a for a in arguments]

        def run() -> None:
            arrays = [a.array() if isinstance(a, Place) else a for a in places]
            if self._stand_ins is not None:
                self._stand_ins[kernel](*arrays)
                return
            from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

            kernel(*(FakeCUDAArray(a) if isinstance(a, np.ndarray) else a for a in arrays), 0)

        self._later(self.ours, run)

    def share(self, pipe: Any) -> list[torch.Tensor]:
        found = []
        for block in blocks(pipe.share_outputs()[0]):
            decoded = block.clone().numpy()
            found.append(self._dalis.lend(decoded.shape, np.uint8))
            target = Place(found[-1])
            self._later(self.ours, lambda target=target, decoded=decoded: np.copyto(target.array(), decoded))
        return found

    def blocks(self, output: list[torch.Tensor]) -> list[torch.Tensor]:
        return output

    def mark(self) -> LateEvent:
        event = LateEvent(self)
        self._later(self.ours, event._happen)
        return event

    def hand_over(self, ready: LateEvent, tensors: Iterable[torch.Tensor]) -> None:
        self._later(self.users, ready)
        for tensor in (t for t in tensors if t.numel()):
            self._recorded.add(next(m.ctypes.data for m in self._memory.all if _within(tensor, m)))

    # the user

    def take(self, batch: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
        """What the user's stream sees in a batch when it comes to it; whole after `finish`."""
        seen = {}
        for name, tensor in batch.items():
            source, seen[name] = Place(tensor), np.empty(tuple(tensor.shape), tensor.numpy().dtype)
            self._later(self.users, lambda source=source, out=seen[name]: np.copyto(out, source.array()))
        return seen


class Place:
    """Where a tensor lies, which does not keep it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        assert tensor.is_contiguous()
        self._address, self._shape, self._dtype = tensor.data_ptr(), tuple(tensor.shape), tensor.numpy().dtype

    def array(self) -> np.ndarray:
        count = int(np.prod(self._shape)) * self._dtype.itemsize
        memory = (ctypes.c_uint8 * count).from_address(self._address)
        return np.frombuffer(memory, self._dtype).reshape(self._shape) if count else np.empty(self._shape, self._dtype)


def _within(tensor: torch.Tensor, memory: np.ndarray) -> bool:
    return memory.ctypes.data <= tensor.data_ptr() < memory.ctypes.data + max(memory.nbytes, 1)


def cpu_kernels() -> dict[Any, Callable[..., None]]:
    """The CPU's kernels in place of the GPU's, clip by clip."""
    from dataio.stream.kernels import maps, maps_cuda, rotate, rotate_cuda, stft, stft_cuda, tilt, tilt_cuda, tilt_maps

    def turn(frames, shift, mirror, resize, out):
        for i, pictures in enumerate(frames):
            one = np.empty(out.shape[1:], np.float32)
            rotate.rotate(pictures, int(shift[i]), bool(mirror[i]), resize, one)
            out[i] = one

    def tilted(frames, shift, mirror, matrices, resize, out):
        for i, pictures in enumerate(frames):
            n = tilt.samples(resize.stored, resize.size)
            shape = (n[0] * n[1], *resize.size)
            places = tilt.Places(*(np.empty(shape, kind) for kind in (np.int32, np.int32, np.float32, np.float32)))
            stands = int(shift[i]) % resize.size[1], bool(mirror[i]), matrices[i]
            tilt._fill(*resize.stored, *n, *stands, places.rows, places.columns, places.down, places.right)
            one = np.empty(out.shape[1:], np.float32)
            for f, picture in enumerate(pictures):
                tilt.rotate_one(picture, f, places, resize, one)
            out[i] = one

    def labels(values, shift, mirror, size, out):
        for i, value in enumerate(values):
            maps.turn_labels(value, int(shift[i]), bool(mirror[i]), out[i, 0])

    def flow(values, valid, shift, mirror, resize, out):
        for i, value in enumerate(values):
            maps.turn_flow(value, valid[i] != 0, int(shift[i]), bool(mirror[i]), out[i])

    def tilted_labels(values, shift, mirror, matrices, size, out):
        for i, value in enumerate(values):
            tilt_maps._pick(value, int(shift[i]) % size[1], bool(mirror[i]), matrices[i], out[i, 0])

    def tilted_flow(values, valid, shift, mirror, matrices, resize, out):
        for i, value in enumerate(values):
            tilt_maps._lead(value, valid[i] != 0, int(shift[i]) % resize.size[1], bool(mirror[i]), matrices[i], out[i])

    def heard(pcm, gains, out, kind):
        for i, samples in enumerate(pcm):
            stft.spectrogram(samples, gains[i], out[i], kind)

    return {
        rotate_cuda.rotate: turn,
        tilt_cuda.rotate: tilted,
        maps_cuda.turn_labels: labels,
        maps_cuda.turn_flow: flow,
        tilt_cuda.turn_labels: tilted_labels,
        tilt_cuda.turn_flow: tilted_flow,
        stft_cuda.spectrogram: heard,
    }
