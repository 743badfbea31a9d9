"""Groups of samples that are not independent: copies of a photo, images of a patient, frames of a video.

A group key is the name of an array of a `.npz` file, `meta.csv:COLUMN`, a regular expression with one group for the
names of files, or `duplicates`. A group is wholly scored, or wholly used for calibration or for a search.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import SamplesError, UsageError
from quantlab.names import counted, excerpt, nearest_of_many
from quantlab.npy import mapped
from quantlab.samples.arrays import array_of_npz, names_of_npz
from quantlab.samples.columns import names_a_column, read_column, split_column
from quantlab.samples.converted import converted_blocks
from quantlab.samples.duplicates import Copies, Fingerprints, PlacedFingerprints
from quantlab.samples.source import Array, SampleOptions, Source, raw_bytes
from quantlab.samples.strata import in_blocks, with_classes
from quantlab.samples.subset import CALIBRATION, SCORED, SEARCH, SEARCH_SAMPLES, Part, Parts
from quantlab.types import FileState, SampleSet, TensorSpec

__all__ = [
    "DUPLICATES",
    "FEW_GROUPS",
    "group_codes",
    "group_warnings",
    "groups_sha256",
    "intact_groups",
    "read_groups",
    "split_groups",
    "with_groups",
]

DUPLICATES = "duplicates"
"""The group key for samples that were found to be equal or nearly equal."""
FEW_GROUPS = 5
"""Number of groups below which a warning says that they decide next to nothing."""

_ACCEPTED = "the name of an array in the .npz file, FILE.csv:COLUMN, 'duplicates', or for files a regular expression"
_Codes = NDArray[np.int64]


def group_codes(
    key: str,
    source: Source,
    *,
    inputs: Sequence[TensorSpec],
    options: SampleOptions = SampleOptions(),  # noqa: B008 (it is frozen)
    copy: Path | None = None,
) -> _Codes:
    """The group of each sample of a source: (n,), from 0 in the order of the keys' values.

    Args:
        key: See the module.
        source: The samples; they are read once if the key is `duplicates`.
        inputs: The inputs of the model as samples are written.
        options: Among how many images nearly equal ones are looked for, and what is told if there are more.
        copy: A copy of the file, if the source is one at an address.

    Raises:
        UsageError: If the key names nothing, or all samples have the same value. With `duplicates`, equal samples are
            an error only if all are.
        SamplesError: If the values do not match the samples.
    """
    if key == DUPLICATES:
        values = _of_copies(source, inputs, options)
    else:
        values = _values(key, source, Path(source.text) if copy is None else copy)
    codes: _Codes = np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)
    if int(codes.max()) == 0:
        raise UsageError(
            f"--group {excerpt(key)} gives all {counted(source.n, 'sample')} of '{source.text}' one group, and nothing "
            f"can be said from one group; give a key with several values, or leave --group out"
        )
    return codes


def _values(key: str, source: Source, file: Path) -> Array:
    if names_a_column(key):
        path, column = split_column(key, option="--group")
        texts = read_column(path, column, n=source.n, files=source.files, samples=source.text)
        return np.array(texts, dtype=np.str_)
    if source.files:
        return _of_files(key, source)
    return _of_array(key, source, file)


def _of_copies(source: Source, inputs: Sequence[TensorSpec], options: SampleOptions) -> Array:
    placed, compared = PlacedFingerprints(source.n), source.n <= options.most_images
    for block, places in converted_blocks(source, np.arange(source.n, dtype=np.int64), inputs):
        placed.put(places, Fingerprints.of(block, inputs, compared=compared))
    found = Copies.find(placed.whole)
    if not found.searched:
        options.warn(
            f"--group {DUPLICATES} groups only images of '{source.text}' that are equal byte by byte, because there "
            f"are {source.n:,}, and nearly equal ones are looked for among at most {options.most_images:,}; name "
            f"groups with another key if there are such"
        )
    return found.codes


def _of_files(key: str, source: Source) -> Array:
    try:
        pattern = re.compile(key)
    except re.error as error:
        raise UsageError(f"--group '{excerpt(key)}' is no regular expression ({error}); {_EXAMPLE}") from error
    if pattern.groups != 1:
        raise UsageError(f"--group '{excerpt(key)}' has {pattern.groups} groups in parentheses; {_EXAMPLE}")
    found = [pattern.search(name) for name in source.files]
    for name, match in zip(source.files, found, strict=True):
        if match is None or match[1] is None:
            raise SamplesError(
                f"--group '{excerpt(key)}' does not match the file '{name}' of '{source.text}'; {_EXAMPLE}"
            )
    return np.array([match[1] for match in found if match is not None], dtype=np.str_)


_EXAMPLE = r"give a regular expression with one group for the names of the files, for example 'patient(\d+)_'"


def _of_array(key: str, source: Source, path: Path) -> Array:
    if path.suffix != ".npz" or not path.is_file():
        raise UsageError(f"--group '{excerpt(key)}' names nothing in '{source.text}'; give {_ACCEPTED}")
    known = names_of_npz(path, text=source.text)
    if key not in known:
        raise UsageError(f"'{source.text}' has no array '{excerpt(key)}' for --group; {nearest_of_many(key, known)}")
    values = array_of_npz(path, key, text=source.text)
    if values.shape not in ((source.n,), (source.n, 1)) or values.dtype.kind not in "biuSUf":
        raise SamplesError(
            f"the array '{key}' of '{source.text}' has the shape {values.shape} and the data type {values.dtype}; "
            f"--group needs one number or text for each of {counted(source.n, 'sample')}"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise SamplesError(f"the array '{key}' of '{source.text}' holds NaN or infinity; give every sample a group")
    return values.reshape(-1)


def group_warnings(key: str, codes: Array, duplicates: int) -> list[str]:
    """What must be known of the groups of scored samples.

    Args:
        key: The group key.
        codes: (n,): the group of each scored sample.
        duplicates: Number of scored samples that are duplicates of a sample of another group.
    """
    groups, warnings = len(np.unique(codes)), []
    if groups < FEW_GROUPS:
        warnings.append(
            f"the {len(codes):,} scored samples are in {counted(groups, 'group')} ({key}); the bounds are those of so "
            f"few groups and decide next to nothing: give samples of at least {FEW_GROUPS}, and of several hundred for "
            f"small margins"
        )
    elif groups == len(codes) and key != DUPLICATES:
        warnings.append(
            f"--group {key} puts each of the {groups:,} scored samples into a group of its own, so it changes no bound"
        )
    if duplicates and key != DUPLICATES:
        warnings.append(
            f"{counted(duplicates, 'scored sample')} of one group (--group {key}) equal or nearly equal samples of "
            f"another one; see 'quantlab show duplicates'"
        )
    return warnings


def groups_sha256(codes: Array) -> str:
    """SHA-256 of the group of each sample."""
    return hashlib.sha256(raw_bytes(codes.astype("<i8"))).hexdigest()


def intact_groups(samples: SampleSet) -> FileState:
    """Compare the groups of samples with their hash; samples without groups are `intact`."""
    if not samples.groups_sha256:
        return "intact"
    if not samples.groups_file.is_file():
        return "missing"
    try:
        codes = np.asarray(mapped(samples.groups_file))
    except (OSError, ValueError):
        return "damaged"
    return "intact" if codes.shape == (samples.n,) and groups_sha256(codes) == samples.groups_sha256 else "damaged"


def read_groups(samples: SampleSet) -> _Codes | None:
    """The group of each sample of a written set, int64 (n,); None without a group key.

    Raises:
        SamplesError: If the file is missing, or is not what was written.
    """
    if not samples.groups_sha256:
        return None
    if (state := intact_groups(samples)) != "intact":
        raise SamplesError(f"the groups of the samples in '{samples.folder}' are {state}; run 'quantlab analyze' again")
    return np.array(mapped(samples.groups_file), dtype=np.int64)


def with_groups(samples: SampleSet, key: str | None, codes: _Codes | None, indices: Array) -> SampleSet:
    """Write the groups of a written set beside its samples, or remove those of an earlier key.

    Args:
        samples: The set.
        key: The group key; None for independent samples.
        codes: (n of the source,): the group of each sample of the source.
        indices: The positions of the set's samples in the source.
    """
    if key is None or codes is None:
        samples.groups_file.unlink(missing_ok=True)
        return samples
    mine = np.unique(codes[indices], return_inverse=True)[1].reshape(-1).astype("<i8")
    with tempfile.NamedTemporaryFile(dir=samples.folder, delete=False) as file:
        np.save(file, mine)
    Path(file.name).replace(samples.groups_file)
    return replace(samples, group_key=key, groups=int(mine.max()) + 1, groups_sha256=groups_sha256(mine))


def split_groups(source: Source, codes: _Codes, *, options: SampleOptions, calibrate: int) -> Parts:
    """Like `split`, with each group wholly in one part.

    Groups for calibration and search are drawn in random order, in proportion to the classes of their most frequent
    labels, as long as they fit into the number of samples that a part shall have; a part without any gets the smallest
    group. The scored part is the beginning of one random order of the other groups, stored in blocks (see `in_blocks`),
    so that a higher limit adds groups behind the others, unless a group is larger than the lower limit.

    Raises:
        UsageError: If no group fits into the limit.
        SamplesError: If there are fewer groups than parts.
    """
    wanted = 1 + bool(calibrate) + options.search
    if int(codes.max()) + 1 < wanted:
        raise SamplesError(
            f"'{source.text}' has {counted(int(codes.max()) + 1, 'group')} ({options.group}), and {wanted} parts are "
            f"drawn from it, each with whole groups; give more groups"
        )
    words = f"{'stratified' if with_classes(source.labels) else 'random'} by group, seed {options.seed}"
    rest, parts = np.arange(source.n, dtype=np.int64), dict[str, Part]()
    counts = {"calibration": min(calibrate, max(1, source.n // 4)) if calibrate else 0, "search": 0}
    for name, stream in (("calibration", CALIBRATION), ("search", SEARCH)):
        if name == "search" and options.search:
            counts[name] = max(1, min(len(rest) // 3, SEARCH_SAMPLES))
        if counts[name]:
            later = wanted - 1 - len(parts)
            chosen = _drawn(source, codes, rest, counts[name], (options.seed, stream, later))
            parts[name] = Part(name, chosen, words)
            rest = np.setdiff1d(rest, chosen, assume_unique=True)
    scored = rest
    if options.limit is not None:  # even one that is never reached, so that a study grows until it has all
        smallest = int(np.bincount(codes[rest])[np.unique(codes[rest])].min())
        if smallest > options.limit:
            raise UsageError(
                f"the smallest group ({options.group}) has {counted(smallest, 'sample')}, and groups are scored as a "
                f"whole; give a --limit of at least that"
            )
        scored = _beginning(codes, rest, options.limit, options.seed)
    drawn = "all" if len(scored) == source.n else f"random by group, seed {options.seed}"
    return Parts(Part("data", scored, drawn), parts.get("calibration"), parts.get("search"))


def _beginning(codes: _Codes, rest: Array, limit: int, seed: int) -> Array:
    """Positions of the first groups in a random order that have at most `limit` samples; at least one.

    They are stored in blocks of this order, see `in_blocks`.
    """
    groups, places = np.unique(codes[rest], return_inverse=True)
    sizes = np.bincount(places)
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(SCORED,))))
    order = random.permutation(len(groups))
    order = order[sizes[order] <= limit]
    order = order[np.cumsum(sizes[order]) <= limit]
    turn = np.full(len(groups), len(groups))
    turn[order] = np.arange(len(order))
    by_group = np.argsort(turn[places], kind="stable")
    return in_blocks(rest[by_group[: int(sizes[order].sum())]])


def _drawn(source: Source, codes: _Codes, rest: Array, count: int, drawing: tuple[int, int, int]) -> Array:
    """Ascending positions of whole groups among `rest`, at most `count` samples unless every group is larger.

    Args:
        source: With the labels.
        codes: (n of the source,): groups.
        rest: Positions to draw from.
        count: Number of samples.
        drawing: Seed, stream of random numbers, and the number of groups that must be left.
    """
    seed, stream, left = drawing
    groups, places = np.unique(codes[rest], return_inverse=True)
    sizes = np.bincount(places)
    labels = source.labels[rest] if source.labels is not None and with_classes(source.labels) else None
    strata = _strata(places, labels, sizes)
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream,))))
    order = random.permutation(len(groups))
    shares = count * np.bincount(strata, weights=sizes) / sizes.sum()
    chosen: list[int] = []
    most = len(groups) - left
    for group in _in_turn(order, strata, sizes, shares, count):
        if len(chosen) < most:
            chosen.append(group)
    if not chosen:
        chosen.append(int(order[np.argmin(sizes[order])]))
    return np.asarray(rest[np.isin(places, chosen)])


def _in_turn(
    order: NDArray[np.int64], strata: _Codes, sizes: NDArray[np.int64], shares: NDArray[np.float64], count: int
) -> Iterator[int]:
    """Groups that fit into the share of their class, then those of classes without any, then others that fit."""
    held, total = np.zeros(len(shares)), 0
    passed: list[int] = []
    for group in order.tolist():
        if held[strata[group]] + sizes[group] <= shares[strata[group]]:
            held[strata[group]] += sizes[group]
            total += int(sizes[group])
            yield group
        else:
            passed.append(group)
    for only_new in (True, False):
        for group in list(passed):
            fits = total + sizes[group] <= count and not (only_new and held[strata[group]])
            if fits:
                held[strata[group]] += sizes[group]
                total += int(sizes[group])
                passed.remove(group)
                yield group


def _strata(places: NDArray[np.int64], labels: Array | None, sizes: NDArray[np.int64]) -> _Codes:
    """The class of each group: its most frequent label, the lowest of several; 0 for all without classes."""
    if labels is None:
        return np.zeros(len(sizes), np.int64)
    classes, numbers = np.unique(labels, return_inverse=True)
    pairs, counts = np.unique(places * len(classes) + numbers, return_counts=True)
    order = np.lexsort((pairs, -counts))
    group, number = np.divmod(pairs[order], len(classes))
    strata = np.zeros(len(sizes), np.int64)
    found, first = np.unique(group, return_index=True)
    strata[found] = number[first]
    return np.unique(strata, return_inverse=True)[1].reshape(-1).astype(np.int64)
