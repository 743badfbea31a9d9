"""Labels: what they may look like in a source, and whether they fit the scored output."""

from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.npy import mapped
from quantlab.samples.check import fits, shown
from quantlab.samples.source import Array
from quantlab.types import TensorSpec


def to_labels(raw: Array, *, n: int, text: str) -> Array:
    """Labels in the form the study keeps: int64 (n,) for classes, floats (n, …) for regression, little endian.

    Classes are integers or booleans (n,) or (n, 1), or one-hot rows of any dtype, at least two wide. All other
    floats are targets of a regression, whole numbers or not.

    Raises:
        SamplesError: If there is not one label a sample, or they are none of these, or not finite.
    """
    count = raw.shape[0] if raw.ndim else 1
    if raw.ndim == 0 or count != n:
        raise SamplesError(f"'{text}' holds {n:,} samples but {count:,} labels; give one label for each sample")
    if raw.dtype.kind not in "biuf":
        raise SamplesError(
            f"the labels of '{text}' are {raw.dtype.name}; give the classes' numbers, counted from 0, "
            "or floats for a regression"
        )
    if _one_hot(raw):
        return np.asarray(np.argmax(raw, axis=1), dtype="<i8")
    if raw.dtype.kind == "f":
        return _targets(raw, text)
    if raw.shape not in ((n,), (n, 1)):
        raise SamplesError(
            f"the labels of '{text}' are {raw.dtype.name} of shape {shown(raw.shape[1:])} a sample, and classes are "
            "one integer each, or one-hot rows; store targets of a regression as floats"
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
            "mend or remove that sample"
        )
    return np.ascontiguousarray(raw.astype(raw.dtype.newbyteorder("<"), copy=False))


def read_labels(path: Path) -> Array:
    """Labels of a file of their own: a `.npy`, or text with one number a line.

    Integers become int64; one that is no integer makes floats of all.

    Raises:
        SamplesError: If the file is missing, is neither, or a line is no number.
    """
    with reading(f"the labels in '{path}'", SamplesError, "give a .npy file, or text with one number a line"):
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
                f"line {number} of '{path}' is '{line.strip()}', and each line must hold one number, without a header"
            ) from error
    floats = any(isinstance(value, float) for value in values)
    return np.array(values, dtype=np.float64 if floats else np.int64)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def check_labels(labels: Array, output: TensorSpec) -> None:
    """Refuse labels that the scored output cannot be compared with; to be called before anything is converted.

    Integers are classes, from 0 to one less than the output's last dimension (an output of width 1 is a binary
    one and takes 0 and 1; where the width is open nothing is checked). Floats are targets and need the output's shape,
    where (n,) stands for (n, 1).

    Args:
        labels: As `SampleSet.labels_file` holds them, (n,) int64 or (n, …) floats; at least one.

    Raises:
        SamplesError: With the labels' range or shape and the output's.
    """
    if labels.dtype.kind == "f":
        _check_targets(labels, output)
    elif output.shape and output.shape[-1] is not None:
        _check_classes(labels, output, max(2, output.shape[-1]))


def _check_targets(labels: Array, output: TensorSpec) -> None:
    shape = labels.shape[1:] or (1,)
    if not fits(shape, output.shape[1:] or (1,)):
        raise SamplesError(
            f"labels are {labels.dtype.name} of shape {shown(shape)} a sample but the output '{output.name}' gives "
            f"{shown(output.shape[1:])}; give targets of that shape, or integers if they are classes"
        )


def _check_classes(labels: Array, output: TensorSpec, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise SamplesError(
            f"labels run from {low} to {high} but the output '{output.name}' has {classes} classes; "
            f"number the classes from 0 to {classes - 1}"
        )
