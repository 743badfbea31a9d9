"""Starts the converting process and turns what it says into one result a setting."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quantlab.errors import QuantlabError
from quantlab.processes import Child, ChildPool, Message, Preload, PythonModule, python_environment
from quantlab.processes.preload import CONVERTERS, CONVERTERS_WITHOUT_TENSORFLOW
from quantlab_converters.contract import ConversionRequest, Converter

__all__ = ["Conversion", "convert_settings", "preloaded"]


def preloaded(source_format: str | None) -> Preload:
    """What a converting process finds imported; a source that is an artifact already needs no TensorFlow."""
    return CONVERTERS_WITHOUT_TENSORFLOW if source_format else CONVERTERS


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of one scheme of a request."""

    scheme: str
    folder: Path
    seconds: float | None = None
    """None where it failed."""
    reason: str | None = None
    """Why it failed; None where it did not."""


def convert_settings(
    converter: Converter,
    request: ConversionRequest,
    *,
    log: Path,
    pool: ChildPool,
) -> Iterator[Conversion]:
    """Convert a model to some schemes of one format in a child process, and yield each as it is done.

    A scheme that fails, crashes or hangs costs only itself: the process is started again for those after it.

    Args:
        converter: What makes them.
        request: What to make; the folders are made empty first.
        log: Where the child's noise goes.
        pool: Whose children convert; it also says how long one scheme may take.
    """
    left = dict(request.schemes)
    while left:
        for folder in left.values():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        shutil.rmtree(request.work, ignore_errors=True)
        request.work.mkdir(parents=True)
        for conversion in _attempt(pool, log, converter, replace(request, schemes=dict(left))):
            del left[conversion.scheme]
            yield conversion
    shutil.rmtree(request.work, ignore_errors=True)


_KIND = "converter"


def _attempt(pool: ChildPool, log: Path, converter: Converter, request: ConversionRequest) -> Iterator[Conversion]:
    """One process: every scheme it finishes, and the one it fails at."""
    at, done = next(iter(request.schemes)), False
    try:
        child = pool.take(() if converter.alone else (_KIND,), lambda: _start(pool, log, request))
        child.log = log
        try:
            child.send(_document(converter, request))
            for message in child.messages(pool.stall_seconds):
                if message["type"] == "converting":
                    at = message["scheme"]
                done = message["type"] == "done"
                yield from _result(message, at, request.schemes)
        finally:
            if done and not converter.alone:
                child.end_of_request()
                pool.give_back(_KIND, child)
            else:
                child.close()
    except QuantlabError as error:
        yield Conversion(at, request.schemes[at], reason=f"while it converted, {error}")


def _start(pool: ChildPool, log: Path, request: ConversionRequest) -> Child:
    return Child(
        PythonModule("quantlab_converters.child", preloaded(request.format)),
        log=log,
        environment=python_environment(onednn=False),
        temporary=pool.folder / "temporary",
        own_log=True,
    )


def _result(message: Message, at: str, folders: Mapping[str, Path]) -> Iterable[Conversion]:
    if message["type"] == "converted":
        yield Conversion(message["scheme"], folders[message["scheme"]], seconds=float(message["seconds"]))
    if message["type"] == "failed":
        yield Conversion(at, folders[at], reason=str(message["reason"]))


def _document(converter: Converter, request: ConversionRequest) -> dict[str, Any]:
    return {
        "convert": converter.convert,
        "source": str(request.source.resolve()),
        "format_of_source": request.format,
        "signature": request.signature,
        "schemes": _texts(request.schemes),
        "sample_shapes": {name: list(shape) for name, shape in request.sample_shapes.items()},
        "calibration": _texts(request.calibration),
        "work": str(request.work.resolve()),
        "model": str((request.model or request.source).resolve()),
    }


def _texts(paths: Mapping[str, Path]) -> dict[str, str]:
    return {name: str(path.resolve()) for name, path in paths.items()}
