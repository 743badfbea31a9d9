"""Labels: the accepted forms, and the check that they match the scored output."""

from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError, UsageError
from quantlab.foreign import reading
from quantlab.names import counted, shape_words
from quantlab.npy import mapped
from quantlab.samples.check import fits
from quantlab.samples.source import Array
from quantlab.types import VOID_LABEL, TensorSpec


def to_labels(raw: Array, *, n: int, text: str) -> Array:
    """Convert labels to the stored form, little-endian.

    - int64 (n,): a class for each sample.
    - int16, int32 or int64 (n, …): a class for each position, such as the pixels of a label map (n, height, width) or
      the steps of a sequence (n, steps). The narrowest type that holds them is used.
    - floats (n, …): regression targets.
    - objects (n,), each an array or a value of JSON: ground truth of another shape for each sample.

    Class labels are integers or booleans, with or without a last axis of size 1, or one-hot along a last axis of at
    least two, of any data type. All other floats are regression targets, even if they are whole numbers.

    Raises:
        SamplesError: If the number of labels differs from n, or they have another form, or are not finite.
    """
    count = raw.shape[0] if raw.ndim else 1
    if raw.dtype.hasobject and count == n:
        return raw  # of another shape for each sample, and checked by who read them
    if raw.ndim == 0 or count != n:
        raise SamplesError(
            f"'{text}' holds {counted(n, 'sample')} but {counted(count, 'label')}; give one label per sample"
        )
    if raw.dtype.kind not in "biuf":
        raise SamplesError(
            f"the labels of '{text}' are {raw.dtype.name}; give class numbers from 0, or floats for regression"
        )
    if _one_hot(raw):
        raw = np.argmax(raw, axis=-1)
    if raw.dtype.kind == "f":
        return _targets(raw, text)
    if raw.ndim > 1 and raw.shape[-1] == 1:
        raw = raw.reshape(raw.shape[:-1])
    return _of_samples(raw, text) if raw.ndim == 1 else _of_positions(raw, text)


def _of_samples(raw: Array, text: str) -> Array:
    if raw.dtype.kind == "u" and raw.size and int(raw.max()) > np.iinfo(np.int64).max:
        raise _too_large(int(raw.max()), text)
    return raw.astype("<i8")


def _too_large(label: int, text: str) -> SamplesError:
    return SamplesError(f"the label {label} of '{text}' is too large for a class number; number the classes from 0")


def _of_positions(raw: Array, text: str) -> Array:
    if not raw.size:
        raise SamplesError(
            f"the labels of '{text}' have the shape {shape_words(raw.shape)} and hold no class; give labels"
        )
    low, high = int(raw.min()), int(raw.max())
    types = (np.dtype(kind) for kind in ("<i2", "<i4", "<i8"))
    narrow = next((kind for kind in types if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max), None)
    if narrow is None:
        raise _too_large(high, text)
    return raw.astype(narrow)


def without_label(labels: Array | None, ignored: int, *, text: str) -> Array:
    """Replace a label that is not to be scored, such as that of padding, by −1.

    Raises:
        UsageError: If there is no label for each position.
    """
    if labels is None or labels.ndim < 2 or labels.dtype.kind == "f":
        raise UsageError(
            f"--ignore-label {ignored} needs a class for each position, such as pixels or steps, and '{text}' has "
            f"{'no labels' if labels is None else 'other labels'}; leave it out"
        )
    return np.where(labels == ignored, labels.dtype.type(-1), labels)


def _one_hot(raw: Array) -> bool:
    """Whether the last axis is one-hot; the first sample answers for most arrays that are something else."""
    if raw.ndim < 2 or raw.shape[-1] < 2:
        return False
    return _is_one_hot(raw[:1]) and _is_one_hot(raw)


def _is_one_hot(raw: Array) -> bool:
    ones = raw == 1
    return bool((ones | (raw == 0)).all() and (ones.sum(axis=-1) == 1).all())


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
        return _numbers(text_lines(path), path)


def text_lines(path: Path) -> list[str]:
    """Lines of a text in UTF-8, without empty ones at its end.

    They end as editors and JSON lines have it; `str.splitlines` also splits at U+2028 and other characters, which JSON
    allows in a string.
    """
    text = path.read_text(encoding="utf-8").rstrip()
    return text.split("\n") if text else []


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

    - Integers (n,) are classes, from 0 to the output's last dimension − 1; an output of width 1 is a binary classifier
      with classes 0 and 1. If the width is open, nothing is checked.
    - Integers (n, …) are classes of positions. The output is (n, …, classes); (n, …) or (n, …, 1) of a binary
      classifier, or of integers, which are class numbers. Labels below 0 are not scored, nor is `VOID_LABEL` if there
      are fewer classes.
    - Floats are regression targets and must have the output's shape, where (n,) matches (n, 1).

    Args:
        labels: The content of `SampleSet.labels_file`, see `to_labels`; at least one.
        output: The scored output, with open sizes where they are not known.

    Raises:
        SamplesError: The message gives the range or shape of labels and output.
    """
    if labels.dtype.kind == "f":
        _check_targets(labels, output)
    elif labels.ndim > 1 or holds_classes(output):
        _check_positions(labels, output)
    elif len(output.shape) > 2:
        raise SamplesError(
            f"the labels are one class per sample, but the output '{output.name}' has shape "
            f"{shape_words(output.shape[1:])} per sample; give a class for each position, of shape "
            f"{shape_words(output.shape[1:-1])} (if its rows hold a single 1, add a last axis of size 1)"
        )
    elif output.shape and output.shape[-1] is not None:
        _check_classes(labels, output, max(2, output.shape[-1]))


def holds_classes(output: TensorSpec) -> bool:
    """Whether an output holds class numbers, as those of an argmax, instead of a score for each class."""
    try:
        return np.dtype(output.dtype).kind in "biu"
    except TypeError:  # not a type of NumPy
        return False


def _check_targets(labels: Array, output: TensorSpec) -> None:
    shape = labels.shape[1:] or (1,)
    if not fits(shape, output.shape[1:] or (1,)):
        raise SamplesError(
            f"the labels are {labels.dtype.name} of shape {shape_words(shape)} per sample, but the output "
            f"'{output.name}' has shape {shape_words(output.shape[1:])}; give targets of that shape, or integers if "
            f"they are classes"
        )


def _check_classes(labels: Array, output: TensorSpec, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise SamplesError(
            f"the labels go from {low} to {high}, but the output '{output.name}' has {classes} classes; "
            f"number the classes from 0 to {classes - 1}"
        )


def _check_positions(labels: Array, output: TensorSpec) -> None:
    classes = _classes_of_positions(labels.shape[1:], output)
    scored = labels[labels != VOID_LABEL] if classes is None or classes <= VOID_LABEL else labels
    if labels.ndim == 1 and int(labels.min()) < 0:
        raise SamplesError(f"the label {int(labels.min())} is below 0; number the classes from 0")
    if not scored.size or int(scored.max()) < 0:
        raise SamplesError("no position has a label that is scored; give labels from 0")
    if classes is not None and int(scored.max()) >= classes:
        raise SamplesError(
            f"the labels go up to {int(scored.max())}, but the output '{output.name}' has {classes} classes for each "
            f"position; number the classes from 0 to {classes - 1}, or store regression targets as floats"
        )


def _classes_of_positions(shape: tuple[int, ...], output: TensorSpec) -> int | None:
    """Number of classes for each position; None if the output does not tell.

    Args:
        shape: Of the labels of one sample.
        output: The scored output.

    Raises:
        SamplesError: If the labels have other positions than the output.
    """
    sizes = output.shape[1:]
    alone = fits(shape, sizes) or fits((*shape, 1), sizes)
    if alone:
        return None if holds_classes(output) else 2
    if not holds_classes(output) and len(sizes) == len(shape) + 1 and fits(shape, sizes[:-1]):
        return sizes[-1]
    wanted = sizes if holds_classes(output) or not sizes else sizes[:-1]
    raise SamplesError(
        f"the labels are {'one class' if not shape else f'classes of shape {shape_words(shape)}'} per sample, but the "
        f"output '{output.name}' has shape {shape_words(sizes)}; give classes of shape {shape_words(wanted)}, or store "
        f"regression targets as floats"
    )
