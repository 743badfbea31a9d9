"""Opens what the user names as samples, and writes them to disk."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import SamplesError, UsageError
from quantlab.names import nearest_of_many
from quantlab.samples.arrays import open_npy, open_npz
from quantlab.samples.attributes import read_attributes, with_attributes
from quantlab.samples.beside import labels_beside
from quantlab.samples.check import check_tensor
from quantlab.samples.dependence import dependence_words, duplicates_of, excluded_words
from quantlab.samples.duplicates import Copies, Fingerprints
from quantlab.samples.groups import group_codes, split_groups, with_groups
from quantlab.samples.images import open_images
from quantlab.samples.labels import to_labels, without_label
from quantlab.samples.loaders import open_loader
from quantlab.samples.source import FileLoader, SampleOptions, Source
from quantlab.samples.subset import Part, Parts, split
from quantlab.samples.write import KEPT_BYTES, write_parts
from quantlab.types import Duplicates, Preprocessing, SampleSet, TensorSpec

ACCEPTED = "a .npz file, a .npy file, a folder of images, or module:function"
"""Accepted kinds of samples, for messages and help texts."""

FILE_LOADERS: Mapping[str, FileLoader] = {".npz": open_npz, ".npy": open_npy}
"""File suffix → function that opens the file."""

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
    Calibration samples that are given are all used. The same arguments and files give the same samples in the same
    order, and they are written only once.

    Args:
        data: One of `ACCEPTED`.
        calibration: Calibration samples, one of `ACCEPTED`; None sets samples of `data` aside.
        model_inputs: The inputs of the model.
        folder: Receives `data/<hash>/`, `calibration/<hash>/` and `search/<hash>/`.
        options: How they are read and selected.
        calibrate: Number of samples to set aside; 0 sets none aside, and then there is no calibration part unless
            `calibration` is given.

    Raises:
        SamplesError: If samples are missing or damaged, or do not match the model.
        UsageError: If an option is invalid, or contradicts the samples.
    """
    _check_preprocessing([data, calibration], options.preprocessing)
    if calibration is None:
        return _of_one_source(
            data, None, model_inputs=model_inputs, folder=folder, options=options, calibrate=calibrate
        )
    _check_apart(data, calibration)
    # Calibration samples have no use for labels, so that their folder may lack classes.
    unlabelled = replace(
        options, labels=None, ignore_label=None, preprocessing=replace(options.preprocessing, classes=None)
    )
    other = open_source(calibration, inputs=model_inputs, options=unlabelled)
    whole = Parts(Part("calibration", np.arange(other.n, dtype=np.int64), "all"), None, None)
    own = write_parts(other, whole, inputs=model_inputs, folder=folder, warn=options.warn)
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
    source = open_source(data, inputs=model_inputs, options=options)
    attributes = read_attributes(options.slices, source)
    codes = None if options.group is None else group_codes(options.group, source, inputs=model_inputs)
    tuned_on = frozenset(digest[:KEPT_BYTES] for digest in given[1].hashes) if given else frozenset()
    written = write_parts(
        source,
        _split(source, codes, options, calibrate),
        inputs=model_inputs,
        folder=folder,
        warn=options.warn,
        never_scored=tuned_on | options.never_scored,
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
            *excluded_words(written, others),
            *dependence_words(copies, scored, None if codes is None else codes[parts.scored.indices]),
        ),
    )


def _split(source: Source, codes: NDArray[np.int64] | None, options: SampleOptions, calibrate: int) -> Parts:
    """The parts of a source, with whole groups if there are some."""
    if codes is None or int(codes.max()) + 1 == source.n:  # each sample is a group of its own
        return split(source, options=options, calibrate=calibrate)
    return split_groups(source, codes, options=options, calibrate=calibrate)


def refuse_missing(*texts: str | None) -> None:
    """Report a missing file or folder before slow work begins.

    Raises:
        SamplesError: If a text names neither an existing path nor a function.
    """
    for text in texts:
        if text is not None and not Path(text).exists() and not _LOADER.fullmatch(text):
            raise _unknown(Path(text), text, FILE_LOADERS)


def open_source(text: str, *, inputs: Sequence[TensorSpec], options: SampleOptions) -> Source:
    """Open a source, and check names, shapes, data types, counts and labels; samples are not decoded yet.

    A loader is run once, because only this shows how many samples it returns.

    Raises:
        SamplesError: If it does not exist, is not one of `ACCEPTED`, is damaged, or does not match the model.
        UsageError: If `options.labels` is given for a source that has its own labels, or `options.ignore_label` for
            one without a label for each position.
    """
    path = Path(text)
    loaders = FILE_LOADERS if options.loaders is None else options.loaders
    if path.is_dir():
        source = open_images(path, text=text, inputs=inputs, preprocessing=options.preprocessing)
    elif path.suffix in loaders and path.exists():
        source = loaders[path.suffix](path, text=text, inputs=inputs)
    elif _LOADER.fullmatch(text) and not path.exists():
        source = open_loader(text, inputs=inputs, stall_seconds=options.stall_seconds)
    else:
        raise _unknown(path, text, loaders)
    for spec, held in zip(inputs, source.tensors, strict=True):
        check_tensor(spec, held, text=text)
    if options.labels is not None:
        source = _with_labels(source, options.labels)
    if options.ignore_label is None:
        return source
    return replace(source, labels=without_label(source.labels, options.ignore_label, text=text))


def _unknown(path: Path, text: str, loaders: Mapping[str, FileLoader]) -> SamplesError:
    if path.exists():
        return SamplesError(f"'{text}' is not a kind of samples that quantlab can read; give {ACCEPTED}")
    if not path.parent.is_dir():
        return SamplesError(f"there is no '{text}', and no folder '{path.parent}'; give {ACCEPTED}")
    known = [
        entry.name
        for entry in path.parent.iterdir()
        if not entry.name.startswith(".") and (entry.suffix in loaders or (entry.is_dir() and entry.suffix != ".study"))
    ]
    return SamplesError(f"there is no '{text}'; samples can be {ACCEPTED}; {nearest_of_many(path.name, known)}")


def _with_labels(source: Source, labels: str) -> Source:
    if source.labels is not None:
        raise UsageError(f"'{source.text}' already has labels, and '{labels}' gives labels too; leave one of them out")
    raw = labels_beside(Path(labels), source)
    return replace(source, labels=to_labels(raw, n=source.n, text=source.text))


def _check_preprocessing(texts: Sequence[str | None], preprocessing: Preprocessing) -> None:
    if preprocessing == Preprocessing() or any(text and Path(text).is_dir() for text in texts):
        return
    raise UsageError(
        f"preprocessing options are given, but '{texts[0]}' is not a folder of images, and arrays are not "
        "preprocessed; leave the options out, or apply the preprocessing to the arrays"
    )


def _check_apart(data: str, calibration: str) -> None:
    """Refuse to score calibration samples."""
    if data == calibration or Path(data).resolve() == Path(calibration).resolve():
        raise UsageError(
            f"'{data}' is given both as samples and as calibration samples, but calibration samples must not be "
            "scored; leave --calibration out, and quantlab sets a part of the samples aside"
        )
