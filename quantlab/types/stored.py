"""What an object store holds of a study."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["StoredFile", "StoredStudy"]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a study; its bytes are the object `objects/<sha256>`."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """All files of a study at an address, as the last command that ended has left them."""

    files: Mapping[str, StoredFile]
    """Path of each file, relative to the folder of the study with `/`."""
