"""A user's `module:function` as a source: arrays, a generator or a tf.data.Dataset, read in two passes."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.errors import SamplesError
from quantlab.names import shape_words
from quantlab.samples.check import check_tensor, fits
from quantlab.samples.labels import to_labels
from quantlab.samples.source import (
    Array,
    Block,
    HeldTensor,
    Source,
    block_rows,
    match_names,
    only_input,
    pieces,
    raw_bytes,
    sample_count,
)
from quantlab.types import TensorSpec
from quantlab.user_functions import STALL_SECONDS, Given, called_loader


@dataclass(frozen=True, slots=True)
class _Batch:
    """Samples with the sample dimension first, by input name."""

    inputs: Block
    labels: Array | None

    @property
    def n(self) -> int:
        return len(next(iter(self.inputs.values())))


class _Digest:
    """Hash of one pass; it does not depend on how the samples are grouped into batches."""

    def __init__(self) -> None:
        self._hashes: dict[str, Any] = {}

    def add(self, batch: _Batch) -> None:
        labels = {} if batch.labels is None else {"labels of the samples": batch.labels}
        for name, values in (batch.inputs | labels).items():
            begun = hashlib.sha256(f"{name} {values.shape[1:]} {values.dtype.str}".encode())
            self._hashes.setdefault(name, begun).update(raw_bytes(values))

    def value(self) -> dict[str, str]:
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}


@dataclass(frozen=True, slots=True)
class _Seen:
    """Results of the first pass."""

    tensors: tuple[HeldTensor, ...]
    labels: list[Array]
    """Labels of each batch; empty if unlabelled."""
    digest: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Loader:
    """The user's function and the inputs of the model."""

    text: str
    inputs: tuple[TensorSpec, ...]
    stall_seconds: float

    def batches(self) -> Iterator[_Batch]:
        """One pass; every batch is checked against the model and against the first batch.

        Raises:
            SamplesError: If the function raises, or returns samples that do not match.
        """
        first: _Batch | None = None
        with called_loader(self.text, SamplesError, self.stall_seconds) as elements:
            for given in elements:
                batch = self._batch(given)
                if first is None:
                    first = batch
                    for spec in self.inputs:
                        check_tensor(spec, _held(spec.name, batch.inputs[spec.name]), text=self.text)
                self._check_like(batch, first)
                yield batch

    def _batch(self, given: Given) -> _Batch:
        labels = given.labels
        if "" in {*given.arrays, *given.refused}:
            only = only_input(self.inputs, text=self.text, kind="a loader of bare arrays").name
            arrays = {only: _array(given, "")}
        else:
            names = match_names([*given.arrays, *given.refused], self.inputs, text=self.text)
            arrays = {name: _array(given, held) for name, held in names.inputs.items()}
            labels = given.arrays.get(names.labels or "") if labels is None else labels
        batch = _Batch(arrays, labels)
        if not given.whole and all(_single(spec, arrays[spec.name].shape) for spec in self.inputs):
            batch = _Batch({name: values[None] for name, values in arrays.items()}, _one(batch.labels))
        return batch

    def _check_like(self, batch: _Batch, first: _Batch) -> None:
        for name, values in batch.inputs.items():
            like = first.inputs[name]
            if (values.shape[1:], values.dtype) != (like.shape[1:], like.dtype):
                raise SamplesError(
                    f"the loader '{self.text}' first gave '{name}' as {like.dtype.name} of shape "
                    f"{shape_words(like.shape[1:])} per sample, then as {values.dtype.name} of shape "
                    f"{shape_words(values.shape[1:])}; give all samples the same shape and type"
                )
        if (batch.labels is None) != (first.labels is None):
            raise SamplesError(
                f"the loader '{self.text}' gave labels for only some samples; give them for all or for none"
            )
        given = batch.inputs if batch.labels is None else {**batch.inputs, "labels": batch.labels}
        held = [_held(name, values) for name, values in given.items()]
        if any(tensor.n for tensor in held):  # an empty batch is allowed
            sample_count(held, text=self.text)


def open_loader(text: str, *, inputs: Sequence[TensorSpec], stall_seconds: float = STALL_SECONDS) -> Source:
    """Open a function without arguments that returns samples.

    It may return `x`, `(x, y)`, a dict by input name (labels under `y` or `labels`), `(dict, y)`, or a generator,
    iterable or tf.data.Dataset of these, with one sample or one batch per element. The number of dimensions, compared
    with the model's input, distinguishes samples from batches. The function is called twice: here to count, and by
    `Source.read` to read; only labels are kept in between. The current folder is searched for the module too.

    Raises:
        SamplesError: If the function does not exist, raises, never ends, or returns samples that do not match; from
            `read`, if its second pass returns other bytes.
    """
    loader = _Loader(text, tuple(inputs), stall_seconds)
    seen = _first_pass(loader)

    def read(indices: Array) -> Iterator[Block]:
        return _second_pass(loader, indices, seen=seen)

    n = sample_count(seen.tensors, text=text)
    return Source(text=text, n=n, tensors=seen.tensors, labels=_joined(seen.labels, n=n, text=text), read=read)


def _first_pass(loader: _Loader) -> _Seen:
    digest, labels, n = _Digest(), list[Array](), 0
    first: _Batch | None = None
    for batch in loader.batches():
        digest.add(batch)
        first = first or _Batch({name: values[:0].copy() for name, values in batch.inputs.items()}, None)
        n += batch.n
        if batch.labels is not None:
            labels.append(batch.labels.copy())
    if first is None:
        raise SamplesError(f"the loader '{loader.text}' gave no samples; give at least one")
    arrays = ((spec.name, first.inputs[spec.name]) for spec in loader.inputs)
    tensors = tuple(HeldTensor(name, (n, *values.shape[1:]), values.dtype) for name, values in arrays)
    return _Seen(tensors, labels, digest.value())


def _second_pass(loader: _Loader, indices: Array, *, seen: _Seen) -> Iterator[Block]:
    digest, start, rows = _Digest(), 0, block_rows(seen.tensors)
    for batch in loader.batches():
        digest.add(batch)
        stop = start + batch.n
        wanted = indices[np.searchsorted(indices, start) : np.searchsorted(indices, stop)] - start
        for piece in pieces(wanted, rows):
            yield {name: values[piece] for name, values in batch.inputs.items()}
        start = stop
    if digest.value() != seen.digest:
        raise SamplesError(
            f"the loader '{loader.text}' gave other samples on its second pass, but every runtime must be fed the "
            "same; turn off shuffling and augmentation, or seed them"
        )


def _array(given: Given, name: str) -> Array:
    """One array of an element; it is valid until the next element.

    Raises:
        SamplesError: If the loader returned no valid array under this name.
    """
    if name in given.refused:
        raise SamplesError(given.refused[name])
    return np.asarray(given.arrays[name])


def _single(spec: TensorSpec, shape: tuple[int, ...]) -> bool:
    """Whether an array is one sample: it has the input's rank, and is not a batch without the channel dimension."""
    wanted = spec.shape[1:]
    return len(shape) == len(wanted) and (fits(shape, wanted) or not fits((*shape[1:], 1), wanted))


def _one(labels: Array | None) -> Array | None:
    return None if labels is None else labels[None]


def _held(name: str, values: Array) -> HeldTensor:
    return HeldTensor(name, values.shape, values.dtype)


def _joined(labels: Sequence[Array], *, n: int, text: str) -> Array | None:
    if not labels:
        return None
    try:
        raw = np.concatenate(labels)
    except ValueError as error:
        raise SamplesError(f"the labels of '{text}' differ in shape ({error}); give all the same shape") from error
    return to_labels(raw, n=n, text=text)
