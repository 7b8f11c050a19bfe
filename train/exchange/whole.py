"""Files written whole or not at all, and never over another one that was there, unless that is asked for."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataio.format.atomic import naming, write_file


@dataclass(frozen=True)
class Written:
    """files: those that are there now. sentence: what was written, for people."""

    files: tuple[Path, ...]
    sentence: str


def write_files(folder: Path, files: Mapping[str, bytes], *, force: bool) -> tuple[Path, ...]:
    """Write all of them, each synced and renamed into place, in their order; one that is there with the same bytes is left.

    Raises:
        FileExistsError: one is there with other bytes, and `force` is not set; nothing was written then.
        OSError: no room, no rights; files that were there are whole.
    """
    paths = {folder / name: data for name, data in files.items()}
    if not force:
        for path, data in paths.items():
            if path.exists() and not (path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data):
                raise FileExistsError(f"{path} is there already, with other content: choose another folder, or force it")
    folder.mkdir(parents=True, exist_ok=True)
    for path, data in paths.items():
        with naming(path):
            write_file(path, data)
    return tuple(paths)


def saved(state: Mapping[str, Any]) -> bytes:
    """As torch.save writes it; the same state gives the same bytes."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


def safetensors(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file; the same state gives the same bytes.

    The library orders the metadata anew in every process, so the header is written again, sorted.
    """
    from safetensors.torch import save

    data = save({name: value.contiguous() for name, value in state.items()}, dict(metadata))
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[end:]
