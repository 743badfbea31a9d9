"""Writes samples to disk for the runtimes: to a temporary folder, hashed, and renamed when complete.

A source is read in its own order, and each sample is written to its place, so that memory holds one block.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError
from quantlab.samples.converted import as_held, converted_blocks, written_specs
from quantlab.samples.cut import CutSamples, cut_samples, cut_tensors, refuse_other_order
from quantlab.samples.duplicates import Fingerprints
from quantlab.samples.few import MOST_FEW
from quantlab.samples.leftovers import WRITING
from quantlab.samples.set_files import SetFiles, WholeTensors
from quantlab.samples.source import Array, Block, SampleOptions, Source, block_rows, sample_bytes
from quantlab.samples.stored import find_known
from quantlab.samples.subset import Part, Parts
from quantlab.types import SampleSet, TensorSpec

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
    cut_samples: CutSamples | None = None
    """The scored samples, to be read again; None if all of them are kept."""


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
    warn, never_scored = options.warn, options.never_scored
    if options.cut is not None:
        refuse_other_order(source, parts.scored.indices)
    with _beside(source, parts.all, inputs, folder, options) as beside:
        with _filled(source, parts.all, inputs, beside=beside, folder=folder, options=options) as sets:
            kept = _scorable(sets, never_scored)
            excluded = int(np.count_nonzero(~kept))
            few = kept.sum() * _LEAST_KEPT < len(kept)
            alike = few and not never_scored and parts.search is None
            if alike or not excluded:
                return replace(_finished(source, sets, parts, folder, warn), equal=excluded)
        if few:
            raise _too_few(source, excluded, len(kept), apart=bool(never_scored))
        scored = replace(parts.scored, indices=parts.scored.indices[kept])
        parts = replace(parts, scored=scored)
        again = beside / "again"
        again.mkdir()
        with _filled(source, parts.all, inputs, beside=again, folder=folder, options=options) as sets:
            return replace(_finished(source, sets, parts, folder, warn), excluded=excluded)


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
def _beside(
    source: Source,
    parts: Sequence[Part],
    inputs: Sequence[TensorSpec],
    folder: Path,
    options: SampleOptions = SampleOptions(),  # noqa: B008 (it is frozen)
) -> Iterator[Path]:
    """A temporary folder in the place where samples are written, which has the space for them."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = [len(part.indices) for part in parts]
    if options.cut is not None:
        counts[0] = min(counts[0], MOST_FEW + options.cut.present * options.cut.shards_of(counts[0])[0].count)
    remedy = "score fewer with --limit" if options.cut is None else "give a smaller --shard-size"
    _check_space(folder, sum(counts) * sample_bytes(as_held(source, written_specs(source, inputs))), remedy)
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
    options: SampleOptions = SampleOptions(),  # noqa: B008 (it is frozen)
) -> Iterator[list[SetFiles]]:
    """Read a source, and write the files of each part below `beside`; those that were not finished are removed.

    Samples that are in a set below `folder` are copied, unless the scored ones are cut.
    """
    specs = written_specs(source, inputs)
    indices = np.sort(np.concatenate([part.indices for part in parts]))
    with ExitStack() as stack:
        sets, pool = list[SetFiles](), stack.enter_context(ThreadPoolExecutor(1))
        for part in parts:
            place, cut = beside / part.name, None if sets else options.cut
            tensors = WholeTensors if cut is None else cut_tensors(cut)
            files = SetFiles(part, source, specs, folder=place, most_images=options.most_images, tensors=tensors)
            stack.callback(shutil.rmtree, place, ignore_errors=True)
            stack.callback(files.close)
            sets.append(files)
        known, left = find_known(source, indices, specs, folder) if options.cut is None else ([], indices)
        stored = (one.blocks(block_rows(as_held(source, specs))) for one in known)
        new = converted_blocks(source, left, inputs) if len(left) else ()
        for block, places in chain(*stored, _told(new, options.reading)):
            for files in sets:
                files.add(block, places, pool)
        yield sets


def _told(blocks: Iterable[tuple[Block, Array]], reading: Callable[[], None]) -> Iterator[tuple[Block, Array]]:
    """The same blocks; `reading` is called after the first one.

    Not before: the process that reads may be forked from the server that then starts to import.
    """
    for number, one in enumerate(blocks):
        if not number:
            reading()
        yield one


def _scorable(sets: Sequence[SetFiles], never_scored: frozenset[bytes]) -> Array:
    """(n,): which samples of the first set are in no other one."""
    others = never_scored | {digest[:KEPT_BYTES] for files in sets[1:] for digest in files.fingerprints.hashes}
    return ~sets[0].fingerprints.among(others, length=KEPT_BYTES)


def _finished(
    source: Source, sets: Sequence[SetFiles], parts: Parts, folder: Path, warn: Callable[[str], None]
) -> WrittenParts:
    samples = tuple(files.finish(folder / files.part.name, warn) for files in sets)
    again = cut_samples(source, sets[0], samples[0])
    return WrittenParts(parts, samples, tuple(files.fingerprints for files in sets), cut_samples=again)


def _check_space(folder: Path, needed: int, remedy: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SamplesError(
            f"the samples need {_size(needed)} in '{folder}', but only {_size(free)} are free; "
            f"free some space, choose another folder with --out, or {remedy}"
        )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.2f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.2f} MB"
