"""From a batch's clip ids to tensors: read, decode, rotate, spectrogram. What the CPU and the GPU share."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from nvidia.dali.pipeline import Pipeline

from dataio.stream.meter import Meter
from dataio.stream.order.choices import Choices
from dataio.stream.reader import ClipReader, RawClip
from dataio.stream.spec import ClipSpec

Batch = dict[str, torch.Tensor]


class DecodeError(RuntimeError):
    """DALI could not decode a picture whose bytes are as they were written; the message names the clips of the batch."""


@dataclass(frozen=True)
class Job:
    """A batch under way: (B,) global clip ids, their random choices, and the reads that were started."""

    clips: np.ndarray
    choices: Choices
    reads: list[Future[RawClip]]


class Batcher(Protocol):
    """Turns clip ids into batches on one device."""

    def start(self, clips: np.ndarray, choices: Choices) -> Job:
        """Begin reading, without waiting."""

    def finish(self, job: Job) -> Batch:
        """Wait for the reads, and do everything else."""

    def close(self) -> None: ...


def start(pool: ThreadPoolExecutor, reader: ClipReader, meter: Meter, clips: np.ndarray, choices: Choices) -> Job:
    """Submit the reads of a batch, one task a clip."""

    def read(clip: int, begin: int, turn: int, mirror: int) -> RawClip:
        with meter.clock("read"):
            return reader.read(clip, begin, turn, bool(mirror))

    rows = zip(clips.tolist(), choices.start.tolist(), choices.turn.tolist(), choices.mirror.tolist(), strict=True)
    return Job(clips, choices, [pool.submit(read, *row) for row in rows])


def schedule(pipe: Pipeline, raws: list[RawClip]) -> None:
    """Hand all pictures of a batch to DALI as one flat batch; it decodes in its own threads."""
    pipe.feed_input("jpeg", [jpeg for raw in raws for jpeg in raw.jpegs])
    pipe.schedule_run()


def collect(pipe: Pipeline, job: Job):
    """The decoded pictures, valid until `pipe.release_outputs()`.

    Raises:
        DecodeError: DALI gave up, and the pipeline with it.
    """
    try:
        return pipe.share_outputs()[0]
    except RuntimeError as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise DecodeError(f"DALI failed to decode a picture of clips {job.clips.tolist()}: {reason}") from error


def labels(spec: ClipSpec, job: Job, raws: list[RawClip], rate: int) -> Batch:
    """The small fields, on the CPU: ids, yaw, where the sound window begins (seconds into the clip)."""
    fields = {"clip": torch.from_numpy(job.clips), "recording": torch.tensor([raw.recording for raw in raws], dtype=torch.int64)}
    if spec.yaw_classes:
        fields["yaw"] = torch.from_numpy(job.choices.yaw)
        fields["yaw_degrees"] = fields["yaw"].float() * (360.0 / spec.yaw_classes)
    if spec.pairs:
        fields["sound_start"] = torch.from_numpy(job.choices.start / rate)
    return fields
