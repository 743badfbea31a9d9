"""Samples that are cut into shards, of which only a few are on the disk at a time.

They are read once to hash them, and again and again while variants run. Each time, the bytes of a shard must be those
of the first time.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import SamplesError, UsageError
from quantlab.npy import mapped
from quantlab.samples.converted import converted_blocks
from quantlab.samples.few import few_places
from quantlab.samples.hashes import few_sha256
from quantlab.samples.set_files import OpenTensors, SetFiles, TensorFile
from quantlab.samples.source import Array, Block, Cut, Source, pieces, raw_bytes
from quantlab.types import FewSamples, SampleSet, Shard

__all__ = ["CutSamples", "cut_samples", "cut_tensors", "refuse_other_order"]

_HASHED_ROWS = 256


def refuse_other_order(source: Source, indices: Array) -> None:
    """Refuse samples that are not scored in the order of their source.

    Raises:
        UsageError: With what to do.
    """
    if np.any(np.diff(indices) <= 0):
        raise UsageError(
            f"--keep-samples few reads '{source.text}' from its beginning to its end, and --limit draws samples at "
            f"random; leave one of them out"
        )


@dataclass(slots=True)
class _ShardFiles:
    """Writes samples that come in order into one folder after the other, one for each shard."""

    folder: Path
    samples: SampleSet
    """All samples; the set of a shard is as this one."""
    shards: Sequence[tuple[int, Shard]]
    """Number and range of each shard that comes."""
    _done: int = 0
    _filled: int = 0
    _files: dict[str, TensorFile] = field(default_factory=dict)

    def add(self, block: Block) -> Iterator[tuple[int, SampleSet, str]]:
        """Write the next samples; yields the shards that are complete: number, set, and hash of the bytes.

        The hash is that of one input behind the other, as tasks compare it.

        Raises:
            SamplesError: If they cannot be written.
        """
        rows, at = len(next(iter(block.values()))), 0
        while at < rows:
            number, shard = self.shards[self._done]
            taken = min(rows - at, shard.count - self._filled)
            own = replace(self.samples, folder=self.folder / str(number), n=shard.count, few=None)
            try:
                sha256 = self._write({name: values[at : at + taken] for name, values in block.items()}, own)
            except OSError as error:
                raise SamplesError(
                    f"samples of '{own.source}' cannot be written to '{self.folder}' ({error.strerror}); make room "
                    f"there, or choose another --out"
                ) from error
            at += taken
            if sha256:
                yield number, own, sha256

    def _write(self, block: Block, own: SampleSet) -> str:
        """Write samples of one shard; the hash of its bytes, or nothing as long as it is not complete."""
        if not self._files:
            own.folder.mkdir()
            self._files = {spec.name: TensorFile(own.input_file(spec.name), spec, own.n) for spec in own.inputs}
        stop = self._filled + len(next(iter(block.values())))
        for name, file in self._files.items():
            file.add(block[name], np.arange(self._filled, stop))
        self._filled = stop
        if stop < own.n:
            return ""
        hashes = [file.sha256() for file in self._files.values()]
        for file in self._files.values():
            file.close()
        self._files = {}
        self._done, self._filled = self._done + 1, 0
        return hashes[0] if len(hashes) == 1 else _joint_sha256(own)

    @property
    def left(self) -> int:
        """Number of shards that are not complete."""
        return len(self.shards) - self._done

    def close(self) -> None:
        """Remove a shard that is not complete, if there is one."""
        for file in self._files.values():
            file.close()
        if self._files:
            shutil.rmtree(self.folder / str(self.shards[self._done][0]), ignore_errors=True)
        self._files = {}


def _joint_sha256(samples: SampleSet) -> str:
    """SHA-256 of several inputs, one behind the other."""
    digest = hashlib.sha256()
    for spec in samples.inputs:
        values = mapped(samples.input_file(spec.name))
        for places in pieces(np.arange(samples.n), _HASHED_ROWS):
            digest.update(raw_bytes(np.asarray(values[places])))
    return digest.hexdigest()


class _CutTensors:
    """Hashes the inputs of a set, whole and by shards, and keeps few samples."""

    def __init__(self, samples: SampleSet, labels: Array | None, shards: Sequence[Shard]) -> None:
        self._samples, self.shards = samples, tuple(shards)
        self._places = few_places(samples.n, labels)
        samples.few_folder.mkdir()
        np.save(samples.few_places_file, self._places.astype("<i8"))
        kept = replace(samples, folder=samples.few_folder)
        self._few = {
            spec.name: TensorFile(kept.input_file(spec.name), spec, len(self._places)) for spec in samples.inputs
        }
        self._digests = {spec.name: hashlib.sha256() for spec in samples.inputs}
        self._next = 0
        passing = samples.folder / "shards"
        passing.mkdir()
        self._files = _ShardFiles(passing, samples, [*enumerate(shards)])
        self.sha256: list[str] = []
        """Hash of each shard so far."""

    def add(self, block: Block, places: Array) -> None:
        """See `Tensors`; samples come in order."""
        stop = self._next + len(places)
        for name, values in block.items():
            self._digests[name].update(raw_bytes(values))
        first, last = np.searchsorted(self._places, [self._next, stop])
        kept = self._places[first:last] - self._next
        for name, file in self._few.items():
            file.add(block[name][kept], np.arange(first, last))
        for _, own, sha256 in self._files.add(block):
            self.sha256.append(sha256)
            shutil.rmtree(own.folder)
        self._next = stop

    def identity(self) -> list[object]:
        """See `Tensors`."""
        self._files.folder.rmdir()
        return [
            [spec.name, spec.dtype, [self._samples.n, *spec.shape[1:]], self._digests[spec.name].hexdigest()]
            for spec in self._samples.inputs
        ]

    def close(self) -> None:
        """See `Tensors`."""
        self._files.close()
        for file in self._few.values():
            file.close()

    @property
    def few(self) -> FewSamples:
        """See `Tensors`."""
        tensors = [file.identity() for file in self._few.values()]
        return FewSamples(len(self._places), few_sha256(tensors, self._places))


@dataclass(frozen=True, slots=True)
class CutSamples:
    """Scored samples that are read again, shard by shard, each time that they are needed."""

    source: Source
    indices: NDArray[np.int64]
    """(n,): their positions in the source, ascending."""
    samples: SampleSet
    shards: tuple[Shard, ...]
    sha256: tuple[str, ...]
    """Hash of each shard when it was read first."""

    def read(self, wanted: Sequence[int], folder: Path) -> Iterator[tuple[int, SampleSet]]:
        """Read some shards, and write each into a folder of its own, which the caller removes.

        Args:
            wanted: Numbers of shards, ascending.
            folder: Where the folders of shards are made.

        Yields:
            Number and set of each shard, as soon as it is complete.

        Raises:
            SamplesError: If the source gives other samples than the first time, or there is no room.
        """
        indices = np.concatenate([self.indices[self.shards[one].start : self.shards[one].stop] for one in wanted])
        files = _ShardFiles(folder, self.samples, [(one, self.shards[one]) for one in wanted])
        try:
            with closing(converted_blocks(self.source, indices, self.samples.inputs)) as blocks:
                for block, _ in blocks:
                    for number, own, sha256 in files.add(block):
                        if sha256 != self.sha256[number]:
                            shutil.rmtree(own.folder)
                            raise self._other_samples(number)
                        yield number, own
            if files.left:
                raise SamplesError(
                    f"'{self.source.text}' gave fewer samples when it was read again; it must give the same each time, "
                    f"so run 'quantlab analyze' again when it does not change any more"
                )
        finally:
            files.close()

    def _other_samples(self, number: int) -> SamplesError:
        shard = self.shards[number]
        return SamplesError(
            f"'{self.source.text}' gave other samples when it was read again: those of shard {number + 1} of "
            f"{len(self.shards)} ({shard.start} to {shard.stop - 1}); it must give the same each time, so run "
            f"'quantlab analyze' again when it does not change any more, or without --keep-samples few"
        )


def cut_tensors(cut: Cut) -> OpenTensors:
    """What hashes the inputs of a set by shards, and keeps few samples."""
    return lambda samples, labels: _CutTensors(samples, labels, cut.shards_of(samples.n))


def cut_samples(source: Source, files: SetFiles, samples: SampleSet) -> CutSamples | None:
    """A set that was written, to be read again; None if it was not cut."""
    tensors = files.tensors
    if not isinstance(tensors, _CutTensors):
        return None
    return CutSamples(source, files.part.indices, samples, tensors.shards, tuple(tensors.sha256))
