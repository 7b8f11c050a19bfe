"""Which batcher makes the batches of a ClipLoader: by what is stored, what decodes it, and on which device."""

from typing import Any

from dataio.stream.batch import Batcher
from dataio.stream.batch_cpu import CpuBatcher
from dataio.stream.decoders import choose
from dataio.stream.device.device import Device
from dataio.stream.engine import Made, Means
from dataio.stream.pictures import Pictures, frames
from dataio.stream.spec import ClipSpec


def clip_batcher(spec: ClipSpec, decoder: str, means: Means) -> Made:
    """The batcher, who decodes, and what the user should be told.

    Raises:
        SpecError, ValueError: something that this device or decoder cannot do.
    """
    supply, medias = means.supply, [reader.store.manifest.media for reader in means.supply.readers]
    chosen = [choose(decoder, media.picture, means.device) for media in medias] if spec.frames else []
    notes = tuple(dict.fromkeys(choice.note for choice in chosen if choice.note))
    names = ", ".join(dict.fromkeys(choice.name for choice in chosen))
    together = means.device != "cpu" or "dali" in names
    each: list[str] = [choice.name for choice in chosen] or [""] * len(medias)
    pictures = [
        Pictures(reader, None if together else frames(name, reader), means.meter)
        for name, reader in zip(each, supply.readers, strict=True)
    ]
    if not together:
        return Made(CpuBatcher(supply, pictures, workers=means.threads, readers=means.readers, meter=means.meter), names, notes)
    if means.device != "cpu":
        from dataio.stream.device.cuda import Cuda

        return Made(cuda_batcher(spec, means, Cuda(means.device)), names, notes)
    from dataio.stream.batch_dali import DaliBatcher
    from dataio.stream.decode.flat import flat

    return Made(DaliBatcher(supply, pictures, flat(medias, spec, "cpu", means.threads), **_sizes(means)), names, notes)


def cuda_batcher(spec: ClipSpec, means: Means, device: Device) -> Batcher:
    """The batcher for a GPU, whatever `means` says of the device.

    Raises:
        SpecError: something that it cannot do.
    """
    from dataio.stream.batch_cuda import CudaBatcher
    from dataio.stream.decode.flat import flat

    readers = means.supply.readers
    graph = flat([reader.store.manifest.media for reader in readers], spec, device.name, means.threads)
    pictures = [Pictures(reader, None, means.meter) for reader in readers]
    return CudaBatcher(means.supply, pictures, graph, **_sizes(means), device=device)


def _sizes(means: Means) -> dict[str, Any]:
    # whoever waits for the device or for DALI must not be the one who reads
    readers = means.readers or means.threads
    return {"batch_size": means.batch_size, "workers": means.threads, "readers": readers, "meter": means.meter}
