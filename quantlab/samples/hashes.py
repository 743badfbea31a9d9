"""Hashes of stored samples, and whether the files are still what they were computed from."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.npy import mapped
from quantlab.ragged import pack
from quantlab.samples.few import kept_places, kept_subset
from quantlab.samples.source import Array, raw_bytes
from quantlab.samples.truth import labels_of
from quantlab.types import FileState, SampleSet

_HASHED_ROWS = 256
"""Samples that are hashed at once, so that memory does not grow with their number."""


def set_sha256(tensors: Sequence[object], labels: Array | None) -> str:
    """SHA-256 of a set: of what is known of each tensor, its values' hash among it, and of the labels."""
    about = list(tensors)
    if labels is not None:
        about.append(_about_labels(labels))
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _about_labels(labels: Array) -> list[object]:
    if labels.dtype.hasobject:
        packed = pack(labels)
        return [packed.kind, *(part for array in (packed.values, packed.offsets) for part in _about_labels(array))]
    return ["labels", labels.dtype.str, labels.shape, hashlib.sha256(raw_bytes(labels)).hexdigest()]


def labels_sha256(labels: Array | None) -> str:
    """SHA-256 of labels, with their shape and data type; empty where there are none."""
    return "" if labels is None else hashlib.sha256(json.dumps(_about_labels(labels)).encode()).hexdigest()


def samples_sha256(samples: SampleSet) -> str:
    """Compute the hash of a stored set from its files; `SampleSet.sha256` is what it was when they were written.

    Raises:
        OSError: If a file is missing.
        ValueError: If a file is not a `.npy` file.
    """
    return set_sha256(tensors_of(samples), _labels(samples) if samples.labelled else None)


def tensors_of(samples: SampleSet) -> list[object]:
    """Name, data type, shape and hash of each input, from its file; raises as `samples_sha256`."""
    tensors: list[object] = []
    for spec in samples.inputs:
        values = mapped(samples.input_file(spec.name))
        digest = hashlib.sha256()
        for rows in range(0, len(values), _HASHED_ROWS):
            digest.update(raw_bytes(np.asarray(values[rows : rows + _HASHED_ROWS])))
        tensors.append([spec.name, spec.dtype, list(values.shape), digest.hexdigest()])
    return tensors


def _labels(samples: SampleSet) -> Array:
    labels = labels_of(samples)
    assert labels is not None  # noqa: S101 (the caller has checked that there are labels)
    return labels if labels.dtype.hasobject else np.array(labels)


def _label_files(samples: SampleSet) -> list[Path]:
    if not samples.labelled:
        return []
    return [samples.labels_file, *([samples.label_offsets_file] if samples.truth else [])]


def few_sha256(tensors: Sequence[object], places: Array) -> str:
    """`FewSamples.sha256` of samples that are kept.

    Args:
        tensors: Name, data type, shape and hash of each input.
        places: (few,) int64.
    """
    return set_sha256([*tensors, ["places", hashlib.sha256(raw_bytes(places)).hexdigest()]], None)


def _intact_few(samples: SampleSet) -> FileState:
    """Compare the samples that are kept, and the labels of all, with their hashes."""
    held = kept_subset(samples)
    files = [*(held.input_file(spec.name) for spec in held.inputs), samples.few_places_file]
    if not all(file.is_file() for file in [*files, *_label_files(samples)]):
        return "missing"
    state = _compared(lambda: few_sha256(tensors_of(held), kept_places(samples)), held.sha256, samples)
    return state if state != "intact" else intact_labels(samples)


def intact_samples(samples: SampleSet) -> FileState:
    """Compare stored samples, and their labels, with the hash in their record; reads all that are kept."""
    if samples.few is not None:
        return _intact_few(samples)
    files = [samples.input_file(spec.name) for spec in samples.inputs]
    if not all(file.is_file() for file in [*files, *_label_files(samples)]):
        return "missing"
    return _compared(lambda: samples_sha256(samples), samples.sha256, samples)


def intact_labels(samples: SampleSet) -> FileState:
    """Compare the labels with their hash; in an older record, which has none, with that of the whole set.

    `no hash` means that this set is no longer there. Samples without labels are `intact`.
    """
    if not samples.labelled:
        return "intact"
    if not all(file.is_file() for file in _label_files(samples)):
        return "missing"
    if samples.labels_sha256:
        return _compared(lambda: labels_sha256(_labels(samples)), samples.labels_sha256, samples)
    whole = intact_samples(samples)
    return "no hash" if whole == "missing" else whole


def _compared(compute: Callable[[], str], sha256: str, samples: SampleSet) -> FileState:
    try:
        with reading(samples.folder, SamplesError, "write the samples again"):
            return "intact" if compute() == sha256 else "damaged"
    except SamplesError:
        return "damaged"
