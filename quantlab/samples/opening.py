"""Opens what the user names as samples, and writes them to disk."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import SamplesError, UsageError
from quantlab.names import nearest_of_many
from quantlab.samples.addresses import is_address, refuse_secret
from quantlab.samples.arrays import open_npy, open_npz
from quantlab.samples.attributes import read_attributes, with_attributes
from quantlab.samples.beside import labels_beside
from quantlab.samples.check import check_tensor
from quantlab.samples.cut import CutSamples
from quantlab.samples.dependence import dependence_words, duplicates_of, excluded_words
from quantlab.samples.description import Description, read_description
from quantlab.samples.downloads import downloaded
from quantlab.samples.duplicates import Copies, Fingerprints
from quantlab.samples.groups import group_codes, split_groups, with_groups
from quantlab.samples.images import open_images
from quantlab.samples.labels import to_labels, without_label
from quantlab.samples.leftovers import remove_leftovers
from quantlab.samples.loaders import open_loader
from quantlab.samples.places import is_pattern, local_files
from quantlab.samples.records import RECORD_FORMATS
from quantlab.samples.source import FileLoader, SampleOptions, Source
from quantlab.samples.streams import STREAM, split_stream, stream_length
from quantlab.samples.subset import Part, Parts, split
from quantlab.samples.tables import format_of, open_records
from quantlab.samples.write import KEPT_BYTES, write_parts
from quantlab.types import Duplicates, Preprocessing, SampleSet, TensorSpec

_SUFFIXES = [one.suffixes[0] for one in RECORD_FORMATS.values()]

ACCEPTED = (
    f"a .npz, .npy, {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]} file, several of them by a glob or a data.toml, a "
    f"folder of images, or module:function"
)
"""Accepted kinds of samples, for messages and help texts."""

FILE_LOADERS: Mapping[str, FileLoader] = {".npz": open_npz, ".npy": open_npy}
"""File suffix → function that opens the file."""

DESCRIPTION = ".toml"
"""Suffix of a file that describes samples."""

_LOADER = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class SampleParts:
    """The samples of a study, written to disk."""

    scored: SampleSet
    calibration: SampleSet | None
    search: SampleSet | None = None
    """Samples for the search of `quantlab tune`."""
    duplicates: Duplicates | None = None
    """The scored samples that are equal or nearly equal to others; None if nothing is scored."""
    warnings: tuple[str, ...] = ()
    """What must be known of samples that are not independent, and of samples that are not scored."""
    cut_samples: CutSamples | None = None
    """The scored samples, to be read again; None if all of them are kept."""


def open_samples(
    data: str,
    calibration: str | None,
    *,
    model_inputs: tuple[TensorSpec, ...],
    folder: Path,
    options: SampleOptions,
    calibrate: int = 256,
) -> tuple[SampleSet, SampleSet | None]:
    """The samples to score and the calibration samples; see `open_parts`."""
    parts = open_parts(
        data, calibration, model_inputs=model_inputs, folder=folder, options=options, calibrate=calibrate
    )
    return parts.scored, parts.calibration


def open_parts(
    data: str,
    calibration: str | None,
    *,
    model_inputs: tuple[TensorSpec, ...],
    folder: Path,
    options: SampleOptions,
    calibrate: int = 256,
) -> SampleParts:
    """Read, check and write the samples to score, the calibration samples for static quantization, and others.

    Without `calibration`, `calibrate` samples of `data` are set aside for calibration and never scored (see `split`).
    Calibration samples that are given are all used, and the first `calibrate` of a loader that has no end. The same
    arguments and files give the same samples in the same order, and they are written only once.

    Args:
        data: One of `ACCEPTED`.
        calibration: Calibration samples, one of `ACCEPTED`; None sets samples of `data` aside.
        model_inputs: The inputs of the model.
        folder: Receives `data/<hash>/`, `calibration/<hash>/` and `search/<hash>/`. No other command may use it at the
            same time, as a study is locked: temporary folders of killed ones are removed.
        options: How they are read and selected.
        calibrate: Number of samples to set aside; 0 sets none aside, and then there is no calibration part unless
            `calibration` is given.

    Raises:
        SamplesError: If samples are missing or damaged, or do not match the model.
        UsageError: If an option is invalid, or contradicts the samples.
    """
    _check_preprocessing([data, calibration], options.preprocessing)
    remove_leftovers(folder)
    if calibration is None:
        return _of_one_source(
            data, None, model_inputs=model_inputs, folder=folder, options=options, calibrate=calibrate
        )
    _check_apart(data, calibration)
    # Calibration samples have no use for labels, so that their folder may lack classes.
    unlabelled = replace(
        options,
        labels=None,
        ignore_label=None,
        cut=None,
        preprocessing=replace(options.preprocessing, classes=None),
        first=calibrate or None,
    )
    with downloaded(calibration, _loaders(options), folder) as copy:
        other = open_source(calibration, inputs=model_inputs, options=unlabelled, copy=copy)
        drawn = STREAM if other.endless else "all"
        whole = Parts(Part("calibration", np.arange(other.n, dtype=np.int64), drawn), None, None)
        own = write_parts(
            other, whole, inputs=model_inputs, folder=folder, options=replace(unlabelled, never_scored=frozenset())
        )
    given = own.samples[0], own.fingerprints[0]
    return _of_one_source(data, given, model_inputs=model_inputs, folder=folder, options=options, calibrate=0)


def _of_one_source(
    data: str,
    given: tuple[SampleSet, Fingerprints] | None,
    *,
    model_inputs: tuple[TensorSpec, ...],
    folder: Path,
    options: SampleOptions,
    calibrate: int,
) -> SampleParts:
    """The parts of one source, scored without what is in other parts and in calibration samples that are given."""
    options = replace(options, first=stream_length(options, calibrate=calibrate))
    tuned_on = frozenset(digest[:KEPT_BYTES] for digest in given[1].hashes) if given else frozenset()
    with downloaded(data, _loaders(options), folder) as copy:
        source = open_source(data, inputs=model_inputs, options=options, copy=copy)
        attributes = read_attributes(options.slices, source)
        codes = None
        if options.cut is not None and copy is not None:
            raise UsageError(
                f"'{data}' is one file that is copied as a whole, so --keep-samples few saves nothing; leave it out, "
                f"or give files of records"
            )
        if options.group is not None:
            codes = group_codes(options.group, source, inputs=model_inputs, options=options, copy=copy)
        written = write_parts(
            source,
            _split(source, codes, options, calibrate),
            inputs=model_inputs,
            folder=folder,
            options=replace(options, never_scored=tuned_on | options.never_scored),
        )
    parts = written.parts
    by_name = {part.name: one for part, one in zip(parts.all, written.samples, strict=True)}
    scored = with_attributes(by_name["data"], attributes, parts.scored.indices, options.warn)
    scored = with_groups(scored, options.group, codes, parts.scored.indices)
    others = written.fingerprints[1:] + ((given[1],) if given else ())
    copies = Copies.find(written.fingerprints[0])
    return SampleParts(
        scored,
        given[0] if given else by_name.get("calibration"),
        by_name.get("search"),
        duplicates_of(copies, source, parts.scored.indices),
        (
            *excluded_words(written, others, options),
            *dependence_words(copies, scored, None if codes is None else codes[parts.scored.indices]),
        ),
        written.cut_samples,
    )


def _split(source: Source, codes: NDArray[np.int64] | None, options: SampleOptions, calibrate: int) -> Parts:
    """The parts of a source, with whole groups if there are some."""
    if source.endless:
        return split_stream(source, codes, options=options, calibrate=calibrate)
    if codes is None or int(codes.max()) + 1 == source.n:  # each sample is a group of its own
        return split(source, options=options, calibrate=calibrate)
    return split_groups(source, codes, options=options, calibrate=calibrate)


def refuse_missing(*texts: str | None) -> None:
    """Report a missing file or folder before slow work begins.

    Raises:
        SamplesError: If a text names neither an existing path nor a function.
    """
    for text in texts:
        if text is None:
            continue
        if (description := _description(text)) is not None:
            local_files(description.files, description.folder)
        elif not Path(text).exists() and not _LOADER.fullmatch(text):
            raise _unknown(Path(text), text, FILE_LOADERS)


def files_named(text: str) -> tuple[Path, ...] | None:
    """The files and folders of this machine that samples are in; None if other samples may come without a change there.

    So it is if they lie elsewhere, are made by a function, or may be images that a table names by their paths.

    Raises:
        SamplesError: If a file is missing.
    """
    if (description := _description(text)) is None:
        return (Path(text),) if Path(text).exists() else None
    files = tuple(path for _, path in local_files(description.files, description.folder))
    formats = [RECORD_FORMATS.get(description.format or "") or format_of(path.name) for path in files]
    if any(is_address(one) for one in description.files) or any(one and one.file_column for one in formats):
        return None
    return (*([Path(text)] if _is_description(text) else []), *files)


def may_hold_images(text: str) -> bool:
    """Whether samples are a folder, or files that may hold images, so that preprocessing may apply to them.

    >>> may_hold_images("shards/*.tar"), may_hold_images("x.npz")
    (True, False)
    """
    return Path(text).is_dir() or is_pattern(text) or _is_description(text) or format_of(text) is not None


def _loaders(options: SampleOptions) -> Mapping[str, FileLoader]:
    return FILE_LOADERS if options.loaders is None else options.loaders


def open_source(text: str, *, inputs: Sequence[TensorSpec], options: SampleOptions, copy: Path | None = None) -> Source:
    """Open a source, and check names, shapes, data types, counts and labels; samples are not decoded yet.

    A loader is run once, because only this shows how many samples it returns.

    Args:
        text: One of `ACCEPTED`.
        inputs: The inputs of the model.
        options: How it is read.
        copy: A copy of the file, if `text` is the address of one that must be copied; see `downloaded`.

    Raises:
        SamplesError: If it does not exist, is not one of `ACCEPTED`, is damaged, or does not match the model.
        UsageError: If `options.labels` is given for a source that has its own labels, or `options.ignore_label` for
            one without a label for each position.
    """
    path = Path(text)
    loaders = _loaders(options)
    if copy is not None:
        source = loaders[copy.suffix](copy, text=text, inputs=inputs)
        _check_images(source, options.preprocessing)
    elif path.is_dir():
        source = open_images(path, text=text, inputs=inputs, preprocessing=options.preprocessing)
    elif path.suffix in loaders and path.exists():
        source = loaders[path.suffix](path, text=text, inputs=inputs)
    elif _LOADER.fullmatch(text) and not path.exists():
        source = open_loader(text, inputs=inputs, options=options)
    elif (description := _description(text)) is not None:
        source = open_records(description, text=text, inputs=inputs, preprocessing=options.preprocessing)
        _check_images(source, options.preprocessing)
    else:
        raise _unknown(path, text, loaders)
    for spec, held in zip(inputs, source.tensors, strict=True):
        check_tensor(spec, held, text=text)
    if options.labels is not None:
        source = _with_labels(source, options.labels)
    if options.ignore_label is None:
        return source
    return replace(source, labels=without_label(source.labels, options.ignore_label, text=text))


def _description(text: str) -> Description | None:
    """The files of records that a text names, or that the description names that it is; None if it is something else.

    Raises:
        SamplesError: If a description is malformed.
    """
    path = Path(text)
    if _is_description(text) and path.is_file():
        return read_description(path)
    refuse_secret(text)
    if is_pattern(text) or (format_of(text) is not None and path.is_file()):
        return Description((text,))
    return None


def _is_description(text: str) -> bool:
    return Path(text).suffix == DESCRIPTION


def _unknown(path: Path, text: str, loaders: Mapping[str, FileLoader]) -> SamplesError:
    if path.exists():
        return SamplesError(f"'{text}' is not a kind of samples that quantlab can read; give {ACCEPTED}")
    if not path.parent.is_dir():
        return SamplesError(f"there is no '{text}', and no folder '{path.parent}'; give {ACCEPTED}")
    known = [
        entry.name
        for entry in path.parent.iterdir()
        if not entry.name.startswith(".")
        and (entry.suffix in loaders or format_of(entry.name) or (entry.is_dir() and entry.suffix != ".study"))
    ]
    return SamplesError(f"there is no '{text}'; samples can be {ACCEPTED}; {nearest_of_many(path.name, known)}")


def _with_labels(source: Source, labels: str) -> Source:
    if source.labels is not None:
        raise UsageError(f"'{source.text}' already has labels, and '{labels}' gives labels too; leave one of them out")
    raw = labels_beside(Path(labels), source)
    return replace(source, labels=to_labels(raw, n=source.n, text=source.text))


def _check_preprocessing(texts: Sequence[str | None], preprocessing: Preprocessing) -> None:
    if preprocessing == Preprocessing() or any(text and may_hold_images(text) for text in texts):
        return
    raise UsageError(
        f"preprocessing options are given, but '{texts[0]}' is not a folder of images, and arrays are not "
        "preprocessed; leave the options out, or apply the preprocessing to the arrays"
    )


def _check_images(source: Source, preprocessing: Preprocessing) -> None:
    """Refuse preprocessing of records without images, and an order of class folders, which there are not."""
    if preprocessing.classes is not None:
        raise UsageError(
            f"--classes gives class folders their order, and '{source.text}' has none; name the classes as 'classes' "
            f"in a file data.toml"
        )
    if preprocessing != Preprocessing() and not source.preprocessing:
        raise UsageError(
            f"preprocessing is declared, but '{source.text}' holds no images, and numbers are not preprocessed; leave "
            f"the options out, and [preprocessing] of quantlab.toml"
        )


def _check_apart(data: str, calibration: str) -> None:
    """Refuse to score calibration samples."""
    if data == calibration or Path(data).resolve() == Path(calibration).resolve():
        raise UsageError(
            f"'{data}' is given both as samples and as calibration samples, but calibration samples must not be "
            "scored; leave --calibration out, and quantlab sets a part of the samples aside"
        )
