"""Labels: the accepted forms, and the check that they match the scored output."""

from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.names import counted
from quantlab.npy import mapped
from quantlab.samples.check import fits, shown
from quantlab.samples.source import Array
from quantlab.types import TensorSpec


def to_labels(raw: Array, *, n: int, text: str) -> Array:
    """Convert labels to the stored form: int64 (n,) for classes, floats (n, …) for regression, little-endian.

    Class labels are integers or booleans of shape (n,) or (n, 1), or one-hot rows of any data type with at least two
    columns. All other floats are regression targets, even if they are whole numbers.

    Raises:
        SamplesError: If the number of labels differs from n, or they have another form, or are not finite.
    """
    count = raw.shape[0] if raw.ndim else 1
    if raw.ndim == 0 or count != n:
        raise SamplesError(
            f"'{text}' holds {counted(n, 'sample')} but {counted(count, 'label')}; give one label per sample"
        )
    if raw.dtype.kind not in "biuf":
        raise SamplesError(
            f"the labels of '{text}' are {raw.dtype.name}; give class numbers from 0, or floats for regression"
        )
    if _one_hot(raw):
        return np.asarray(np.argmax(raw, axis=1), dtype="<i8")
    if raw.dtype.kind == "f":
        return _targets(raw, text)
    if raw.shape not in ((n,), (n, 1)):
        raise SamplesError(
            f"the labels of '{text}' are {raw.dtype.name} of shape {shown(raw.shape[1:])} per sample, and class labels "
            "must be one integer each, or one-hot rows; store regression targets as floats"
        )
    return raw.reshape(n).astype("<i8")


def _one_hot(raw: Array) -> bool:
    if raw.ndim != 2 or raw.shape[1] < 2:
        return False
    ones = raw == 1
    return bool((ones | (raw == 0)).all() and (ones.sum(axis=1) == 1).all())


def _targets(raw: Array, text: str) -> Array:
    finite = np.isfinite(raw.reshape(len(raw), -1)).all(axis=1)
    if not finite.all():
        raise SamplesError(
            f"label {int(np.argmin(finite))} (counted from 0) of '{text}' holds NaN or infinity; "
            "correct or remove that sample"
        )
    return np.ascontiguousarray(raw.astype(raw.dtype.newbyteorder("<"), copy=False))


def read_labels(path: Path) -> Array:
    """Read labels from a separate file: a `.npy`, or text with one number per line.

    Integers become int64; if any value is not an integer, all become floats.

    Raises:
        SamplesError: If the file is missing or of another type, or a line is not a number.
    """
    with reading(f"the labels in '{path}'", SamplesError, "give a .npy file, or text with one number per line"):
        if path.suffix == ".npy":
            return np.array(mapped(path))
        lines = path.read_text(encoding="utf-8").rstrip().splitlines()
        return _numbers(lines, path)


def _numbers(lines: list[str], path: Path) -> Array:
    values: list[int | float] = []
    for number, line in enumerate(lines, start=1):
        try:
            values.append(_number(line))
        except ValueError as error:
            raise SamplesError(
                f"line {number} of '{path}' is '{line.strip()[:_SHOWN]}'; each line must hold one number, "
                f"without a header"
            ) from error
    floats = any(isinstance(value, float) for value in values)
    return np.array(values, dtype=np.float64 if floats else np.int64)


_SHOWN = 60
"""Characters of a line that are shown."""


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def check_labels(labels: Array, output: TensorSpec) -> None:
    """Refuse labels that cannot be compared with the scored output; to be called before anything is converted.

    Integers are classes, from 0 to the output's last dimension − 1; an output of width 1 is a binary classifier with
    classes 0 and 1. If the width is open, nothing is checked. Floats are regression targets and must have the output's
    shape, where (n,) matches (n, 1).

    Args:
        labels: The content of `SampleSet.labels_file`, (n,) int64 or (n, …) floats; at least one.

    Raises:
        SamplesError: The message gives the range or shape of labels and output.
    """
    if labels.dtype.kind == "f":
        _check_targets(labels, output)
    elif output.shape and output.shape[-1] is not None:
        _check_classes(labels, output, max(2, output.shape[-1]))


def _check_targets(labels: Array, output: TensorSpec) -> None:
    shape = labels.shape[1:] or (1,)
    if not fits(shape, output.shape[1:] or (1,)):
        raise SamplesError(
            f"the labels are {labels.dtype.name} of shape {shown(shape)} per sample, but the output '{output.name}' "
            f"has shape {shown(output.shape[1:])}; give targets of that shape, or integers if they are classes"
        )


def _check_classes(labels: Array, output: TensorSpec, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise SamplesError(
            f"the labels go from {low} to {high}, but the output '{output.name}' has {classes} classes; "
            f"number the classes from 0 to {classes - 1}"
        )
