"""Attributes of samples by which they are judged in slices: read from tables, and stored beside the samples."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantlab.errors import SamplesError, UsageError
from quantlab.foreign import reading
from quantlab.names import counted, listed
from quantlab.npy import mapped
from quantlab.samples.columns import read_column, refuse_missing_table, split_column
from quantlab.samples.source import Array, Source, raw_bytes
from quantlab.samples.strata import with_classes
from quantlab.types import Attribute, FileState, SampleSet

__all__ = [
    "MOST_SLICES",
    "SourceAttribute",
    "intact_attributes",
    "read_attributes",
    "refuse_missing_slices",
    "with_attributes",
]

MOST_SLICES = 1000
"""Most values of an attribute."""

_OPTION = "--slice"
_TOLD = 5


@dataclass(frozen=True, slots=True, eq=False)
class SourceAttribute:
    """An attribute of all samples of a source."""

    name: str
    values: tuple[str, ...]
    """Distinct values, sorted: by number if all are numbers, otherwise by text."""
    places: Array
    """(n,) int64: the place of each sample's value in `values`."""
    text: str
    """The table and the column as the user wrote them."""


def refuse_missing_slices(texts: Sequence[str]) -> None:
    """Report what `--slice` names and is not there, before slow work begins.

    Raises:
        UsageError: If a text names no column of a table.
        SamplesError: If a table is missing.
    """
    for text in texts:
        refuse_missing_table(split_column(text, option=_OPTION)[0])


def read_attributes(texts: Sequence[str], source: Source) -> tuple[SourceAttribute, ...]:
    """Read the columns that `--slice` names, see `read_column`.

    Args:
        texts: Of the form `meta.csv:COLUMN`.
        source: The samples, of which each needs a class.

    Raises:
        UsageError: If a text names no column, a column is unknown or named twice, has one value or more than
            `MOST_SLICES`, or the samples have no class each.
        SamplesError: If a table cannot be read, or does not match the samples.
    """
    if texts and not with_classes(source.labels):
        raise UsageError(
            f"{_OPTION} needs a class label for each sample, and '{source.text}' has "
            f"{'no labels' if source.labels is None else 'other labels'}; slices are judged by right and wrong answers"
        )
    attributes: list[SourceAttribute] = []
    for text in dict.fromkeys(texts):
        attribute = _read(text, source)
        if any(attribute.name == other.name for other in attributes):
            raise UsageError(
                f"{_OPTION} names two columns '{attribute.name}', which could not be told apart; rename one of them"
            )
        attributes.append(attribute)
    return tuple(attributes)


def _read(text: str, source: Source) -> SourceAttribute:
    path, column = split_column(text, option=_OPTION)
    given = read_column(path, column, n=source.n, files=source.files, samples=source.text)
    values = _ordered(set(given))
    if len(values) == 1:
        raise UsageError(
            f"every sample has the value '{values[0]}' in the column '{column}' of '{path}', so it makes no slices; "
            f"name another column"
        )
    if len(values) > MOST_SLICES:
        raise UsageError(
            f"the column '{column}' of '{path}' has {counted(len(values), 'value')}, and at most {MOST_SLICES:,} "
            f"slices can be judged; name a column of fewer values, or merge some of them"
        )
    place_of = {value: place for place, value in enumerate(values)}
    return SourceAttribute(column, values, np.array([place_of[value] for value in given], dtype="<i8"), text)


def _ordered(values: set[str]) -> tuple[str, ...]:
    """Sort values by number if all are numbers, otherwise by text."""
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        return tuple(sorted(values))
    finite = all(map(math.isfinite, numbers.values()))
    return tuple(sorted(values, key=lambda value: (numbers[value] if finite else 0, value)))


def with_attributes(
    samples: SampleSet, attributes: Sequence[SourceAttribute], indices: Array, warn: Callable[[str], None]
) -> SampleSet:
    """Store the attributes of drawn samples beside them, and return the set with their record.

    A file is named after the hash of what it says, so that a study that was made before keeps its own.

    Args:
        samples: A written set.
        attributes: Those of the whole source.
        indices: Positions of the set's samples in the source.
        warn: Called with a sentence about slices of a single sample.
    """
    stored: list[Attribute] = []
    for attribute in attributes:
        places = attribute.places[indices]
        record = Attribute(attribute.name, attribute.values, attribute.text, _sha256(attribute, places))
        _save(samples, record, places)
        single = [attribute.values[place] for place in np.flatnonzero(np.bincount(places) == 1)]
        if single:
            are = "is a slice" if len(single) == 1 else "are slices"
            warn(
                f"{listed(single, most=_TOLD)} {are} of '{attribute.name}' with one scored sample, which decides "
                f"nothing; merge values, or give more samples"
            )
        stored.append(record)
    return replace(samples, attributes=tuple(stored))


def _save(samples: SampleSet, record: Attribute, places: Array) -> None:
    """Write a file completely or not at all, unless it is there."""
    path = samples.attribute_file(record)
    if _state(samples, record) == "intact":
        return
    unfinished = path.with_name(f"{path.stem}.part.npy")
    np.save(unfinished, places)
    unfinished.replace(path)


def intact_attributes(samples: SampleSet) -> FileState:
    """Compare the stored attributes of samples with their hashes; `intact` without any."""
    states = {_state(samples, attribute) for attribute in samples.attributes}
    return next((state for state in ("missing", "damaged") if state in states), "intact")


def _state(samples: SampleSet, attribute: Attribute) -> FileState:
    path = samples.attribute_file(attribute)
    if not path.is_file():
        return "missing"
    try:
        with reading(path, SamplesError, "run 'quantlab analyze' again"):
            places = np.array(mapped(path))
            as_written = places.dtype == np.dtype("<i8") and places.shape == (samples.n,)
            return "intact" if as_written and _sha256(attribute, places) == attribute.sha256 else "damaged"
    except SamplesError:
        return "damaged"


def _sha256(attribute: Attribute | SourceAttribute, places: Array) -> str:
    about = [attribute.name, attribute.values, hashlib.sha256(raw_bytes(places)).hexdigest()]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()
