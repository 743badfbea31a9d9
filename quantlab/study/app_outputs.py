"""The outputs of a user's app, read from a file, and how outputs of the model are compared with them."""

import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError
from quantlab.names import counted, listed
from quantlab.samples import array_of_npz, names_of_npz
from quantlab.statistics import answers_of

__all__ = ["LEAST_SHARE", "AppOutputs", "names_of_app", "read_app", "shaped_as"]

Array = npt.NDArray[Any]

Rows = slice | npt.NDArray[np.int64]
"""Which samples, in the order of the outputs."""

LEAST_SHARE = 0.5
"""Least share of the mean difference that the nearest way to feed the model takes away, to be named: of that of the
samples as they are, and of that of the app's mean. What makes outputs alike comes nearer to any app."""

_TIE = 0.01
"""Share of the largest output by which a sample must be nearer or farther to count: an app may round its outputs."""

_REMEDY = "write the outputs of the app with numpy.savez, an array of numbers for each output of the model"

_OWN_WORDS = "the array '"
"""How what quantlab's reader of archives says of an array begins; all else is the words of a library."""


@dataclass(frozen=True, slots=True)
class AppOutputs:
    """The outputs of an app for some samples, and how they are compared."""

    values: npt.NDArray[np.float64]
    """(n, …): of the shape of the model's output."""
    classes: bool
    """Whether rows are scores of classes, so that their top-1 can be compared."""
    probabilities: bool
    """Whether the model's rows look like probabilities."""

    def apart(self, outputs: Array, rows: Rows) -> npt.NDArray[np.float64]:
        """The largest difference of each sample, (k,); infinite where one of the two is not finite."""
        app = self.values[rows]
        with np.errstate(invalid="ignore"):
            apart = np.abs(outputs.astype(np.float64) - app).reshape(len(app), -1).max(axis=1, initial=0.0)
        return np.where(np.isfinite(apart), apart, np.inf)

    def same(self, outputs: Array, rows: Rows) -> npt.NDArray[np.bool_]:
        """Whether the top-1 of each sample is the same, (k,); only with classes."""
        ones, others = (answers_of(values, probabilities=self.probabilities) for values in (outputs, self.values[rows]))
        same: npt.NDArray[np.bool_] = (ones == others) & (ones >= 0)
        return same

    def same_top1(self, outputs: Array, rows: Rows) -> float | None:
        """Percent of samples with the same top-1; None without classes."""
        return 100 * float(np.mean(self.same(outputs, rows))) if self.classes else None

    @property
    def largest(self) -> float:
        """The largest output of the app; 0 if none is finite."""
        return float(np.abs(self.values[np.isfinite(self.values)]).max(initial=0.0))

    def changes(self, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> tuple[int, int]:
        """How many of the first samples came nearer, and how many went farther away, from two sets of differences."""
        own, tie = before[: len(after)], _TIE * self.largest
        return int(np.count_nonzero(after < own - tie)), int(np.count_nonzero(after > own + tie))

    @property
    def spread(self) -> float:
        """Mean of the largest difference of each sample from the mean of all; infinite if one is not finite."""
        with np.errstate(invalid="ignore"):
            mean = self.values.mean(axis=0, keepdims=True)
        return float(self.apart(np.broadcast_to(mean, self.values.shape), slice(None)).mean())


def read_app(path: Path, output: str, *, others: Collection[str], available: int, source: str) -> Array:
    """The outputs of an app for all samples of a source, (n, …), in their order.

    Args:
        path: A `.npz` file with an array for the output, by its name; a single array may have any name but that of
            another output of the model.
        output: Name of the output.
        others: Names of the model's other outputs.
        available: Number of samples of the source.
        source: The source as the user wrote it.

    Raises:
        SamplesError: If the file is missing or damaged, has no such array, or the array holds no numbers, or another
            number of outputs.
    """
    names = names_of_app(path)
    name = output if output in names or len(names) != 1 else names[0]
    if name not in names or name in others:
        raise SamplesError(
            f"'{path}' has no array '{output}', but {listed(names)}; name the arrays after the outputs of the model"
        )
    values = _array(path, name)
    if values.dtype.kind not in "biuf":
        kind = _kind(values.dtype)
        raise SamplesError(f"'{path}' holds {kind} for the output '{output}', and outputs are real numbers; {_REMEDY}")
    if values.ndim == 0 or len(values) != available:
        raise SamplesError(
            f"'{path}' holds {values.dtype.name} of shape {values.shape} for the output '{output}', and "
            f"'{source}' has {counted(available, 'sample')}; give one output for each sample, in their order"
        )
    return values


def shaped_as(values: Array, shape: tuple[int, ...], *, path: Path, output: str) -> Array:
    """The outputs of an app in the shape of those of the model, (n, *shape).

    Raises:
        SamplesError: If they have another number of elements.
    """
    if int(np.prod(values.shape[1:], dtype=np.int64)) != int(np.prod(shape, dtype=np.int64)):
        raise SamplesError(
            f"'{path}' holds outputs of shape {values.shape[1:]}, and the output '{output}' of the model has "
            f"{shape}; give the same output of the app"
        )
    return values.reshape(len(values), *shape)


def names_of_app(path: Path) -> list[str]:
    """Names of the arrays in the file with the outputs of an app, at least one.

    Raises:
        SamplesError: If the file is missing, damaged, or holds no arrays.
    """
    try:
        names = names_of_npz(path, text=str(path))
    except SamplesError as error:
        raise _told(path, error) from error
    if not names:
        raise SamplesError(f"'{path}' holds no arrays; {_REMEDY}")
    return names


def _array(path: Path, name: str) -> Array:
    try:
        return array_of_npz(path, name, text=str(path))
    except SamplesError as error:
        raise _told(path, error) from error


def _told(path: Path, error: SamplesError) -> SamplesError:
    """The error of a reader in the words of somebody who wrote the file, without those of a library."""
    cause = error.__cause__
    if isinstance(cause, FileNotFoundError):
        return SamplesError(f"'{path}' does not exist; give the .npz file with the outputs of the app")
    if isinstance(cause, IsADirectoryError):
        return SamplesError(f"'{path}' is a folder, and --app takes a .npz file; {_REMEDY}")
    if isinstance(cause, OSError):
        return SamplesError(f"'{path}' cannot be read ({cause.strerror or 'the system refuses it'}); {_REMEDY}")
    if isinstance(cause, zipfile.BadZipFile) and not _is_archive(path):
        return SamplesError(f"'{path}' is no .npz file; {_REMEDY}")
    if isinstance(cause, ValueError) and str(cause).startswith(_OWN_WORDS):
        return SamplesError(f"'{path}' cannot be read, because {cause}; {_REMEDY}")
    return SamplesError(f"'{path}' is cut off or damaged; copy it again, or write it again with numpy.savez")


def _is_archive(path: Path) -> bool:
    """Whether a file begins as archives do, also one that was cut off."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _kind(dtype: np.dtype[Any]) -> str:
    words = {"S": "text", "U": "text", "c": "complex numbers", "M": "dates", "m": "durations", "V": "records"}
    return words.get(dtype.kind, f"values of the type {dtype.name}")
