"""From what the user names to samples on disk."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from quantlab.errors import SamplesError, UsageError
from quantlab.names import nearest_of_many
from quantlab.samples.arrays import open_npy, open_npz
from quantlab.samples.check import check_tensor
from quantlab.samples.images import open_images
from quantlab.samples.labels import read_labels, to_labels
from quantlab.samples.loaders import open_loader
from quantlab.samples.source import FileLoader, SampleOptions, Source
from quantlab.samples.subset import Part, split
from quantlab.samples.write import write_samples
from quantlab.types import Preprocessing, SampleSet, TensorSpec

ACCEPTED = "a .npz file, a .npy file, a folder of images, or module:function"
"""What samples may be given as, for messages and help."""

FILE_LOADERS: Mapping[str, FileLoader] = {".npz": open_npz, ".npy": open_npy}
"""Suffix of a file → what opens it."""

_LOADER = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


def open_samples(
    data: str,
    calibration: str | None,
    *,
    model_inputs: tuple[TensorSpec, ...],
    folder: Path,
    options: SampleOptions,
    calibrate: int = 256,
) -> tuple[SampleSet, SampleSet | None]:
    """Read, check and write what is scored and what static quantization is calibrated on.

    Where no calibration samples are given, `calibrate` samples of the data are set aside as such and never scored
    (see `split`); calibration samples that are given are all taken. The same arguments and files give the same
    samples in the same order, and write them only once.

    Args:
        data: One of `ACCEPTED`.
        folder: Gets `data/<hash>/` and `calibration/<hash>/`.
        calibrate: 0 sets nothing aside, and the second result is None unless `calibration` is given.

    Raises:
        SamplesError: If samples are missing, broken, or do not fit the model.
        UsageError: If options name what there is not, or contradict what is read.
    """
    _check_preprocessing([data, calibration], options.preprocessing)
    if calibration is None:
        source = open_source(data, inputs=model_inputs, options=options)
        scored, aside = split(source, options=options, calibrate=calibrate)
        parts = [scored] if aside is None else [scored, aside]
        written = write_samples(source, parts, inputs=model_inputs, folder=folder)
        return written[0], None if aside is None else written[1]
    _check_apart(data, calibration)
    scored_set, _ = open_samples(data, None, model_inputs=model_inputs, folder=folder, options=options, calibrate=0)
    other = open_source(calibration, inputs=model_inputs, options=replace(options, labels=None))
    whole = Part("calibration", np.arange(other.n, dtype=np.int64), "all")
    return scored_set, write_samples(other, [whole], inputs=model_inputs, folder=folder)[0]


def refuse_missing(*texts: str | None) -> None:
    """Find out that a file or folder is not there before anything slow begins.

    Raises:
        SamplesError: If a text names neither what there is nor a function.
    """
    for text in texts:
        if text is not None and not Path(text).exists() and not _LOADER.fullmatch(text):
            raise _unknown(Path(text), text, FILE_LOADERS)


def open_source(text: str, *, inputs: Sequence[TensorSpec], options: SampleOptions) -> Source:
    """Find out what a text names, and check names, shapes, dtypes, counts and labels; samples are not yet decoded.

    A loader is run through once, since only that tells how much it gives.

    Raises:
        SamplesError: If it is not there, is not one of `ACCEPTED`, is broken or does not fit the model.
        UsageError: If `options.labels` names labels for a source that has its own.
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
    return source if options.labels is None else _with_labels(source, options.labels)


def _unknown(path: Path, text: str, loaders: Mapping[str, FileLoader]) -> SamplesError:
    if path.exists():
        return SamplesError(f"'{text}' holds no samples that quantlab reads; give {ACCEPTED}")
    if not path.parent.is_dir():
        return SamplesError(f"there is no '{text}', nor a folder '{path.parent}'; give {ACCEPTED}")
    known = [
        entry.name
        for entry in path.parent.iterdir()
        if not entry.name.startswith(".") and (entry.suffix in loaders or (entry.is_dir() and entry.suffix != ".study"))
    ]
    return SamplesError(f"there is no '{text}', and samples are {ACCEPTED}; {nearest_of_many(path.name, known)}")


def _with_labels(source: Source, labels: str) -> Source:
    if source.labels is not None:
        raise UsageError(
            f"'{source.text}' has labels of its own, so that those of '{labels}' contradict them; leave one out"
        )
    return replace(source, labels=to_labels(read_labels(Path(labels)), n=source.n, text=source.text))


def _check_preprocessing(texts: Sequence[str | None], preprocessing: Preprocessing) -> None:
    if preprocessing == Preprocessing() or any(text and Path(text).is_dir() for text in texts):
        return
    raise UsageError(
        f"a preprocessing is declared, but '{texts[0]}' is no folder of images, and arrays are fed as they are; "
        "leave it out, or apply it to the arrays"
    )


def _check_apart(data: str, calibration: str) -> None:
    """Refuse to score what static quantization was calibrated on."""
    if data == calibration or Path(data).resolve() == Path(calibration).resolve():
        raise UsageError(
            f"'{data}' is given both to be scored and for calibration, and what was calibrated on must not be scored; "
            "leave --calibration out, and a part is set aside for it"
        )
