"""Values of records as arrays: which of them are inputs and labels, and how each becomes an array."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import SamplesError
from quantlab.names import excerpt, listed
from quantlab.samples.check import model_dtype
from quantlab.samples.description import Description, Feature
from quantlab.samples.records import Record, RecordFormat, lookup
from quantlab.samples.source import LABEL_NAMES, Array
from quantlab.types import ImageBytes, TensorSpec

__all__ = ["Columns", "Image", "columns_of", "value_of"]

Image = Path | ImageBytes
"""An image file, or the bytes of one."""

_LABEL_NAMES = (*LABEL_NAMES, "label")
_DESCRIBE = "describe them in a file data.toml: files, labels and [features]"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which values of a record are inputs and labels."""

    features: Mapping[str, Feature]
    """Input of the model → its values, all named."""
    labels: tuple[str, ...]
    """Names of the values that are labels; empty without labels."""
    customary: tuple[str, ...] = ()
    """Other names that labels have by custom, which no record may have if the first one has none; empty if labels are
    described."""

    @property
    def names(self) -> tuple[str, ...]:
        """All values that are needed."""
        return (*self.labels, *(name for one in self.features.values() for name in one.columns))


def columns_of(
    first: Record, inputs: Sequence[TensorSpec], description: Description, format_: RecordFormat, text: str
) -> Columns:
    """Find the inputs and the labels among the values of the first record.

    An input has the value of its name; a single input may also have `x`, the paths in the column `file`, the only value
    that is no label, or all values that are no labels, in their order, if each is one number. Labels have one of the
    customary names. A description comes before all of this.

    Raises:
        SamplesError: If an input has no values, or values remain and there are no labels, which may be among them.
    """
    wanted = [spec.name for spec in inputs]
    unknown = [name for name in description.features if name not in wanted]
    if unknown:
        raise SamplesError(
            f"'{text}' describes {_shown(unknown)}, and the model's inputs are {listed(wanted)}; correct [features]"
        )
    customary = tuple(name for name in (*_LABEL_NAMES, *format_.label_names) if name not in wanted)
    found = tuple(name for name in customary if name in first)
    if len(found) > 1 and not description.labels:
        raise SamplesError(
            f"the first record of '{text}' has {listed(found)}, and each may be the labels; leave all but one out, "
            f"or name the labels in a file data.toml: files and labels"
        )
    labels = description.labels or found
    held = _Held(first, tuple(name for name in first if name not in labels), format_, text)
    held.refuse_missing(labels, "for the labels")
    if len(inputs) == 1 and inputs[0].name not in description.features:
        features = {wanted[0]: held.only(wanted[0])}
    else:
        features = {name: held.described(name, description.features.get(name, Feature((name,)))) for name in wanted}
    used = {name for one in features.values() for name in one.columns}
    left = [name for name in held.rest if name not in used and not any(one.startswith(f"{name}.") for one in used)]
    if left and not labels and not description.features:
        raise SamplesError(
            f"'{text}' holds {_shown(left)}, which is neither an input of the model ({listed(wanted)}) nor labels; "
            f"name the labels 'label', or {_DESCRIBE}"
        )
    others = () if description.labels else tuple(name for name in customary if name not in {*used, *labels})
    return Columns(features, labels, others)


@dataclass(frozen=True, slots=True)
class _Held:
    """The values of the first record."""

    first: Record
    rest: tuple[str, ...]
    """Names of those that are no labels."""
    format_: RecordFormat
    text: str

    def refuse_missing(self, names: Sequence[str], what: str) -> None:
        missing = [name for name in names if lookup(self.first, name) is None]
        if missing:
            raise SamplesError(
                f"'{self.text}' has no {_shown(missing)} {what}; its values are {_shown(list(self.first))}"
            )

    def described(self, name: str, asked: Feature) -> Feature:
        """The values that a description names, or that have the name of the input."""
        columns = tuple(one for column in asked.columns for one in _matching(column, self.first, self.rest))
        self.refuse_missing(columns, f"for the input '{name}'")
        return Feature(columns, asked.dtype, asked.shape)

    def only(self, name: str) -> Feature:
        """The values of the model's only input."""
        file = self.format_.file_column
        alone = next((one for one in (name, "x", file) if one is not None and one in self.rest), None)
        if alone is not None:
            return Feature((alone,))
        if len(self.rest) == 1 or (self.rest and all(_is_cell(self.first[name]) for name in self.rest)):
            return Feature(self.rest)
        raise SamplesError(
            f"'{self.text}' holds {_shown(list(self.first))}, and none of them has the name of the input '{name}'; "
            f"{_DESCRIBE}"
        )


def _is_cell(value: Any) -> bool:
    """Whether a value may be one number."""
    return isinstance(value, str | int | float) or (isinstance(value, np.ndarray | np.generic) and value.ndim == 0)


def _matching(column: str, first: Record, rest: Sequence[str]) -> list[str]:
    if lookup(first, column) is None and any(mark in column for mark in "*?["):
        return [name for name in rest if fnmatch.fnmatchcase(name, column)] or [column]
    return [column]


def _shown(names: Sequence[str]) -> str:
    return listed([excerpt(name, most=40) for name in names]) or "nothing"


def value_of(record: Record, feature: Feature, spec: TensorSpec, folder: Path | None, where: str) -> Array | Image:
    """The value of one input in a record: an array of one sample, or an image that is to be decoded.

    Text and JSON have no data types: they become float64 for an input of floats, and int64 for any other.

    Args:
        record: The record.
        feature: Which values of it.
        spec: The input.
        folder: Where paths of images begin; None if they cannot be followed.
        where: The record, for messages.

    Raises:
        SamplesError: If a value is missing, or cannot be one of the input.
    """
    cells = [record[name] if name in record else lookup(record, name) for name in feature.columns]
    if any(cell is None for cell in cells):
        missing = next(name for name, cell in zip(feature.columns, cells, strict=True) if cell is None)
        raise SamplesError(f"{where} has no value of '{excerpt(missing)}'; give every sample one")
    cell: Any = cells if len(cells) > 1 else cells[0]
    if isinstance(cell, Mapping) and isinstance(cell.get("bytes"), bytes):
        cell = cell["bytes"]
    if isinstance(cell, bytes):
        if feature.dtype is None:
            return ImageBytes(where, cell)
        return _shaped(_raw(cell, feature.dtype, where), feature, spec)
    if isinstance(cell, str) and not _is_number(cell):
        return _file(cell, folder, where)
    return _shaped(_numbers(cell, spec, where), feature, spec)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _file(text: str, folder: Path | None, where: str) -> Path:
    if folder is None or "://" in text:
        raise SamplesError(
            f"{where} names the file '{excerpt(text)}', and files are only followed on this machine; give the images "
            f"as a WebDataset"
        )
    path = folder / text
    try:
        found = path.is_file()
    except OSError:  # text that is no path, such as one that is longer than a name may be
        found = False
    if not found:
        raise SamplesError(
            f"there is no file '{folder / excerpt(text)}', which {where} names; give its path below '{folder}'"
        )
    return path


def _raw(content: bytes, dtype: str, where: str) -> Array:
    size = np.dtype(dtype).itemsize
    if len(content) % size:
        raise SamplesError(f"{where} has {len(content):,} bytes, which are no whole number of {np.dtype(dtype).name}")
    return np.frombuffer(content, dtype)


def _numbers(cell: Any, spec: TensorSpec, where: str) -> Array:
    if isinstance(cell, np.ndarray | np.generic):
        return np.asarray(cell)
    dtype, number = (np.float64, float) if model_dtype(spec).kind == "f" else (np.int64, int)
    try:
        if isinstance(cell, list) and cell and isinstance(cell[0], str):
            return np.array(list(map(number, cell)), dtype)  # ten times faster than NumPy's own reading of text
        array = np.asarray(cell)
        if array.dtype.kind == "f" and dtype is np.int64:
            raise ValueError(f"the input '{spec.name}' expects {spec.dtype}, and there are floats")
        if array.dtype.kind not in "biufU":
            raise ValueError("there is something else than numbers")
        if array.dtype.kind == "U":  # as Python reads text, whose errors show it as it is
            return np.array([number(text) for text in array.ravel().tolist()], dtype).reshape(array.shape)
        return array.astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise SamplesError(
            f"{where} holds no numbers for the input '{spec.name}' ({excerpt(str(error))}); correct it"
        ) from error


def _shaped(values: Array, feature: Feature, spec: TensorSpec) -> Array:
    """Values in a row as the shape that is described, or as the model's."""
    shape = feature.shape
    if shape is None and values.ndim == 1 and all(size is not None for size in spec.shape[1:]):
        shape = tuple(size for size in spec.shape[1:] if size is not None)
    if shape is None or values.size != int(np.prod(shape)):
        return values
    return values.reshape(shape)
