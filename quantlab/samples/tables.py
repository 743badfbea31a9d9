"""Files of records as a source: found and counted in one pass, and read in a second one, which is checked by hash."""

import gzip
import os
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.names import nearest, shape_words
from quantlab.preprocessing import described, opened_decoder, pipeline_for, refuse_absent_decoder, sample_of
from quantlab.samples.cells import Columns, Image, columns_of, value_of
from quantlab.samples.check import model_dtype
from quantlab.samples.description import Description
from quantlab.samples.labels import to_labels
from quantlab.samples.places import shards_at
from quantlab.samples.records import RECORD_FORMATS, RecordFormat, refuse_absent
from quantlab.samples.shards import Shard
from quantlab.samples.source import Array, Block, HeldTensor, Source, block_rows
from quantlab.samples.stored import made_of, recipe
from quantlab.samples.truth_cells import are_numbers, joined_labels, label_of, packed_labels, refuse_labels
from quantlab.types import Pipeline, Preprocessing, TensorSpec

__all__ = ["format_of", "open_records"]

_GZIP = ".gz"
_ARRAYS = {".npz", ".npy"}
_NUMBERED = re.compile(r"-\d+-of-\d+$")
"""How the shards of a file are numbered by custom."""


def format_of(name: str) -> RecordFormat | None:
    """The format of a file by its suffix; None if there is none.

    >>> format_of("a/b.csv.gz").name, format_of("x.tfrecord-00007-of-00100").name, format_of("x.npz")
    ('csv', 'tfrecord', None)
    """
    plain = _NUMBERED.sub("", name.lower().removesuffix(_GZIP))
    return next((one for one in RECORD_FORMATS.values() if plain.endswith(one.suffixes)), None)


def open_records(
    description: Description, *, text: str, inputs: Sequence[TensorSpec], preprocessing: Preprocessing
) -> Source:
    """Open files of records: every file is read once, to count its samples, to find their places and for their labels.

    Memory holds the labels, and for each sample its place: 8 bytes. `Source.read` reads the parts of the files in which
    the chosen samples are, and compares them with what was read first.

    Args:
        description: The files and what their values are.
        text: The source as the user wrote it.
        inputs: The inputs of the model.
        preprocessing: How images are turned into samples; not used if there are none.

    Raises:
        SamplesError: If a file is missing, malformed, empty, equal to another one, or does not match the model or the
            other files; from `read`, also if a file changed.
        UsageError: If a library is missing, or the preprocessing contradicts itself.
    """
    shards = shards_at(description.files, description.folder)
    records = _Records(description, text, tuple(inputs), preprocessing)
    found: list[_Found] = []
    seen: dict[str, Shard] = {}
    for shard in shards:
        found.append(records.scan(shard, found[0] if found else None))
        sha256 = shard.sha256()
        other = seen.setdefault(sha256, shard)
        if other is not shard:
            raise SamplesError(
                f"'{shard.name}' and '{other.name}' hold the same bytes, so that every sample would count twice; leave "
                f"one of them out ({sha256[:12]})"
            )
    return _source(records, found, list(seen))


@dataclass(frozen=True, slots=True)
class _Found:
    """What one pass found in a file."""

    shard: Shard
    format: RecordFormat
    columns: Columns
    places: Array
    """(n,) int64: the place of each record."""
    labels: Array
    """(n, …): of each record, see `packed_labels`; empty without labels."""
    tensors: tuple[HeldTensor, ...]
    """Those of the first record, n first."""
    pipelines: dict[str, Pipeline]
    """Input → how its images become samples; empty without images."""
    numbers: bool | None = None
    """Whether each label is one number, see `are_numbers`."""
    paths: bool = False
    """Whether images are files of their own, which the records name."""


@dataclass(frozen=True, slots=True)
class _Records:
    """What is read, and for which model."""

    description: Description
    text: str
    inputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing

    def scan(self, shard: Shard, first: _Found | None) -> _Found:
        """One pass over a file.

        Args:
            shard: The file.
            first: What was found in the first file, with which it must agree.
        """
        format_ = self._format(shard)
        with reading(f"'{shard.name}'", SamplesError, format_.remedy), _opened(shard) as stream:
            columns = first.columns if first else self._columns(shard, stream, format_)
            places = array("q")
            labels: list[Any] = []
            for place, record in format_.scan(stream, (*(columns.labels or columns.names[:1]), *columns.customary)):
                where = f"record {len(places)} (counted from 0) of '{shard.name}'"
                if columns.labels:
                    labels.append(label_of(record, columns.labels, self.description.classes, where))
                else:
                    refuse_labels(record, columns.customary, where)
                places.append(place)
            if not places:
                raise _empty(shard)
            packed = packed_labels(labels)
            numbers = are_numbers(packed, record, columns.labels)
            found = _Found(shard, format_, columns, np.array(places, dtype=np.int64), packed, (), {}, numbers)
            return self._checked(found, stream, first)

    def _format(self, shard: Shard) -> RecordFormat:
        asked = self.description.format
        if asked is not None and asked not in RECORD_FORMATS:
            raise SamplesError(f"'{self.text}' names the format '{asked}'; {nearest(asked, RECORD_FORMATS)}")
        format_ = format_of(shard.name) if asked is None else RECORD_FORMATS[asked]
        if format_ is None and PurePath(shard.name).suffix.lower() in _ARRAYS:
            raise SamplesError(
                f"'{shard.name}' is a file of arrays, and '{self.text}' names files of records; name the file itself "
                f"with --data"
            )
        if format_ is None:
            known = ", ".join(suffix for one in RECORD_FORMATS.values() for suffix in one.suffixes)
            raise SamplesError(
                f"'{shard.name}' has no suffix of a kind of samples ({known}); name its kind as format in a file "
                f"data.toml"
            )
        refuse_absent(format_, shard.name)
        return format_

    def _columns(self, shard: Shard, stream: BinaryIO, format_: RecordFormat) -> Columns:
        """The columns by the first record, which is read with all its values."""
        first = next(iter(format_.scan(stream, ())), None)
        if first is None:
            raise _empty(shard)
        return columns_of(first[1], self.inputs, self.description, format_, self.text)

    def _checked(self, found: _Found, stream: BinaryIO, first: _Found | None) -> _Found:
        """The file with the tensors of its first record, which must be those of the first file."""
        values = next(self.values(found, stream, found.places[:1]))
        tensors, pipelines = list[HeldTensor](), dict[str, Pipeline]()
        for spec in self.inputs:
            value = values[spec.name]
            if isinstance(value, Image):
                pipelines[spec.name] = self.pipeline(spec, found.columns)
                tensors.append(_of_images(spec, pipelines[spec.name], len(found.places)))
            else:
                tensors.append(HeldTensor(spec.name, (len(found.places), *value.shape), value.dtype))
        if first is not None:
            _check_like(found.shard, (tensors, pipelines), first)
            _check_labels_like(found, first)
        paths = any(isinstance(value, Path) for value in values.values())
        return replace(found, tensors=tuple(tensors), pipelines=pipelines, paths=paths)

    def pipeline(self, spec: TensorSpec, columns: Columns) -> Pipeline:
        """How images become samples of an input."""
        shape = columns.features[spec.name].shape
        if shape is not None:
            raise SamplesError(
                f"'{self.text}' gives a shape for images, whose size follows from the preprocessing; leave it out, or "
                f"give the dtype of the bytes, too"
            )
        pipeline = pipeline_for(self.preprocessing, spec)
        refuse_absent_decoder(pipeline)
        return pipeline

    def values(self, found: _Found, stream: BinaryIO, places: Array) -> Iterator[dict[str, Array | Image]]:
        """The inputs of the records at some places, images not decoded."""
        columns, shard = found.columns, found.shard
        names = [name for one in columns.features.values() for name in one.columns]
        numbers = np.searchsorted(found.places, places)
        folder = shard.path.parent if shard.path is not None else None
        for number, record in zip(
            numbers, found.format.pick(stream, [int(place) for place in places], names), strict=True
        ):
            where = f"record {number} (counted from 0) of '{shard.name}'"
            yield {
                spec.name: value_of(record, columns.features[spec.name], spec, folder, where) for spec in self.inputs
            }


def _check_like(shard: Shard, held: tuple[Sequence[HeldTensor], Mapping[str, Pipeline]], first: _Found) -> None:
    """Refuse a file whose samples are unlike those of the first one, by the first sample of each."""
    for mine, theirs in zip(held[0], first.tensors, strict=True):
        of_images = mine.name in held[1]
        if of_images != (mine.name in first.pipelines):
            one, other = ("images", "numbers") if of_images else ("numbers", "images")
            raise SamplesError(
                f"'{shard.name}' holds {one} for '{mine.name}', and '{first.shard.name}' {other}; give only one of them"
            )
        if (mine.shape[1:], mine.dtype) != (theirs.shape[1:], theirs.dtype):
            raise SamplesError(
                f"'{shard.name}' holds '{mine.name}' as {_words(mine)} per sample, and '{first.shard.name}' as "
                f"{_words(theirs)}; give all samples the same shape and type"
            )


def _check_labels_like(found: _Found, first: _Found) -> None:
    """Refuse labels that are sequences beside others that are numbers: all would be taken for sequences."""
    if None in {found.numbers, first.numbers} or found.numbers == first.numbers:
        return
    one, other = ("one number", "several") if found.numbers else ("several numbers", "one")
    raise SamplesError(
        f"'{found.shard.name}' holds {one} as the label of a sample, and '{first.shard.name}' {other}; give all labels "
        f"the same shape"
    )


def _empty(shard: Shard) -> SamplesError:
    return SamplesError(f"'{shard.name}' holds no samples; write it again, or leave it out")


def _words(held: HeldTensor) -> str:
    return f"{held.dtype.name} of shape {shape_words(held.shape[1:])}"


def _of_images(spec: TensorSpec, pipeline: Pipeline, n: int) -> HeldTensor:
    dtype = model_dtype(spec)
    return HeldTensor(spec.name, (n, *pipeline.shape), dtype if dtype.kind == "f" else np.dtype(np.int64))


def _opened(shard: Shard) -> BinaryIO:
    """The bytes of a file, decompressed if its name ends so; a place is one of the decompressed bytes."""
    stream = shard.open()
    if not shard.name.lower().endswith(_GZIP):
        return stream
    return cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb"))


def _source(records: _Records, found: Sequence[_Found], hashes: Sequence[str]) -> Source:
    """All files together.

    Args:
        records: What is read.
        found: What was found in each file.
        hashes: The hash of each file.
    """
    first = found[0]
    ends = np.cumsum([len(one.places) for one in found])
    n = int(ends[-1])
    tensors = tuple(HeldTensor(held.name, (n, *held.shape[1:]), held.dtype) for held in first.tensors)
    labels = None
    if first.columns.labels:
        labels = to_labels(joined_labels([one.labels for one in found]), n=n, text=records.text)

    def read(indices: Array) -> Iterator[Block]:
        return _read(records, found, ends, indices, tensors)

    return Source(
        text=records.text,
        n=n,
        tensors=tensors,
        labels=labels,
        read=read,
        preprocessing="; ".join(
            described(pipeline, records.preprocessing) for pipeline in dict.fromkeys(first.pipelines.values())
        ),
        classes=records.description.classes if labels is not None else (),
        made_of=_made_of(records, found, ends, hashes),
    )


def _made_of(
    records: _Records, found: Sequence[_Found], ends: Array, hashes: Sequence[str]
) -> Callable[[Array], NDArray[np.uint64]] | None:
    """See `Source.made_of`: a sample is its place in a file of this hash. None if images are files of their own."""
    pipelines, features = found[0].pipelines, found[0].columns.features
    how = recipe(pipelines.values(), records.inputs, sorted(features.items()), sorted(pipelines))
    if how is None or any(one.paths for one in found):
        return None
    begins = [how + one.format.name.encode() + sha256.encode() for one, sha256 in zip(found, hashes, strict=True)]

    def function(indices: Array) -> NDArray[np.uint64]:
        files = np.searchsorted(ends, indices, side="right")
        digests = np.empty((len(indices), 2), np.uint64)
        for row, (index, file) in enumerate(zip(indices.tolist(), files.tolist(), strict=True)):
            place = found[file].places[index - int(ends[file])]  # from the end of the file, below 0
            digests[row] = made_of(begins[file], int(place).to_bytes(8, "little"))
        return digests

    return function


def _read(
    records: _Records, found: Sequence[_Found], ends: Array, indices: Array, tensors: Sequence[HeldTensor]
) -> Iterator[Block]:
    """The samples at ascending positions, in blocks, file by file."""
    rows = block_rows(tensors)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count()))
        decoders = {
            name: stack.enter_context(opened_decoder(pipeline)) for name, pipeline in found[0].pipelines.items()
        }
        for one, end in zip(found, ends, strict=True):
            begin = int(end) - len(one.places)
            mine = indices[np.searchsorted(indices, begin) : np.searchsorted(indices, end)] - begin
            if not len(mine):
                continue
            with reading(f"'{one.shard.name}'", SamplesError, one.format.remedy), _opened(one.shard) as stream:
                values = records.values(one, stream, one.places[mine])
                for start in range(0, len(mine), rows):
                    block = [next(values) for _ in range(min(rows, len(mine) - start))]
                    yield {held.name: _stacked(held, block, one, decoders, pool) for held in tensors}


def _stacked(
    held: HeldTensor, block: Sequence[dict[str, Array | Image]], one: _Found, decoders: dict[str, Any], pool: Executor
) -> Array:
    values = [sample[held.name] for sample in block]
    if held.name in decoders:
        pipeline, decode = one.pipelines[held.name], decoders[held.name]
        images = [value for value in values if isinstance(value, Image)]
        if len(images) != len(values):
            raise SamplesError(f"'{one.shard.name}' holds images and numbers for '{held.name}'; give images only")
        return np.stack(list(pool.map(lambda image: sample_of(pipeline, image, decode), images)))
    for value in values:
        if isinstance(value, Image):
            raise SamplesError(f"'{one.shard.name}' holds images and numbers for '{held.name}'; give numbers only")
        if (value.shape, value.dtype) != (held.shape[1:], held.dtype):
            raise SamplesError(
                f"'{one.shard.name}' holds '{held.name}' as {value.dtype.name} of shape {shape_words(value.shape)}, "
                f"and the first sample is {_words(held)}; give all samples the same shape and type"
            )
    return np.stack(cast("list[Array]", values))
