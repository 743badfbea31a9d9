"""Starts the converting process and turns what it says into one result a setting."""

import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from quantlab.errors import QuantlabError
from quantlab.formats import FORMATS
from quantlab.processes import Child, ChildPool, Preload, PythonModule, messages_of, python_environment, tagged
from quantlab.processes.preload import CONVERTERS, CONVERTERS_WITHOUT_TENSORFLOW
from quantlab.types.messages import Converted, Converting, Done, Failed, Message
from quantlab_converters.contract import ConversionRequest, Convert, Converter

__all__ = ["Conversion", "convert_settings", "preloaded"]


def preloaded(source_format: str | None) -> Preload:
    """What a converting process finds imported: only tools for some artifacts need no TensorFlow."""
    format_ = FORMATS.get(source_format or "")
    return CONVERTERS if format_ is None or format_.python.with_tensorflow else CONVERTERS_WITHOUT_TENSORFLOW


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of one scheme of a request."""

    scheme: str
    folder: Path
    seconds: float | None = None
    """None where it failed."""
    reason: str | None = None
    """Why it failed; None where it did not."""
    end: Literal["refused", "raised", "died"] | None = None
    """How it failed: quantlab wrote the reason, a library raised it, or the process ended without one; else None."""


def convert_settings(
    converter: Converter,
    request: ConversionRequest,
    *,
    log: Path,
    pool: ChildPool,
) -> Generator[Conversion, None, None]:
    """Convert a model to some schemes of one format in a child process, and yield each as it is done.

    A scheme that fails, crashes or hangs costs only itself: the process is started again for those after it.

    Args:
        converter: What makes them.
        request: What to make; the folders are made empty first.
        log: Where the child's noise goes.
        pool: Whose children convert; it also says how long one scheme may take.
    """
    left = dict(request.schemes)
    request = replace(request, model=request.model or request.source)
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
            child.send(tagged(Convert(converter.convert, request), "request"))
            for message in messages_of(child, pool.stall_seconds):
                if isinstance(message, Converting):
                    at = message.scheme
                done = isinstance(message, Done)
                yield from _result(message, at, request.schemes)
        finally:
            if done and not converter.alone:
                pool.give_back(_KIND, child)
            else:
                child.close()
    except QuantlabError as error:
        yield Conversion(at, request.schemes[at], reason=f"while it converted, {error}", end="died")


def _start(pool: ChildPool, log: Path, request: ConversionRequest) -> Child:
    return Child(
        PythonModule("quantlab_converters.child", preloaded(request.format)),
        log=log,
        environment=python_environment(onednn=False),
        temporary=pool.folder / "temporary",
        own_log=True,
    )


def _result(message: Message, at: str, folders: Mapping[str, Path]) -> Iterable[Conversion]:
    if isinstance(message, Converted):
        yield Conversion(message.scheme, folders[message.scheme], seconds=message.seconds)
    if isinstance(message, Failed):
        end: Literal["refused", "raised"] = "refused" if message.expected else "raised"
        yield Conversion(at, folders[at], reason=message.reason, end=end)
