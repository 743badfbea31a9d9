"""Ground truth of another shape for each sample: arrays by offsets, and JSON lines."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.names import counted, excerpt
from quantlab.npy import mapped
from quantlab.ragged import Packed, objects, pack, rectangular, unpack
from quantlab.samples.labels import text_lines
from quantlab.samples.source import Array
from quantlab.types import SampleSet

__all__ = ["JSON_LINES", "OFFSETS", "labels_of", "ragged_labels", "read_json_lines", "save_labels"]

OFFSETS = "_offsets"
"""What the name of an array in a `.npz` ends with if it says where each sample's labels begin."""
JSON_LINES = (".jsonl", ".ndjson")
"""Suffixes of files with a JSON value per line."""


def ragged_labels(values: Array, offsets: Array, *, n: int, text: str) -> Array:
    """Labels of another length for each sample, as an array of objects (n,), each an array (k, …).

    Args:
        values: (m, …) numbers of all samples in a row.
        offsets: (n + 1,) integers: sample i has the values from offsets[i] up to, not including, offsets[i + 1].
        n: Number of samples.
        text: The source, as the user wrote it.

    Raises:
        SamplesError: If the offsets do not divide the values among the samples, or a value is not a finite number.
    """
    if values.ndim == 0 or values.dtype.kind not in "biuf":
        raise SamplesError(f"the labels of '{text}' are {values.dtype.name}; give numbers, of all samples in a row")
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) != n + 1:
        raise SamplesError(
            f"the offsets of the labels of '{text}' are {offsets.dtype.name} of shape {offsets.shape}, and "
            f"{counted(n, 'sample')} need {n + 1:,} integers, from 0 to the number of values"
        )
    if offsets[0] != 0 or offsets[-1] != len(values):
        raise SamplesError(
            f"the offsets of the labels of '{text}' go from {offsets[0]:,} to {offsets[-1]:,}, and there are "
            f"{counted(len(values), 'value')}; let them go from 0 to that number"
        )
    falling = np.flatnonzero(offsets[1:] < offsets[:-1])
    if falling.size:
        raise SamplesError(
            f"the offsets of the labels of '{text}' fall at sample {falling[0]} (counted from 0), from "
            f"{offsets[falling[0]]:,} to {offsets[falling[0] + 1]:,}; each sample must begin where the one before it "
            f"ends"
        )
    starts = offsets.astype(np.int64)
    axes = tuple(range(1, values.ndim))
    finite = np.isfinite(values).all(axis=axes) if values.dtype.kind == "f" else None
    if finite is not None and not finite.all():
        which = int(np.searchsorted(starts, int(np.argmin(finite)), side="right")) - 1
        raise SamplesError(
            f"the labels of sample {which} (counted from 0) of '{text}' hold NaN or infinity; correct or remove it"
        )
    plain = values.astype(values.dtype.newbyteorder("<"))
    return unpack(Packed("ragged", plain, starts))


def read_json_lines(path: Path, *, n: int, text: str) -> Array:
    """Labels from a file with one JSON value per sample and line.

    Lists of numbers become arrays, see `quantlab.ragged.rectangular`; anything else stays a value of JSON.

    Raises:
        SamplesError: If there are not as many lines as samples, or a line is not JSON.
    """
    with reading(f"the labels in '{path}'", SamplesError, "give text in UTF-8 with one JSON value per line"):
        lines = text_lines(path)
    if len(lines) != n:
        raise SamplesError(
            f"'{text}' holds {counted(n, 'sample')} but '{path}' {counted(len(lines), 'line')}; give one JSON value "
            f"per sample and line"
        )
    values = [_value(line, number, path) for number, line in enumerate(lines)]
    return objects(values) if (arrays := rectangular(values)) is None else arrays


def _value(line: str, number: int, path: Path) -> Any:
    """One line as JSON; `number` counts from 0, as samples do."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        value = json.loads(line, parse_constant=refuse)
        json.dumps(value, allow_nan=False)  # 1e999 is read as infinity
    except (ValueError, RecursionError) as error:
        raise SamplesError(
            f"the labels of sample {number} (counted from 0), '{excerpt(line, most=60)}' in line {number + 1} of "
            f"'{path}', are no JSON value ({error}); give one for each sample"
        ) from error
    return value


def save_labels(samples: SampleSet, labels: Array) -> SampleSet:
    """Write labels beside samples, and return the record that says how."""
    if not labels.dtype.hasobject:
        np.save(samples.labels_file, labels)
        return samples
    packed = pack(labels)
    np.save(samples.labels_file, packed.values)
    np.save(samples.label_offsets_file, packed.offsets)
    return replace(samples, truth=packed.kind)


def labels_of(samples: SampleSet) -> Array | None:
    """The labels of stored samples: memory-mapped, or an array of objects (n,) if each sample has its own shape.

    None without labels.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a file is damaged.
    """
    if not samples.labelled:
        return None
    values: Array = mapped(samples.labels_file)
    if not samples.truth:
        return values
    return unpack(Packed(samples.truth, values, np.array(mapped(samples.label_offsets_file))))
