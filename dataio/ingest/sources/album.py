"""What an image source hands to the builder: albums of pictures."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Picture:
    """Where a picture's bytes are. file: below root. member: inside the tar `file`, or "". offset, length: bytes inside `file`."""

    root: str
    file: str
    member: str
    offset: int
    length: int
    label: int

    @property
    def path(self) -> Path:
        return Path(self.root, self.file)

    @property
    def source(self) -> str:
        """Its name below the root: `train/n01/x.jpg`, `a.tar/x.jpg`."""
        return f"{self.file}/{self.member}" if self.member else self.file


@dataclass(frozen=True)
class Album:
    """Pictures of one split, of mixed classes: a fair sample. classes: the name of every label of the set."""

    name: str
    split: str
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
