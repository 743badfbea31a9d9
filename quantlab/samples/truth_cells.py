"""Labels from values of records."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from quantlab.errors import SamplesError
from quantlab.names import excerpt, nearest_of_many
from quantlab.ragged import objects, rectangular
from quantlab.samples.records import Record, lookup
from quantlab.samples.source import Array

__all__ = ["are_numbers", "joined_labels", "label_of", "packed_labels", "refuse_labels"]


def label_of(record: Record, names: Sequence[str], classes: Sequence[str], where: str) -> Any:
    """The label of one record: a number, a list, an array or a value of JSON; the place of a name among the classes.

    Args:
        record: The record.
        names: Names of the values; of several, each is one number.
        classes: Names of the classes; empty if labels are numbers.
        where: The record, for messages.

    Raises:
        SamplesError: If a value is missing, a text is neither a number nor a known class, or a value is none that a
            study can keep: NaN, infinity, bytes that are no text, or a date.
    """
    cells = [lookup(record, name) for name in names]
    for name, cell in zip(names, cells, strict=True):
        if cell is None:
            raise SamplesError(f"{where} has no label '{excerpt(name)}'; give labels for all samples or for none")
    values = [_label(cell, classes, where) for cell in cells]
    return values if len(values) > 1 else values[0]


def refuse_labels(record: Record, customary: Sequence[str], where: str) -> None:
    """Refuse a record with a label if the first one has none, since all would be scored without labels.

    Args:
        record: The record.
        customary: Names that labels have.
        where: The record, for messages.

    Raises:
        SamplesError: If it has one of them.
    """
    found = next((name for name in customary if name in record), None)
    if found is not None:
        raise SamplesError(
            f"{where} has a label '{found}', and the first record has none; give labels for all samples or for none"
        )


def _label(cell: Any, classes: Sequence[str], where: str) -> Any:
    if isinstance(cell, np.ndarray) and cell.size == 1:
        single = cell.reshape(-1)[0]
        # A class is kept as an integer of Python: small ones are shared, and a list of them takes 8 bytes for each.
        cell = single if single.dtype.kind == "f" else single.item()
    if isinstance(cell, bytes):
        cell = _text(cell, where)
    if isinstance(cell, list):
        cell = [_text(part, where) if isinstance(part, bytes) else part for part in cell]
    if not isinstance(cell, str):
        return _keepable(cell, where)
    if classes:
        if cell not in classes:
            raise SamplesError(f"{where} has the class '{excerpt(cell)}'; {nearest_of_many(cell, classes)}")
        return classes.index(cell)
    for kind in (int, float):
        try:
            number = kind(cell)
        except ValueError:
            continue
        return _keepable(number, where)
    raise SamplesError(
        f"{where} has the label '{excerpt(cell)}', a name; name the classes in the order of the model's outputs in a "
        f'file data.toml: classes = ["…"]'
    )


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise SamplesError(f"the label of {where} is bytes and no text; give a number") from error


def _keepable(label: Any, where: str) -> Any:
    """The label, which is an array or a number of NumPy, or a value of JSON."""
    if isinstance(label, np.ndarray | np.generic):
        finite = label.dtype.kind != "f" or bool(np.isfinite(label).all())
    elif isinstance(label, float):
        finite = math.isfinite(label)
    else:
        finite = isinstance(label, int) or _is_json(label, where)
    if not finite:
        raise SamplesError(f"the label of {where} holds NaN or infinity; correct or remove that sample")
    return label


def _is_json(label: Any, where: str) -> bool:
    """Whether all numbers of a value are finite, so that it can be written as JSON."""
    try:
        json.dumps(label, allow_nan=False)
    except ValueError:
        return False
    except (TypeError, RecursionError) as error:
        raise SamplesError(
            f"the label of {where} cannot be kept ({excerpt(str(error))}); give a number, a text, or a list of these"
        ) from error
    return True


def packed_labels(labels: list[Any]) -> Array:
    """The labels of the records of one file: (n, …) of numbers, or objects (n,) if each sample has its own shape."""
    labels = _of_one_depth(labels)
    alike = {(label.shape, label.dtype) if isinstance(label, np.ndarray | np.generic) else None for label in labels}
    if len(alike) == 1 and None not in alike:
        return np.array(labels)
    plain = [label.tolist() if isinstance(label, np.ndarray | np.generic) else label for label in labels]
    return objects(plain) if (arrays := rectangular(plain)) is None else arrays


def are_numbers(labels: Array, record: Record, names: Sequence[str]) -> bool | None:
    """Whether the label of each sample of a file is one number; None if it may as well be a sequence of one element.

    Args:
        labels: The labels of the file, see `packed_labels`.
        record: One of its records.
        names: Names of the values that are labels.
    """
    if labels.dtype.hasobject or not names:
        return None
    cell = lookup(record, names[0])
    if labels.ndim == 1 and isinstance(cell, np.ndarray) and cell.ndim:
        return None
    return labels.ndim == 1


def _of_one_depth(labels: list[Any]) -> list[Any]:
    """The labels, with those as arrays again that `label_of` has made numbers, if others are longer arrays.

    A sequence of one element must stay one, since a list of numbers and arrays would be kept as values of JSON.
    """
    depths = {label.ndim for label in labels if isinstance(label, np.ndarray)}
    if len(depths) != 1:
        return labels
    single = (1,) * depths.pop()
    return [np.full(single, label) if isinstance(label, int | float | np.generic) else label for label in labels]


def joined_labels(parts: Sequence[Array]) -> Array:
    """The labels of several files, in the same form."""
    if len({part.shape[1:] for part in parts}) == 1 and not any(part.dtype.hasobject for part in parts):
        return np.concatenate(parts)
    return packed_labels([label for part in parts for label in part])
