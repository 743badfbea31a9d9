"""What can be said of any artifact: the contract of this family."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.types import OpRow, Port, StoredWeight, TapSpec

__all__ = ["ArtifactKind", "Contents", "files_below"]


@dataclass(frozen=True, slots=True)
class Contents:
    """What an artifact holds, read from its own bytes."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    """Positions count as the artifact itself does; without names of their own they follow the model's sorted names."""
    weights: Mapping[str, int]
    """Bytes of stored weights by stored dtype; integers that are shapes or indices count as `int32` and `int64`."""
    notes: tuple[str, ...] = ()
    """What is wrong with it at first sight, as weights that are infinite."""


@dataclass(frozen=True, slots=True)
class ArtifactKind:
    """A member of the family; nothing here imports TensorFlow."""

    looks: str
    """What the user gives to bring one, in words: `a .tflite file`."""
    inspect: Callable[[Path], Contents]
    """From what `served` names; raises ArtifactError where it is not what it must be."""
    recognizes: Callable[[Path], bool]
    """Whether a file or folder looks like one, by its names and first bytes."""
    served: Callable[[Path], Path]
    """From the folder a converter wrote into to what is shipped."""
    files: Callable[[Path], list[Path]]
    """From what is served to every file that must be, in order of their names."""
    weights: Callable[[Path], Iterator[StoredWeight]]
    """Every constant of what is served, decoded, in the file's order; nothing is run. Raises as `inspect` does."""
    ops: Callable[[Path, str], tuple[OpRow, ...]]
    """From what is served and the setting's name: what each op computes in; none where all compute in one type."""
    minimum_runtime: Callable[[Path], str | None]
    """From what is served to the least version of the format's runtime that runs it, where it tells of one."""
    options: Callable[[Path], dict[str, Any]] = lambda _: {}
    """From what is served to what executors must be told beside it: a job's `options`."""
    taps: Callable[[Path], tuple[TapSpec, ...]] | None = None
    """Every tensor inside, in order of execution; None where the Python worker lists them, since only it can."""
    write_tapped: Callable[[Path, Path, Collection[str]], tuple[int, ...]] | None = None
    """Writes a copy of what is served that gives the named taps as further outputs.

    It gives each name's place among the copy's outputs, in the order of `taps`, which it needs. None where runtimes
    read inside the artifact itself.
    """


def files_below(path: Path) -> list[Path]:
    """Every file of a folder, in order of their names; a file is its own."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
