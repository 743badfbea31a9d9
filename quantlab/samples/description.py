"""A description of samples in a small file, `data.toml`: the files, and which of their values are inputs and labels."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.names import excerpt, nearest

__all__ = ["Description", "Feature", "read_description"]

_KEYS = ("files", "format", "features", "labels", "classes")
_FEATURE_KEYS = ("columns", "dtype", "shape")
_EXAMPLE = 'write for example files = "train-*.tfrecord" and labels = "label"'


@dataclass(frozen=True, slots=True)
class Feature:
    """Which values of a record make one input of the model."""

    columns: tuple[str, ...]
    """Names of the values, and globs of them in their order; of several values, each is one number."""
    dtype: str | None = None
    """Data type of the numbers in bytes, little-endian; None if bytes are an image file."""
    shape: tuple[int, ...] | None = None
    """Shape of one sample; None takes that of the values, or the model's if the values are in a row."""


@dataclass(frozen=True, slots=True)
class Description:
    """Samples in files of records."""

    files: tuple[str, ...]
    """Paths, globs and addresses."""
    folder: Path = field(default_factory=Path)
    """The folder to which paths and globs are relative."""
    format: str | None = None
    """Name of the format; None tells it from the suffix."""
    features: Mapping[str, Feature] = field(default_factory=dict)
    """Input of the model → its values; inputs that are not named have values of their name."""
    labels: tuple[str, ...] = ()
    """Names of the values that are labels; of several, each is one number. Empty if the customary names are used."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of the outputs, for labels that are names."""


def read_description(path: Path) -> Description:
    """Read a description.

    Raises:
        SamplesError: If the file is no TOML, or a key or a value is invalid.
    """
    with reading(f"the description '{path}'", SamplesError, _EXAMPLE):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    for key in table:
        if key not in _KEYS:
            raise SamplesError(f"'{path}' has the unknown key '{excerpt(key)}'; {nearest(key, _KEYS)}")
    where = f"'{path}'"
    files = _names(table.get("files", []), "files", where)
    if not files:
        raise SamplesError(f"{where} names no files; {_EXAMPLE}")
    given = table.get("format")
    if given is not None and not isinstance(given, str):
        raise _wrong("format", given, "the name of a format", where)
    features = table.get("features", {})
    if not isinstance(features, dict):
        raise _wrong("features", features, "a table: [features] and below it INPUT = NAME", where)
    return Description(
        files=files,
        folder=path.parent,
        format=given,
        features={name: _feature(name, value, where) for name, value in features.items()},
        labels=_names(table.get("labels", []), "labels", where),
        classes=_names(table.get("classes", []), "classes", where),
    )


def _names(value: Any, key: str, where: str) -> tuple[str, ...]:
    """Read a name or a list of names."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise _wrong(key, value, "a name in quotes, or a list of names", where)
    return tuple(names)


def _feature(name: str, value: Any, where: str) -> Feature:
    key = f"features.{name}"
    if not isinstance(value, dict):
        return Feature(_names(value, key, where))
    for part in value:
        if part not in _FEATURE_KEYS:
            raise SamplesError(f"{where} has the unknown key '{key}.{excerpt(part)}'; {nearest(part, _FEATURE_KEYS)}")
    columns = _names(value.get("columns", name), f"{key}.columns", where)
    if not columns:
        raise _wrong(f"{key}.columns", [], "a name in quotes, or a list of names", where)
    return Feature(columns, _dtype(value.get("dtype"), key, where), _shape(value.get("shape"), key, where))


def _dtype(value: Any, key: str, where: str) -> str | None:
    if value is None:
        return None
    try:
        dtype = np.dtype(value) if isinstance(value, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "biuf":
        raise _wrong(f"{key}.dtype", value, "the name of a data type of numbers, for example 'uint8'", where)
    return dtype.newbyteorder("<").str


def _shape(value: Any, key: str, where: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(size) is int and size > 0 for size in value):
        raise _wrong(f"{key}.shape", value, "a list of sizes without the batch, for example [28, 28, 1]", where)
    return tuple(value)


def _wrong(key: str, value: Any, words: str, where: str) -> SamplesError:
    return SamplesError(f"{key} in {where} is {excerpt(repr(value))} and must be {words}; correct it")
