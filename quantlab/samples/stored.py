"""Samples that a study has written before: they are copied, and not read and decoded again.

A sample is found by the hash of what it is made of, such as the file of records, its place in there and the
preprocessing. The bytes of a set are compared with their hash before one of them is copied.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.npy import mapped
from quantlab.preprocessing import DECODERS
from quantlab.samples.hashes import intact_samples, set_sha256
from quantlab.samples.source import Array, Block, Source, pieces, raw_bytes
from quantlab.types import Pipeline, SampleSet, TensorSpec

__all__ = ["MADE_OF", "TENSORS", "Known", "find_known", "made_of", "recipe", "record_made_of"]

MADE_OF = "made-of.npy"
"""File of a sample set with the hash of what each sample is made of, uint64 (n, 2); only if that is known."""
TENSORS = "made-of.json"
"""File beside it, with name, data type, shape and hash of each tensor of the set, and the hash of the other file."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Samples of a source, by their positions, that are in a set on disk."""

    samples: SampleSet
    rows: NDArray[np.int64]
    """Ascending positions in the set."""
    indices: NDArray[np.int64]
    """(rows,): their positions in the source."""

    def blocks(self, rows: int) -> Iterator[tuple[Block, Array]]:
        """The samples in blocks, with their positions in the source."""
        for piece in pieces(np.arange(len(self.rows)), rows):
            # Mapped again for each block: pages that were read stay in memory as long as the mapping exists.
            files = {spec.name: mapped(self.samples.input_file(spec.name)) for spec in self.samples.inputs}
            yield {name: values[self.rows[piece]] for name, values in files.items()}, self.indices[piece]


def record_made_of(folder: Path, made_of: NDArray[np.uint64], tensors: Sequence[object]) -> None:
    """Write beside the files of a set what its samples are made of.

    Args:
        folder: The folder of the set.
        made_of: (n, 2), in the order of the set.
        tensors: Name, data type, shape and SHA-256 of each tensor.
    """
    np.save(folder / MADE_OF, made_of)
    record = {"tensors": tensors, "made_of": hashlib.sha256(raw_bytes(made_of)).hexdigest()}
    (folder / TENSORS).write_text(json.dumps(record), encoding="utf-8")


def find_known(
    source: Source, indices: NDArray[np.int64], inputs: tuple[TensorSpec, ...], folder: Path
) -> tuple[list[Known], NDArray[np.int64]]:
    """Find samples of a source among the sets below a folder, and the positions of those that must be read.

    Args:
        source: The source.
        indices: Ascending positions of the samples that are wanted.
        inputs: The inputs as they are written.
        folder: With a folder for each part, and below it one for each set.
    """
    records = sorted(folder.glob(f"*/*/{TENSORS}"))
    if source.made_of is None or not records:
        return [], indices
    wanted, left, known = source.made_of(indices), np.ones(len(indices), np.bool_), list[Known]()
    for record in records:
        stored = _set_of(record, inputs)
        if stored is None:
            continue
        samples, sha256 = stored
        rows = _rows(samples, wanted, sha256)
        found = np.flatnonzero(left & (rows >= 0))
        if len(found) and intact_samples(samples) == "intact":
            found = found[np.argsort(rows[found])]
            known.append(Known(samples, rows[found], indices[found]))
            left[found] = False
    return known, indices[left]


def _set_of(record: Path, inputs: tuple[TensorSpec, ...]) -> tuple[SampleSet, str] | None:
    """A set without its labels, by its record, and the hash of what its samples are made of.

    None if it has other tensors, or the record cannot be read.
    """
    try:
        with reading(record, SamplesError, "write the samples again"):
            told = json.loads(record.read_text(encoding="utf-8"))
            tensors, sha256 = told["tensors"], str(told["made_of"])
            held = [(name, dtype, tuple(shape[1:])) for name, dtype, shape, _ in tensors]
            if held != [(spec.name, spec.dtype, spec.shape[1:]) for spec in inputs]:
                return None
            samples = SampleSet(
                folder=record.parent,
                inputs=inputs,
                n=int(tensors[0][2][0]),
                labelled=False,
                sha256=set_sha256(tensors, None),
                source="",
                available=0,
                drawn="",
            )
            return samples, sha256
    except SamplesError:
        return None


def _rows(samples: SampleSet, wanted: NDArray[np.uint64], sha256: str) -> NDArray[np.int64]:
    """(k,): where in a set each sample is, or −1; of a set whose hashes of samples have not this hash, all −1."""
    rows = np.full(len(wanted), -1, np.int64)
    try:
        with reading(samples.folder / MADE_OF, SamplesError, "write the samples again"):
            held = np.array(mapped(samples.folder / MADE_OF))
    except SamplesError:
        return rows
    if held.dtype != np.uint64 or held.shape != (samples.n, 2) or not samples.n:
        return rows
    if hashlib.sha256(raw_bytes(held)).hexdigest() != sha256:  # of other samples, whose labels would be taken for these
        return rows
    order = np.argsort(held[:, 0])
    nearest = order[np.minimum(np.searchsorted(held[order, 0], wanted[:, 0]), len(held) - 1)]
    equal = (held[nearest] == wanted).all(axis=1)
    rows[equal] = nearest[equal]
    return rows


def made_of(begin: bytes, *contents: bytes) -> NDArray[np.uint64]:
    """Hash of what one sample is made of, (2,)."""
    digest = hashlib.blake2b(begin, digest_size=16)
    for content in contents:
        digest.update(content)
    return np.frombuffer(digest.digest(), "<u8")


def recipe(pipelines: Iterable[Pipeline], *parts: object) -> bytes | None:
    """Hash of how the samples of a source are made, for `made_of`; None if the version of a decoder is unknown.

    Args:
        pipelines: How images become samples.
        parts: All else that samples depend on, besides the bytes that they are made of; with a `repr` that is the same
            in every process.
    """
    try:
        decoders = [(repr(one), version(DECODERS[one.decoder].package)) for one in pipelines]
    except PackageNotFoundError:
        return None
    return hashlib.sha256(repr((version("quantlab"), decoders, parts)).encode()).digest()
