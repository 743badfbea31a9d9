"""Sends calls to a child, and reads the answers; a call that ends the process costs its own row only."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.processes import ChildDied, ChildPool, ChildStalled
from quantlab.runtimes.calls import Call, FedTensor
from quantlab.runtimes.protocol import ask
from quantlab.runtimes.requests import Try
from quantlab.study.attempts.contract import Feed, Passed
from quantlab.study.inspection.subjects import Subject
from quantlab.types.messages import Failed, Tried

__all__ = ["Answer", "Caller"]

Array = npt.NDArray[Any]

_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: ")
"""In the log of TensorFlow: the same call has the same row on another day."""

_MOST_DEATHS = 3
"""Ends of the process one after another, without an answer between them, after which the rest is not tried."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call: its outputs under the library's names, or why there are none."""

    outputs: tuple[tuple[str, Array], ...]
    refused: str | None


@dataclass(slots=True)
class Caller:
    """Makes calls of one subject."""

    subject: Subject
    pool: ChildPool
    folder: Path
    """Receives the arrays; it belongs to this caller."""
    _files: int = field(default=0)

    def call(self, asked: Sequence[tuple[Sequence[Feed], Passed]]) -> list[Answer]:
        """Make calls one after another.

        Raises:
            TrialError: If the subject cannot be opened.
            RuntimeUnavailable: If its runtime is missing.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        calls = [self._call(feeds, passed) for feeds, passed in asked]
        answers: list[Answer] = []
        deaths = 0
        while len(answers) < len(calls):
            before = len(answers)
            reason = self._ask(calls[before:], answers)
            deaths = deaths + 1 if len(answers) == before else 1
            if reason is not None:
                answers.append(Answer((), reason))
            if deaths == _MOST_DEATHS:
                rest = f"not tried, because {deaths} calls one after another ended the process"
                answers += [Answer((), rest)] * (len(calls) - len(answers))
        return answers

    def _ask(self, calls: Sequence[Call], answers: list[Answer]) -> str | None:
        """Make calls until the process ends; return why it ended before the last, otherwise None."""
        expected = len(answers) + len(calls)
        try:
            request = Try(self.subject.job, self.subject.way, tuple(calls))
            with contextlib.closing(ask(self.subject.host, request, self.pool)) as messages:
                for message in messages:
                    if isinstance(message, Failed):
                        raise TrialError(message.reason)
                    if isinstance(message, Tried):
                        answers.append(_answer(message))
        except (ChildDied, ChildStalled) as error:
            return _DATE.sub("", str(error))
        if len(answers) < expected:
            raise TrialError(f"the process answered {len(answers)} of {expected} calls; report this")
        return None

    def _call(self, feeds: Sequence[Feed], passed: Passed) -> Call:
        files = [str(self.folder / f"{next(self._numbers())}.bin") for _ in feeds]
        tensors = []
        for feed, file in zip(feeds, files, strict=True):
            Path(file).write_bytes(np.ascontiguousarray(feed.values).tobytes())
            tensors.append(FedTensor(feed.name, file, tuple(feed.values.shape), feed.values.dtype.name))
        return Call(tuple(tensors), passed, str(self.folder / f"{next(self._numbers())}-output"))

    def _numbers(self) -> Iterator[int]:
        self._files += 1
        yield self._files


def _answer(tried: Tried) -> Answer:
    if tried.refused is not None:
        return Answer((), tried.refused)
    outputs = []
    for output in tried.outputs:
        try:
            dtype = np.dtype(output.dtype)
        except TypeError:
            return Answer((), f"it answers with the dtype {output.dtype}, which NumPy does not have")
        outputs.append((output.name, np.fromfile(output.file, dtype).reshape(output.shape)))
    return Answer(tuple(outputs), None)
