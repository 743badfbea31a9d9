"""A user's `module:function` as a source: arrays, a generator or a tf.data.Dataset, read in two passes.

Of a function whose attribute `endless` is true, each pass takes the first samples only, and no element more.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np

from quantlab.errors import SamplesError, UsageError
from quantlab.names import counted, shape_words
from quantlab.samples.check import check_tensor, fits, model_dtype
from quantlab.samples.labels import to_labels
from quantlab.samples.source import (
    Array,
    Block,
    HeldTensor,
    SampleOptions,
    Source,
    match_names,
    only_input,
    pieces,
    raw_bytes,
    sample_bytes,
    sample_count,
)
from quantlab.types import TensorSpec
from quantlab.user_functions import CalledLoader, Given, called_loader
from quantlab.user_requests import Next

MOST_EMPTY = 1000
"""So many batches without samples in a row, of a loader without an end, are refused: no sample may ever come."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Samples with the sample dimension first, by input name."""

    inputs: Block
    labels: Array | None
    single: bool = False
    """Whether an element was one sample, without a dimension for samples."""
    elements: int = 1
    """Number of elements with as many samples each."""

    @property
    def n(self) -> int:
        return len(next(iter(self.inputs.values())))

    def beginning(self, n: int) -> "_Batch":
        """Its first samples."""
        labels = None if self.labels is None else self.labels[:n]
        return replace(self, inputs={name: values[:n] for name, values in self.inputs.items()}, labels=labels)


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


_PIECE_BYTES = 2**20
"""Size of written samples that are passed on at once: larger ones leave the cache of a core before they are hashed."""
_LABELS_APART = 4096
"""Most arrays of labels that are kept apart: one for each sample would take 15 times the memory of its label."""


@dataclass(slots=True)
class _Labels:
    """The labels of one batch after the other."""

    text: str
    joined: list[Array] = field(default_factory=list)
    """Of many batches each."""
    apart: list[Array] = field(default_factory=list)
    """Of one batch each, behind the others."""

    def add(self, labels: Array, elements: int) -> None:
        copied, size = labels.copy(), -(-len(labels) // elements)
        # Apart, because a message names an array that has another shape by its number.
        self.apart += [copied[place : place + size] for place in range(0, max(1, len(copied)), max(1, size))]
        while len(self.apart) >= _LABELS_APART:
            self.joined.append(_concatenated(self.apart[:_LABELS_APART], self.text))
            del self.apart[:_LABELS_APART]

    def all(self, n: int) -> Array | None:
        """Those of all n samples, as they are stored; None without any."""
        parts = [*self.joined, *self.apart]
        return to_labels(_concatenated(parts, self.text), n=n, text=self.text) if parts else None


def _concatenated(labels: Sequence[Array], text: str) -> Array:
    try:
        return np.concatenate(labels)
    except ValueError as error:
        raise SamplesError(f"the labels of '{text}' differ in shape ({error}); give all the same shape") from error


@dataclass(frozen=True, slots=True)
class _Seen:
    """Results of the first pass."""

    tensors: tuple[HeldTensor, ...]
    labels: _Labels
    """Labels of all batches; none if unlabelled."""
    digest: dict[str, str]
    endless: bool
    """Whether the function says that it has no end."""


@dataclass(frozen=True, slots=True)
class _Loader:
    """The user's function and the inputs of the model."""

    text: str
    inputs: tuple[TensorSpec, ...]
    options: SampleOptions

    @contextmanager
    def opened(self) -> Iterator[tuple[Iterator[_Batch], bool]]:
        """One pass, whose batches are checked against the model and the first batch; and whether it has no end.

        Raises:
            SamplesError: If the function raises, or returns samples that do not match.
            UsageError: If it has no end, and nothing says how many samples are wanted.
        """
        with called_loader(self.text, SamplesError, self.options.stall_seconds) as called:
            every = chain.from_iterable(map(self._batches, called.elements()))
            yield self._checked(self._beginning(called) if called.endless else every), called.endless

    def _checked(self, batches: Iterator[_Batch]) -> Iterator[_Batch]:
        first: _Batch | None = None
        for batch in batches:
            if first is None:
                first = batch
                for spec in self.inputs:
                    check_tensor(spec, _held(spec.name, batch.inputs[spec.name]), text=self.text)
            self._check_like(batch, first)
            yield batch

    def _beginning(self, called: CalledLoader) -> Iterator[_Batch]:
        """The first samples of a function that has no end, which is then closed; no element more is taken.

        Raises:
            SamplesError: If it gives `MOST_EMPTY` empty batches in a row.
        """
        left = self.options.first
        if left is None:
            raise UsageError(
                f"the loader '{self.text}' has no end, as its attribute 'endless' says; say with --limit how many "
                f"samples are scored, or give a loader that ends"
            )
        asked, empty = Next(most=1), 0  # the first one tells whether elements are batches
        while left > 0 and (given := called.take(asked)) is not None:
            for batch in self._batches(given):
                yield batch.beginning(max(left, 0))
                left -= batch.n
                empty = 0 if batch.n else empty + batch.elements
                if empty >= MOST_EMPTY:
                    raise SamplesError(
                        f"the loader '{self.text}' gave {MOST_EMPTY:,} batches without samples in a row, and has no "
                        f"end, as its attribute 'endless' says; give samples, or a loader that ends"
                    )
                asked = Next(most=left, batches=not batch.single)
        called.end()

    def _batches(self, given: Given) -> list[_Batch]:
        """The elements as one batch, which a program handles many times as fast as single samples, or each alone."""
        joined = None if given.count is None else self._joined(given, given.count)
        return [self._batch(one) for one in given.apart()] if joined is None else [joined]

    def _joined(self, given: Given, count: int) -> _Batch | None:
        """Stacked elements as one batch; None if they are batches whose arrays differ in length."""
        arrays, labels = self._named(given)
        if self._are_single(arrays, leading=1):
            return _Batch(arrays, labels, single=True, elements=count)
        lengths = {values.shape[1:2] for values in (*arrays.values(), *([] if labels is None else [labels]))}
        if len(lengths) > 1 or () in lengths:
            return None
        (length,) = lengths.pop()
        flat = {name: values.reshape(count * length, *values.shape[2:]) for name, values in arrays.items()}
        return _Batch(
            flat, None if labels is None else labels.reshape(count * length, *labels.shape[2:]), elements=count
        )

    def _batch(self, given: Given) -> _Batch:
        arrays, labels = self._named(given)
        if not given.whole and self._are_single(arrays, leading=0):
            return _Batch({name: values[None] for name, values in arrays.items()}, _one(labels), single=True)
        return _Batch(arrays, labels)

    def _are_single(self, arrays: Block, *, leading: int) -> bool:
        return all(_single(spec, arrays[spec.name].shape[leading:]) for spec in self.inputs)

    def _named(self, given: Given) -> tuple[Block, Array | None]:
        """The arrays by input of the model, and the labels."""
        if "" in {*given.arrays, *given.refused}:
            only = only_input(self.inputs, text=self.text, kind="a loader of bare arrays").name
            return {only: _array(given, "")}, given.labels
        names = match_names([*given.arrays, *given.refused], self.inputs, text=self.text)
        arrays = {name: _array(given, held) for name, held in names.inputs.items()}
        labels = given.arrays.get(names.labels or "") if given.labels is None else given.labels
        return arrays, labels

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


def open_loader(
    text: str,
    *,
    inputs: Sequence[TensorSpec],
    options: SampleOptions = SampleOptions(),  # noqa: B008 (it is frozen)
    clock: Callable[[], float] = time.monotonic,
) -> Source:
    """Open a function without arguments that returns samples.

    It may return `x`, `(x, y)`, a dict by input name (labels under `y` or `labels`), `(dict, y)`, or a generator,
    iterable or tf.data.Dataset of these, with one sample or one batch per element. The number of dimensions, compared
    with the model's input, distinguishes samples from batches. The function is called twice: here to count, and by
    `Source.read` to read; only labels are kept in between. The current folder is searched for the module too.

    Args:
        text: `module:function`. If the function has a true attribute `endless`, each pass takes the first samples only.
        inputs: The inputs of the model.
        options: The time limit, the number of first samples, and what is told while samples are counted.
        clock: Seconds since any moment.

    Raises:
        SamplesError: If the function does not exist, raises, never ends, gives `MOST_EMPTY` empty batches in a row
            without an end, or returns samples that do not match; from `read`, if its second pass returns other bytes.
        UsageError: If it has no end, and `options.first` is None.
    """
    loader = _Loader(text, tuple(inputs), options)
    seen = _first_pass(loader, _Told(text, options.warn, clock, clock()))

    def read(indices: Array) -> Iterator[Block]:
        return _second_pass(loader, indices, seen=seen)

    n = sample_count(seen.tensors, text=text)
    return Source(text=text, n=n, tensors=seen.tensors, labels=seen.labels.all(n), read=read, endless=seen.endless)


@dataclass(slots=True)
class _Told:
    """Tells how many samples were counted, since a function that never ends would otherwise be waited for in silence.

    It does so after a minute, and each time that the count has taken twice as long.
    """

    text: str
    warn: Callable[[str], None]
    clock: Callable[[], float]
    began: float
    after: float = 60.0

    def counted(self, n: int) -> None:
        if self.clock() - self.began < self.after:
            return
        self.after *= 2
        self.warn(
            f"the loader '{self.text}' gave {counted(n, 'sample')} so far, and all are counted first; if it has no "
            f"end, set '{self.text.rpartition(':')[2]}.endless = True' behind the function, and give --limit"
        )


def _first_pass(loader: _Loader, told: _Told) -> _Seen:
    digest, labels, n = _Digest(), _Labels(loader.text), 0
    first: _Batch | None = None
    with loader.opened() as (batches, endless):
        for batch in batches:
            digest.add(batch)
            first = first or _Batch({name: values[:0].copy() for name, values in batch.inputs.items()}, None)
            if batch.labels is not None:
                labels.add(batch.labels, batch.elements)
            for element in range(0 if endless else batch.elements):
                told.counted(n + (element + 1) * batch.n // batch.elements)
            n += batch.n
    if first is None:
        raise SamplesError(f"the loader '{loader.text}' gave no samples; give at least one")
    arrays = ((spec.name, first.inputs[spec.name]) for spec in loader.inputs)
    tensors = tuple(HeldTensor(name, (n, *values.shape[1:]), values.dtype) for name, values in arrays)
    return _Seen(tensors, labels, digest.value(), endless)


def _second_pass(loader: _Loader, indices: Array, *, seen: _Seen) -> Iterator[Block]:
    written = [replace(held, dtype=model_dtype(spec)) for held, spec in zip(seen.tensors, loader.inputs, strict=True)]
    digest, start, rows = _Digest(), 0, max(1, _PIECE_BYTES // sample_bytes(written))
    with loader.opened() as (batches, _):
        for batch in batches:
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
