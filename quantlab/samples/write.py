"""Writes samples to disk for the runtimes: to a temporary folder, hashed, and renamed when complete.

A source is read in its own order, and each sample is written to its place, so that memory holds one block.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError
from quantlab.samples.check import model_dtype, to_model_dtype
from quantlab.samples.duplicates import Fingerprints, PlacedFingerprints
from quantlab.samples.hashes import intact_samples, labels_sha256, set_sha256
from quantlab.samples.leftovers import WRITING
from quantlab.samples.near import MOST_IMAGES
from quantlab.samples.origins import FILES, INDICES, origins_sha256
from quantlab.samples.source import Array, Block, HeldTensor, SampleOptions, Source, block_rows, raw_bytes, sample_bytes
from quantlab.samples.stored import MADE_OF, TENSORS, find_known, record_made_of
from quantlab.samples.subset import Part, Parts
from quantlab.samples.truth import save_labels
from quantlab.types import SampleSet, TensorSpec

_READ_BYTES = 4 * 2**20


class _TensorFile:
    """A `.npy` file whose samples are written to their places, in any order, and the hash of its data."""

    def __init__(self, path: Path, spec: TensorSpec, n: int) -> None:
        self._digest = hashlib.sha256()
        self._about = [spec.name, spec.dtype, [n, *spec.shape[1:]]]
        self._file = path.open("w+b", buffering=0)
        header = {"descr": model_dtype(spec).str, "fortran_order": False, "shape": (n, *spec.shape[1:])}
        np.lib.format.write_array_header_1_0(self._file, header)  # type: ignore[no-untyped-call]  # NumPy has no type for it
        self._begin = self._file.tell()
        self._size = 0
        self._hashed = 0
        """Bytes from the beginning of the data that were hashed when they were written."""

    def add(self, values: Array, places: Array) -> None:
        """Write samples, each to its place; places that follow one another are written at once."""
        edges = [0, *(np.flatnonzero(np.diff(places) != 1) + 1), len(places)]
        for start, stop in pairwise(edges):
            if start < stop:
                self._write(raw_bytes(values[start:stop]), int(places[start]), stop - start)

    def _write(self, data: memoryview, place: int, count: int) -> None:
        # Not memory-mapped: a full disk then raises an error instead of killing the process with a signal.
        offset = place * (len(data) // count)
        if offset == self._hashed:
            self._digest.update(data)
            self._hashed += len(data)
        self._size += len(data)
        while data:
            written = os.pwrite(self._file.fileno(), data, self._begin + offset)
            data, offset = data[written:], offset + written

    def close(self) -> None:
        self._file.close()

    def identity(self) -> list[object]:
        """What is known of the tensor; what was not written in order is read again."""
        self._file.seek(self._begin + self._hashed)
        while self._hashed < self._size:
            data = self._file.read(min(_READ_BYTES, self._size - self._hashed))
            self._digest.update(data)
            self._hashed += len(data)
        return [*self._about, self._digest.hexdigest()]


class _SetFiles:
    """The files of one part while they are written."""

    def __init__(
        self, part: Part, source: Source, *, inputs: Sequence[TensorSpec], folder: Path, most_images: int
    ) -> None:
        self._labels = None if source.labels is None else source.labels[part.indices]
        self._made_of = source.made_of
        self._compared = len(part.indices) <= most_images
        self.part = part
        self._order = np.argsort(part.indices)
        self._ascending = part.indices[self._order]
        self._fingerprints = PlacedFingerprints(len(part.indices))
        self._names = [source.files[index] for index in part.indices] if source.files else []
        self.samples = SampleSet(
            folder=folder,
            inputs=tuple(inputs),
            n=len(part.indices),
            labelled=self._labels is not None,
            sha256="",
            source=source.text,
            available=source.n,
            drawn=part.drawn,
            preprocessing=source.preprocessing,
            classes=source.classes,
        )
        folder.mkdir()
        self._files = {
            spec.name: _TensorFile(self.samples.input_file(spec.name), spec, part.indices.size) for spec in inputs
        }

    def add(self, block: Block, indices: Array, beside: Executor) -> None:
        """Write the samples of a block that belong to this part.

        Args:
            block: Samples in the data types of the model.
            indices: Their positions in the source.
            beside: Hashes single samples while the tensors are hashed and written.
        """
        nearest = np.minimum(np.searchsorted(self._ascending, indices), self.samples.n - 1)
        mine = self._ascending[nearest] == indices
        if not mine.any():
            return
        places = self._order[nearest[mine]]
        own = block if mine.all() else {name: values[mine] for name, values in block.items()}
        fingerprints = beside.submit(Fingerprints.of, own, self.samples.inputs, compared=self._compared)
        for name, values in own.items():
            self._files[name].add(values, places)
        self._fingerprints.put(places, fingerprints.result())

    @property
    def fingerprints(self) -> Fingerprints:
        return self._fingerprints.whole

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def finish(self, folder: Path, warn: Callable[[str], None]) -> SampleSet:
        """Add labels and indices, and move everything to its final place under `folder`, unless it exists already."""
        tensors = [file.identity() for file in self._files.values()]
        sha256 = set_sha256(tensors, self._labels)
        self.close()
        if self._made_of is not None:
            ascending = self._made_of(self._ascending)
            record_made_of(self.samples.folder, ascending[np.argsort(self._order)], tensors)
        np.save(self.samples.folder / INDICES, self.part.indices.astype("<i8"))
        if self._names:
            # A file name may hold bytes that are no text; JSON's escapes keep them.
            (self.samples.folder / FILES).write_text(json.dumps(self._names), encoding="utf-8")
        if self._labels is not None:
            self.samples = save_labels(self.samples, self._labels)
        place = folder / sha256[:12]
        final = replace(
            self.samples,
            folder=place,
            sha256=sha256,
            labels_sha256=labels_sha256(self._labels),
            origins_sha256=origins_sha256(self.samples.folder),
        )
        _move(self.samples.folder, final, warn)
        return final


KEPT_BYTES = 8
"""Bytes of a hash by which samples are compared: of a million samples, two have the same with a probability of 3e-8."""


@dataclass(frozen=True, slots=True)
class WrittenParts:
    """Parts of a source that were written."""

    parts: Parts
    """The parts, without the scored samples that are among others."""
    samples: tuple[SampleSet, ...]
    """One for each of `parts.all`."""
    fingerprints: tuple[Fingerprints, ...]
    """One for each of `parts.all`."""
    excluded: int = 0
    """Number of samples that would have been scored, and are equal to samples that must not be."""
    equal: int = 0
    """Number of samples that are scored although they are equal to calibration samples, as nearly all of the source."""


def write_samples(
    source: Source,
    parts: Sequence[Part],
    *,
    inputs: Sequence[TensorSpec],
    folder: Path,
    warn: Callable[[str], None] = lambda _: None,
) -> tuple[SampleSet, ...]:
    """Read a source once, and write each part to `folder/<part>/<first 12 digits of its hash>/`.

    A set contains one file per input (see `SampleSet.input_file`), `labels.npy` if labelled, `indices.npy`: int64
    (n,), the positions of its samples in the source, and for image files `files.json` with their names. The samples of
    a set that exists already are left unchanged; a damaged one is replaced. On failure nothing is left behind.

    Args:
        parts: Disjoint, each with at least one sample.
        warn: Called with a sentence where a damaged set is replaced.

    Raises:
        SamplesError: If a sample does not match the model, the disk is too small, or a loader's second pass returns
            other samples.
    """
    with (
        _beside(source, parts, inputs, folder) as beside,
        _filled(source, parts, inputs, beside=beside, folder=folder) as sets,
    ):
        return tuple(files.finish(folder / files.part.name, warn) for files in sets)


def write_parts(
    source: Source,
    parts: Parts,
    *,
    inputs: Sequence[TensorSpec],
    folder: Path,
    options: SampleOptions = SampleOptions(),  # noqa: B008 (it is frozen)
) -> WrittenParts:
    """Write the parts of a source like `write_samples`, and score no sample that is equal to one of another part.

    What must not be scored is only known after it was read, so that the source is read again if there are such samples.

    Args:
        parts: Scored samples, and others that must not be scored.
        options: With hashes of samples that must not be scored either.

    Raises:
        SamplesError: See `write_samples`; and if less than a fifth of the samples remain to be scored, unless they
            are of one source without a search, whose samples are nearly all alike: see `WrittenParts.equal`.
    """
    warn, never_scored, most = options.warn, options.never_scored, options.most_images
    with _beside(source, parts.all, inputs, folder) as beside:
        with _filled(source, parts.all, inputs, beside=beside, folder=folder, most_images=most) as sets:
            kept = _scorable(sets, never_scored)
            excluded = int(np.count_nonzero(~kept))
            few = kept.sum() * _LEAST_KEPT < len(kept)
            alike = few and not never_scored and parts.search is None
            if alike or not excluded:
                return replace(_finished(sets, parts, folder, warn, 0), equal=excluded)
        if few:
            raise _too_few(source, excluded, len(kept), apart=bool(never_scored))
        scored = replace(parts.scored, indices=parts.scored.indices[kept])
        parts = replace(parts, scored=scored)
        again = beside / "again"
        again.mkdir()
        with _filled(source, parts.all, inputs, beside=again, folder=folder, most_images=most) as sets:
            return _finished(sets, parts, folder, warn, excluded)


_LEAST_KEPT = 5
"""If less than one of so many samples remains to be scored, the sets are meant to be the same."""


def _too_few(source: Source, excluded: int, n: int, *, apart: bool) -> SamplesError:
    which = f"{excluded:,} of the {n:,} samples for the verdict are equal to samples"
    if apart:
        return SamplesError(
            f"{which} for calibration or of a search, and calibration samples must not be scored, nor those of a "
            f"search; give other samples, or leave --calibration or --tuned out"
        )
    return SamplesError(
        f"{which} for the search or the calibration, because '{source.text}' holds equal samples; keep one of each, or "
        f"draw equal samples together with --group duplicates"
    )


@contextmanager
def _beside(source: Source, parts: Sequence[Part], inputs: Sequence[TensorSpec], folder: Path) -> Iterator[Path]:
    """A temporary folder in the place where samples are written, which has the space for them."""
    folder.mkdir(parents=True, exist_ok=True)
    count = sum(len(part.indices) for part in parts)
    _check_space(folder, count * sample_bytes(_as_held(source, written_specs(source, inputs))))
    with tempfile.TemporaryDirectory(prefix=WRITING, dir=folder) as beside:
        yield Path(beside)


@contextmanager
def _filled(
    source: Source,
    parts: Sequence[Part],
    inputs: Sequence[TensorSpec],
    *,
    beside: Path,
    folder: Path,
    most_images: int = MOST_IMAGES,
) -> Iterator[list[_SetFiles]]:
    """Read a source, and write the files of each part below `beside`; those that were not finished are removed.

    Samples that are in a set below `folder` are copied.
    """
    specs = written_specs(source, inputs)
    indices = np.sort(np.concatenate([part.indices for part in parts]))
    with ExitStack() as stack:
        sets, pool = [], stack.enter_context(ThreadPoolExecutor(1))
        for part in parts:
            place = beside / part.name
            sets.append(_SetFiles(part, source, inputs=specs, folder=place, most_images=most_images))
            stack.callback(shutil.rmtree, sets[-1].samples.folder, ignore_errors=True)
            stack.callback(sets[-1].close)
        known, left = find_known(source, indices, specs, folder)
        stored = (one.blocks(block_rows(_as_held(source, specs))) for one in known)
        for block, places in chain(*stored, _converted(source, left, specs) if len(left) else ()):
            for files in sets:
                files.add(block, places, pool)
        yield sets


def _scorable(sets: Sequence[_SetFiles], never_scored: frozenset[bytes]) -> Array:
    """(n,): which samples of the first set are in no other one."""
    others = never_scored | {digest[:KEPT_BYTES] for files in sets[1:] for digest in files.fingerprints.hashes}
    return ~sets[0].fingerprints.among(others, length=KEPT_BYTES)


def _finished(
    sets: Sequence[_SetFiles], parts: Parts, folder: Path, warn: Callable[[str], None], excluded: int
) -> WrittenParts:
    return WrittenParts(
        parts,
        tuple(files.finish(folder / files.part.name, warn) for files in sets),
        tuple(files.fingerprints for files in sets),
        excluded,
    )


def converted_blocks(source: Source, indices: Array, inputs: Sequence[TensorSpec]) -> Iterator[tuple[Block, Array]]:
    """Read samples of a source in blocks, as they are written, with their ascending positions in the source."""
    return _converted(source, indices, written_specs(source, inputs))


def _as_held(source: Source, specs: Sequence[TensorSpec]) -> list[HeldTensor]:
    """The source's tensors in the data types in which they are written."""
    return [replace(held, dtype=model_dtype(spec)) for held, spec in zip(source.tensors, specs, strict=True)]


def written_specs(source: Source, inputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The model's inputs with the sizes of the samples and an open batch dimension."""
    return tuple(
        replace(spec, shape=(None, *held.shape[1:])) for spec, held in zip(inputs, source.tensors, strict=True)
    )


def _converted(source: Source, indices: Array, specs: Sequence[TensorSpec]) -> Iterator[tuple[Block, Array]]:
    """The source's blocks in the model's data types, with the positions of their samples in the source."""
    start = 0
    for block in source.read(indices):
        stop = start + len(next(iter(block.values())))
        places = indices[start:stop]
        yield (
            {spec.name: to_model_dtype(block[spec.name], spec, indices=places, text=source.text) for spec in specs},
            places,
        )
        start = stop


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SamplesError(
            f"the samples need {_size(needed)} in '{folder}', but only {_size(free)} are free; "
            "free some space, choose another folder with --out, or score fewer with --limit"
        )


def _move(folder: Path, samples: SampleSet, warn: Callable[[str], None]) -> None:
    """Move a set to its final place, unless the same bytes are there already; a damaged set is replaced.

    Of equal bytes, what is known of their origin is that of the last source: files may have been renamed since.
    """
    place = samples.folder
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and (state := intact_samples(samples)) != "intact":
        what = "are damaged" if state == "damaged" else "lack a file"
        warn(f"the samples in '{place}' {what}, so they are written again")
        shutil.rmtree(place)
    try:
        folder.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        for name in (INDICES, FILES, MADE_OF, TENSORS):
            _renew(folder / name, place / name)


def _renew(file: Path, kept: Path) -> None:
    """Replace a kept file by another, unless they are equal; without another, remove it."""
    if not file.exists():
        kept.unlink(missing_ok=True)
    elif not kept.exists() or file.read_bytes() != kept.read_bytes():
        file.replace(kept)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.2f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.2f} MB"
