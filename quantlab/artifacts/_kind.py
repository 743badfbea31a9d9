"""What can be said of any artifact: the contract of this family."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from quantlab.types import OpRow, Port, StoredWeight

__all__ = ["ArtifactKind", "Contents"]


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

    inspect: Callable[[Path], Contents]
    """From what `served` names; raises ArtifactError where it is not what it must be."""
    recognizes: Callable[[Path], bool]
    """Whether a file or folder looks like one, by its names and first bytes."""
    served: Callable[[Path], Path]
    """From the folder a converter wrote into to what is shipped."""
    weights: Callable[[Path], Iterator[StoredWeight]]
    """Every constant of what is served, decoded, in the file's order; nothing is run. Raises as `inspect` does."""
    ops: Callable[[Path, str], tuple[OpRow, ...]]
    """From what is served and the setting's name: what each op computes in; none where all compute in one type."""
    minimum_runtime: Callable[[Path], str | None]
    """From what is served to the least version of the format's runtime that runs it, where it tells of one."""
