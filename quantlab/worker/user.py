"""The process that calls a user's own function: `python -m quantlab.worker.user`.

The function may print, fork, exit or never return. At worst this process ends, and its parent reports that in a
sentence. The requests are in `quantlab.user_requests`. The module is also searched for in the folder where quantlab was
started.
"""

import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError
from quantlab.processes import Document, Emit, serve, tagged, untagged
from quantlab.ragged import Packed, objects, pack, unpack
from quantlab.user_modules import load_function
from quantlab.user_requests import (
    REQUESTS,
    Boxes,
    Call,
    Decode,
    Element,
    End,
    Import,
    Imported,
    Next,
    Number,
    Request,
    Values,
)

__all__: list[str] = []

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Given:
    """One element of a loader, as arrays."""

    arrays: Mapping[str, Array]
    labels: Array | None
    whole: bool
    refused: Mapping[str, str]

    @property
    def kind(self) -> object:
        """Shapes and dtypes; elements of equal kind can be in one file."""
        shapes = {name: (array.shape, array.dtype.str) for name, array in self.arrays.items()}
        labels = None if self.labels is None else (self.labels.shape, self.labels.dtype.str)
        return shapes, labels, dict(self.refused)

    @property
    def size_bytes(self) -> int:
        return sum(array.nbytes for array in self.arrays.values())

    def samples(self, batches: bool) -> int:
        """Number of samples, see `Next.batches`."""
        first = next(iter(self.arrays.values()), None)
        return len(first) if batches and first is not None and first.ndim else 1


_GROUP_BYTES, _GROUP_SECONDS, _GROUP_ELEMENTS = 4 << 20, 0.2, 1024
"""Elements are sent in groups, because one file and one message per element would cost more than most loaders."""


class _Called:
    """The imported function, and the elements that it has not yielded yet."""

    def __init__(self) -> None:
        self._text = ""
        self._folder: Path | None = None
        self._function: Callable[..., Any] | None = None
        self._given: Generator[tuple[Any, bool]] | None = None
        self._elements: Iterator[_Given] | None = None
        self._held: _Given | None = None
        """Element taken from the loader whose kind differs from the last group."""
        self._error: QuantlabError | None = None
        """Error raised by the loader after the last group."""
        self._files: list[Path] = []
        """Files of the last group."""
        self._written_files = 0

    def handle(self, document: Document, emit: Emit) -> None:
        request: Request = untagged(document, REQUESTS, "request")
        if isinstance(request, Import):
            self._text, self._folder = request.function, Path(request.folder)
            self._function = load_function(request.function, refused=QuantlabError)
            emit(tagged(Imported(_endless(self._function))))
        elif isinstance(request, Next):
            self._next(request, emit)
        elif isinstance(request, End):
            self._end()
        elif isinstance(request, Decode):
            emit(tagged(self._decoded(request)))
        else:
            measured = self._measure(request)
            emit(tagged(self._values(measured) if measured.ndim else Number(repr(float(measured)))))

    def remove_folder(self) -> None:
        """Remove what was written for the other side, which is gone."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _next(self, request: Next, emit: Emit) -> None:
        assert self._function is not None  # noqa: S101 (it was imported before)
        for file in self._files:  # the parent may still have it mapped, and keeps its contents
            file.unlink()
        self._files.clear()
        if self._elements is None:
            self._given = _elements(self._text, self._function)
            self._elements = (_given(value, whole, self._text) for value, whole in self._given)
        group = self._group(self._elements, request)
        if group:
            emit(tagged(self._written(group)))

    def _end(self) -> None:
        given, self._given, self._elements, self._held = self._given, None, None, None
        if given is not None:
            given.close()

    def _group(self, elements: Iterator[_Given], request: Next) -> list[_Given]:
        """The next elements of equal kind; empty at the end.

        Raises:
            QuantlabError: If the loader failed; raised after all earlier elements are sent.
        """
        if self._error is not None:
            raise self._error
        group = [self._held] if self._held else []
        self._held, began = None, time.monotonic()
        size_bytes = sum(given.size_bytes for given in group)
        samples, most = sum(given.samples(request.batches) for given in group), request.most
        while len(group) < _GROUP_ELEMENTS and size_bytes < _GROUP_BYTES and (most is None or samples < most):
            try:
                given = next(elements, None)
            except QuantlabError as error:
                if not group:
                    raise
                self._error = error
                break
            if given is None or (group and given.kind != group[0].kind):
                self._held = given
                break
            group.append(given)
            size_bytes += given.size_bytes
            samples += given.samples(request.batches)
            if given.whole or time.monotonic() - began > _GROUP_SECONDS:
                break
        return group

    def _written(self, group: list[_Given]) -> Element:
        first = group[0]
        if len(group) == 1:
            arrays, labels = dict(first.arrays), first.labels
        else:
            arrays = {name: np.stack([given.arrays[name] for given in group]) for name in first.arrays}
            labels = None if first.labels is None else np.stack([np.asarray(given.labels) for given in group])
        return Element(
            {name: self._file(array) for name, array in arrays.items()},
            first.whole,
            None if len(group) == 1 else len(group),
            None if labels is None else self._file(labels),
            first.refused,
        )

    def _file(self, array: Array) -> str:
        assert self._folder is not None  # noqa: S101 (the function was imported before)
        file = self._folder / f"{self._written_files}.npy"
        self._written_files += 1
        self._files.append(file)
        np.save(file, array, allow_pickle=False)
        return str(file)

    def _decoded(self, request: Decode) -> Boxes:
        assert self._folder is not None  # noqa: S101 (the function was imported before)
        found = objects(
            [self._boxes(np.asarray(one), place) for place, one in enumerate(np.load(request.outputs, mmap_mode="r"))]
        )
        packed, file, offsets = pack(found), self._folder / "boxes.npy", self._folder / "boxes.offsets.npy"
        np.save(file, packed.values)
        np.save(offsets, packed.offsets)
        return Boxes(str(file), str(offsets))

    def _boxes(self, output: Array, place: int) -> Array:
        assert self._function is not None  # noqa: S101 (it was imported before)
        try:
            value = self._function(output)
        except (Exception, SystemExit) as error:  # a user's function may raise anything
            raise QuantlabError(
                f"the function '{self._text}' raised {type(error).__name__} ({error}) on the output of sample {place}, "
                f"of shape {output.shape}; call it directly to see where"
            ) from error
        boxes = np.asarray([] if value is None else value)
        if value is not None and boxes.size == 0:
            return np.zeros((0, 6))
        if boxes.ndim != 2 or boxes.shape[1] != 6 or boxes.dtype.kind not in "biuf" or not _whole(boxes[:, 5]):
            raise QuantlabError(
                f"the function '{self._text}' returned {_shown(value)} for sample {place}; it must return boxes "
                f"(k, 6): x, y, width, height, score and the number of the class"
            )
        return boxes.astype(np.float64)

    def _values(self, measured: Array) -> Values:
        assert self._folder is not None  # noqa: S101 (the function was imported before)
        file = self._folder / "values.npy"
        np.save(file, measured)
        return Values(str(file))

    def _measure(self, request: Call) -> Array:
        """What the function returns, as float64 (), (n,) or (n, 2)."""
        outputs, labels = np.load(request.outputs, mmap_mode="r"), _labels(request)
        if request.indices is not None:
            indices = np.load(request.indices)
            outputs, labels = outputs[indices], labels[indices]
        outputs = np.asarray(outputs)
        if not request.each:
            value = self._called_with(outputs, list(labels) if labels.dtype.hasobject else np.asarray(labels))
            return self._checked(value, len(outputs))
        values = [self._called_with(one, label) for one, label in zip(outputs, labels, strict=True)]
        for place, value in enumerate(values):
            if np.shape(value) not in {(), (2,)} or np.shape(value) != np.shape(values[0]):
                raise QuantlabError(
                    f"the metric '{self._text}' returned {_shown(value)} for sample {place}; it must return one "
                    f"number, or two, whose sums over all samples are divided"
                )
        return self._checked(values, len(outputs))

    def _called_with(self, outputs: Array, labels: Any) -> Any:
        assert self._function is not None  # noqa: S101 (it was imported before)
        try:
            value = self._function(outputs, labels)
            return value if value is None or isinstance(value, str) else np.asarray(value)
        except (Exception, SystemExit) as error:  # a user's function may raise anything
            told = f"with labels of shape {labels.shape}" if hasattr(labels, "shape") else "with their ground truth"
            raise QuantlabError(
                f"the metric '{self._text}' raised {type(error).__name__} ({error}) on outputs of shape "
                f"{outputs.shape} {told}; it is called with the whole set and with "
                f"resamples of it, in which a class may be missing"
            ) from error

    def _checked(self, value: Any, n: int) -> Array:
        array = np.asarray(value)
        if array.shape not in {(), (n,), (n, 2)} or array.dtype.kind not in "biuf":
            raise QuantlabError(
                f"the metric '{self._text}' returned {_shown(value)}; it must return one number for the set, or one or "
                f"two for each of its {n} samples"
            )
        return array.astype(np.float64)


def _labels(request: Call) -> Array:
    values: Array = np.load(request.labels, mmap_mode="r")
    if request.offsets is None:
        return values
    return unpack(Packed(request.kind, values, np.load(request.offsets)))


def _whole(values: Array) -> bool:
    return bool((np.isfinite(values) & (values == np.round(values))).all())


def _shown(value: Any) -> str:
    array = np.asarray(value)
    if array.shape:
        return f"an array of shape {array.shape}"
    return "None" if value is None else f"'{array.item()}'"


def _endless(function: Callable[..., Any]) -> bool:
    """Whether a loader says that it has no end."""
    return getattr(function, "endless", False) is True


def _elements(text: str, function: Callable[[], Any]) -> Generator[tuple[Any, bool]]:
    """Yield what the function returns or yields, and whether that is all; its errors become QuantlabErrors.

    If this is closed, a generator of the user is closed, too.
    """
    try:
        given = function()
        if given is None:
            raise QuantlabError(f"the loader '{text}' returned None; return samples, or (samples, labels)")
        if hasattr(given, "as_numpy_iterator"):
            # TensorFlow uses -1 for a dataset that repeats forever, and -2 for an unknown size.
            if hasattr(given, "cardinality") and int(given.cardinality()) == -1 and not _endless(function):
                raise QuantlabError(f"the loader '{text}' gives a dataset that never ends; remove .repeat()")
            given = given.as_numpy_iterator()
        if isinstance(given, tuple | list | Mapping) or hasattr(given, "__array__") or not isinstance(given, Iterable):
            yield given, True
            return
        elements = iter(given)
        try:
            for value in elements:
                yield value, False
        finally:
            if isinstance(elements, Generator):
                elements.close()
    except QuantlabError:
        raise
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        raise QuantlabError(
            f"the loader '{text}' raised {type(error).__name__} ({error}); call it directly to see where"
        ) from error


def _given(value: Any, whole: bool, text: str) -> _Given:
    samples, labels = _parts(value, text)
    named = samples if isinstance(samples, Mapping) else {"": samples}
    arrays: dict[str, Array] = {}
    refused: dict[str, str] = {}
    for name, given in named.items():
        try:
            arrays[str(name)] = _kept(_array(given, text), whole)
        except QuantlabError as error:
            refused[str(name)] = str(error)
    return _Given(arrays, None if labels is None else _kept(_array(labels, text), whole), whole, refused)


def _kept(array: Array, whole: bool) -> Array:
    """An array that does not change when the loader continues, since a loader may reuse one buffer."""
    return array if whole else array.copy()


def _parts(value: Any, text: str) -> tuple[Any, Any]:
    """Samples and labels; labels are None if the loader gave none."""
    if not isinstance(value, tuple):
        return value, None
    if len(value) in (1, 2):
        return value[0], value[1] if len(value) == 2 else None
    raise QuantlabError(
        f"the loader '{text}' gave a tuple of {len(value)} elements, and (samples, labels) was expected; "
        "give several inputs as a dict by name"
    )


def _array(value: Any, text: str) -> Array:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise QuantlabError(f"the loader '{text}' gave no valid array ({error}); give arrays of numbers") from error
    if array.dtype.hasobject:
        raise QuantlabError(f"the loader '{text}' gave an array of Python objects; give arrays of numbers")
    return array


if __name__ == "__main__":
    called = _Called()
    serve(called.handle, called.remove_folder)
