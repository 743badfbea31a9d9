"""Calls a user's own function in a process of its own: a loader of samples, or a metric.

A function that prints, leaves the program, crashes, forks or never ends must cost a sentence and nothing else: not
quantlab's own process, and nothing on standard output.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError
from quantlab.npy import mapped
from quantlab.processes import (
    Child,
    ChildDied,
    ChildStalled,
    Document,
    OwnFolder,
    PythonModule,
    onednn,
    python_environment,
    tagged,
    warm_up,
)
from quantlab.processes.preload import WORKERS_WITHOUT_TENSORFLOW
from quantlab.ragged import Packed, RaggedKind, pack, unpack
from quantlab.user_requests import Boxes, Call, Decode, Element, End, Import, Next, Number, Request, Values

__all__ = ["STALL_SECONDS", "CalledDecoder", "CalledLoader", "CalledMetric", "Given", "called_loader"]

Array = npt.NDArray[Any]

STALL_SECONDS = 600.0
"""How long a function may take, unless told."""


class _Called:
    """A user's function in its process."""

    def __init__(self, text: str, what: str, error: type[QuantlabError], stall_seconds: float) -> None:
        self._text, self._what, self._error, self._stall_seconds = text, what, error, stall_seconds
        self._remedy = "raise --time-limit" if what == "loader" else "make it faster"
        self._stack = ExitStack()
        environment = python_environment(onednn=onednn())
        # Before there is a folder: a server that runs removes it if this program is killed, even before it forks.
        warm_up(environment, WORKERS_WITHOUT_TENSORFLOW)
        own = self._stack.enter_context(OwnFolder("user"))
        self.folder = own.path
        try:
            self._child = self._stack.enter_context(
                Child(
                    PythonModule("quantlab.worker.user", WORKERS_WITHOUT_TENSORFLOW),
                    log=self.folder / "user.log",
                    environment=environment,
                    temporary=own,
                )
            )
            imported = self.ask(Import(text, str(self.folder)))
            self.endless = imported is not None and bool(imported["endless"])
        except BaseException:
            self.close()
            raise

    def ask(self, request: Request) -> Document | None:
        """What it answers before `done`; None where that is nothing.

        Raises:
            QuantlabError: Of the kind that was asked for, whatever the function does but answer.
        """
        self.send(request)
        return self.answer()

    def send(self, request: Request) -> None:
        """Ask for something whose `answer` is taken later; nothing else is asked for before.

        Raises:
            QuantlabError: See `ask`.
        """
        try:
            self._child.send(tagged(request, "request"))
        except ChildDied as error:
            raise self._died(error) from error

    def answer(self) -> Document | None:
        """See `ask`."""
        answer = None
        try:
            for message in self._child.messages(self._stall_seconds):
                if message["type"] == "failed":
                    raise self._error(self._reason(message))
                answer = message if message["type"] != "done" else answer
        except ChildStalled as error:
            raise self._error(
                f"the {self._what} '{self._text}' did not answer for {self._stall_seconds:g} seconds and was ended; "
                f"if it only needs longer, {self._remedy}"
            ) from error
        except ChildDied as error:
            raise self._died(error) from error
        return answer

    def _died(self, error: ChildDied) -> QuantlabError:
        return self._error(
            f"the {self._what} '{self._text}' ended its process instead of returning ({error}); call it directly "
            f"to see where"
        )

    def _reason(self, message: Document) -> str:
        if message.get("expected"):
            return str(message["reason"])
        return f"the {self._what} '{self._text}' raised {message['reason']}; call it directly to see where"

    def close(self) -> None:
        """End the process and remove what it wrote."""
        self._stack.close()


@dataclass(frozen=True, slots=True)
class Given:
    """What a loader gave at once: an element, or several of equal shapes whose arrays are stacked."""

    arrays: Mapping[str, Array]
    """By name; the name is empty for bare samples. Valid until the next of these."""
    labels: Array | None
    whole: bool
    """Whether it is all there is, and so surely no single sample."""
    refused: Mapping[str, str]
    """Name → why that is no array."""
    count: int | None = None
    """Number of elements that are stacked; None for an element alone."""

    def apart(self) -> "list[Given]":
        """Each element alone."""
        if self.count is None:
            return [self]
        return [
            Given(
                {name: array[place, ...] for name, array in self.arrays.items()},
                None if self.labels is None else self.labels[place, ...],
                self.whole,
                self.refused,
            )
            for place in range(self.count)
        ]


class CalledLoader:
    """A loader in its process, of which one pass is taken."""

    def __init__(self, called: _Called) -> None:
        self._called = called

    @property
    def endless(self) -> bool:
        """Whether the function says that it has no end: then `take` is called, and `end`."""
        return self._called.endless

    def elements(self) -> Iterator[Given]:
        """All that it gives, one after the other: it makes the next ones while the caller looks at these."""
        self._called.send(Next())
        while (given := self._answered()) is not None:
            self._called.send(Next())
            yield given

    def take(self, request: Next) -> Given | None:
        """The next elements that it gives, and no more; None at its end."""
        self._called.send(request)
        return self._answered()

    def _answered(self) -> Given | None:
        answer = self._called.answer()
        if answer is None:
            return None
        element = Element(**{key: value for key, value in answer.items() if key != "type"})
        arrays = {name: _read(file) for name, file in element.arrays.items()}
        labels = None if element.labels is None else _read(element.labels)
        return Given(arrays, labels, element.whole, element.refused, element.count)

    def end(self) -> None:
        """Close the generator that it returned, and wait until that has cleared up."""
        self._called.ask(End())


@contextmanager
def called_loader(
    text: str, error: type[QuantlabError], stall_seconds: float = STALL_SECONDS
) -> Iterator[CalledLoader]:
    """One pass of a loader.

    Args:
        text: `module:function`; the folder quantlab was started in is searched for the module too.
        error: What is raised.
        stall_seconds: How long it may take for one element.

    Raises:
        error: If the module or the function is not there, or the function does anything but give arrays.
    """
    called = _Called(text, "loader", error, stall_seconds)
    try:
        yield CalledLoader(called)
    finally:
        called.close()


_MAPPED_BYTES = 1 << 20
"""Files of this size and larger are memory-mapped, smaller ones are read: an empty array cannot be mapped."""


def _read(file: str) -> Array:
    path = Path(file)
    return mapped(path) if path.stat().st_size >= _MAPPED_BYTES else np.asarray(np.load(path))


class CalledMetric:
    """A metric in its process: called with the whole set, and with samples drawn from it.

    Use it as a context manager.
    """

    def __init__(
        self, text: str, error: type[QuantlabError], stall_seconds: float = STALL_SECONDS, *, each: bool = False
    ) -> None:
        """Start the process; `each` says that the function takes one sample instead of the set."""
        self._called = _Called(text, "metric", error, stall_seconds)
        self._text, self._error, self._each = text, error, each
        self._given: list[tuple[Array, _Written]] = []

    def __enter__(self) -> "CalledMetric":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End its process."""
        self._called.close()

    def __call__(self, outputs: Array, labels: Array, indices: Array | slice = slice(None)) -> float:
        """The metric of some samples, drawn with repetitions, or of all.

        Raises:
            QuantlabError: Of the kind that was asked for, if the function does anything but return one number.
        """
        value = self.measure(outputs, labels, indices)
        if value.ndim:
            raise self._error(
                f"the metric '{self._text}' returned an array of shape {value.shape}, and one number before; return "
                f"the same form for every set"
            )
        return float(value)

    def measure(self, outputs: Array, labels: Array, indices: Array | slice = slice(None)) -> Array:
        """What the function returns: float64 (), or (n,) or (n, 2) of numbers for each sample.

        Args:
            outputs: (n, …).
            labels: (n, …), or objects (n,) of another shape for each sample, which the function gets as a list.
            indices: Positions with repetitions, or all.

        Raises:
            QuantlabError: Of the kind that was asked for, if the function does anything else.
        """
        drawn = None
        if not isinstance(indices, slice):
            drawn = self._called.folder / "indices.npy"
            np.save(drawn, indices)
        truth = self._written(labels)
        answer = self._called.ask(
            Call(
                self._written(outputs).file,
                truth.file,
                None if drawn is None else str(drawn),
                offsets=truth.offsets,
                kind=truth.kind,
                each=self._each,
            )
        )
        assert answer is not None  # noqa: S101 (a metric that returns nothing was refused)
        if answer["type"] == Values.type:
            return np.asarray(np.load(Values(answer["file"]).file))
        return np.array(float(Number(answer["value"]).value))

    def _written(self, array: Array) -> "_Written":
        """Where an array lies for the other side; the same array is written once."""
        for known, written in self._given:
            if known is array:
                return written
        place = self._called.folder / f"array-{len(self._given)}.npy"
        written = _Written(str(place))
        if array.dtype.hasobject:
            packed = pack(array)
            begins = place.with_suffix(".offsets.npy")
            np.save(place, packed.values)
            np.save(begins, packed.offsets)
            written = _Written(str(place), str(begins), packed.kind)
        else:
            np.save(place, array)
        self._given.append((array, written))
        return written


class CalledDecoder:
    """A function in its process that turns the output of one sample into boxes; use it as a context manager."""

    def __init__(self, text: str, error: type[QuantlabError], stall_seconds: float = STALL_SECONDS) -> None:
        self._called = _Called(text, "function", error, stall_seconds)

    def __enter__(self) -> "CalledDecoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End its process."""
        self._called.close()

    def __call__(self, outputs: Array) -> list[npt.NDArray[np.float64]]:
        """The boxes of each sample: (k, 6) of x, y, width, height, score, class.

        Raises:
            QuantlabError: Of the kind that was asked for, if the function does anything but return boxes.
        """
        given = self._called.folder / "outputs.npy"
        np.save(given, outputs)
        answer = self._called.ask(Decode(str(given)))
        assert answer is not None  # noqa: S101 (a function that returns nothing was refused)
        found = Boxes(answer["file"], answer["offsets"])
        return list(unpack(Packed("ragged", np.load(found.file), np.load(found.offsets))))


@dataclass(frozen=True, slots=True)
class _Written:
    """Files of an array, see `Call`."""

    file: str
    offsets: str | None = None
    kind: RaggedKind = ""
