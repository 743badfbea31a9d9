"""Which samples of the user's source are meant: positions in it, and names of files where samples are files."""

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.names import shortened
from quantlab.npy import mapped
from quantlab.types import NAMED_SAMPLES, FileState, SampleNames, SampleSet

__all__ = [
    "FILES",
    "INDICES",
    "files_of",
    "indices_of",
    "intact_origins",
    "named",
    "names_of",
    "origins_sha256",
    "present_file",
    "told",
]

INDICES = "indices.npy"
"""File of a sample set with the position of each of its samples in the source, int64 (n,)."""
FILES = "files.json"
"""File of a sample set with the name of each sample's file below the source; only if samples are files."""

_TOLD = 5


def origins_sha256(folder: Path) -> str:
    """SHA-256 of what a folder with a sample set records of their origin.

    Raises:
        OSError: If the positions are missing.
    """
    digest = hashlib.sha256((folder / INDICES).read_bytes())
    if (folder / FILES).exists():
        digest.update((folder / FILES).read_bytes())
    return digest.hexdigest()


def intact_origins(samples: SampleSet) -> FileState:
    """Compare the recorded origin of samples with its hash."""
    if not samples.origins_sha256:
        return "no hash"
    if not (samples.folder / INDICES).is_file():
        return "missing"
    return "intact" if origins_sha256(samples.folder) == samples.origins_sha256 else "damaged"


def files_of(samples: SampleSet) -> tuple[str, ...]:
    """The file of each sample below the source, (n,).

    Raises:
        SamplesError: If the samples are no files, or the record cannot be read.
    """
    with reading(samples.folder / FILES, SamplesError, "read the samples again"):
        return tuple(map(str, json.loads((samples.folder / FILES).read_text(encoding="utf-8"))))


def present_file(samples: SampleSet, name: str) -> Path | None:
    """The user's own file of a sample by its name from `files_of`.

    None if it is not there any more, or if the name leads out of the source, as it may in a study of somebody else.
    """
    inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
    file = Path(samples.source) / name
    return file if inside and file.is_file() else None


def indices_of(samples: SampleSet) -> npt.NDArray[np.int64]:
    """Return the position of each sample of a written set in its source, (n,), in the order of the set.

    Raises:
        OSError: If the set does not record them.
        ValueError: If the record is damaged.
    """
    return np.asarray(mapped(samples.folder / INDICES), np.int64)


def names_of(samples: SampleSet, rows: npt.NDArray[Any]) -> SampleNames:
    """Return the names of some samples of a set; of more than `NAMED_SAMPLES`, those of the first.

    If the set does not record where its samples come from, positions in the set stand for them.

    Args:
        samples: A written set.
        rows: Ascending positions in the set.
    """
    first = rows[:NAMED_SAMPLES]
    try:
        indices = np.asarray(mapped(samples.folder / INDICES))[first]
    except (OSError, ValueError, IndexError):
        indices = first
    return SampleNames(samples.source, tuple(int(index) for index in indices), _files(samples, first))


def named(samples: SampleSet, row: int) -> str:
    """Name one sample of a set within a sentence: its file, or its position in the source.

    Args:
        samples: A written set.
        row: Position in the set.
    """
    names = names_of(samples, np.array([row]))
    if names.files:
        return f"'{names.files[0]}' in '{names.source}'"
    return f"sample {names.indices[0]} (counted from 0) of '{names.source}'"


def _files(samples: SampleSet, rows: npt.NDArray[Any]) -> tuple[str, ...]:
    try:
        files = json.loads((samples.folder / FILES).read_text(encoding="utf-8"))
        # A name that is no valid text could not be written to a record.
        return tuple(str(files[row]).encode(errors="replace").decode() for row in rows)
    except (OSError, ValueError, LookupError, TypeError):
        return ()


def told(names: SampleNames, count: int) -> str:
    """Name up to five samples in a sentence.

    >>> told(SampleNames("x.npz", (0, 80)), 2), told(SampleNames("x.npz", (7,)), 1)
    ("samples 0 and 80 of 'x.npz', counted from 0", "sample 7 of 'x.npz', counted from 0")
    >>> told(SampleNames("shots", (3, 4), ("a/1.png", "b/2.png")), 2)
    "'a/1.png' and 'b/2.png' in 'shots'"

    Args:
        names: The samples.
        count: How many there are; more than are named are only counted.
    """
    if names.files:
        files = [f"'{file}'" for file in names.files]
        return f"{shortened(files, most=_TOLD, count=count)} in '{names.source}'"
    indices = shortened([str(index) for index in names.indices], most=_TOLD, count=count)
    return f"{'sample' if count == 1 else 'samples'} {indices} of '{names.source}', counted from 0"
