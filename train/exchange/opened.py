"""A file of weights opened, whatever it is, without running anything that it holds."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_PICKLED = re.compile(r"GLOBAL ([\w.]{1,80})")


@dataclass(frozen=True)
class Opened:
    """content: tensors and plain values by name. metadata: strings that a safetensors file has beside them; None: it is another."""

    content: dict[str, Any]
    metadata: dict[str, str] | None = None


def open_file(path: Path) -> Opened:
    """Read a safetensors file, or what torch.save wrote, in the zip format or the one before torch 1.6; on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is neither, damaged, holds objects that would run code, or no names.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file of weights: there is no such file")
    return _safetensors(path) if _is_safetensors(path) else Opened(_saved(path))


def _is_safetensors(path: Path) -> bool:
    """Eight bytes with the length of the header, and the header, which is JSON."""
    with path.open("rb") as file:
        begin = file.read(9)
    return begin[8:] == b"{" and int.from_bytes(begin[:8], "little") <= path.stat().st_size - 8


def _safetensors(path: Path) -> Opened:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return Opened({name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, RuntimeError, ValueError, TypeError) as error:
        raise ValueError(f"{path} is no readable safetensors file ({' '.join(str(error).split())[:200]})") from error


def _saved(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError … by the kind of damage
        if found := _PICKLED.search(str(error)):
            raise ValueError(
                f"{path} holds an object of {found[1]}: only tensors and plain values are read, since other objects can run code"
            ) from error
        raise ValueError(f"{path} is no readable file of weights ({type(error).__name__})") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError(f"{path} holds {type(content).__name__} where weights by name are needed")
    return content
