"""Opens an artifact as the reference: it is run by the executor of its format, with its weights in float32."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ArtifactError, ModelError, TrialError
from quantlab.foreign import reading
from quantlab.formats import Format
from quantlab.formats.contract import Contents
from quantlab.models import ModelFile, ModelOptions, Reference, as_artifact
from quantlab.models.float_copy import float_artifact
from quantlab.runtimes.exchange import Job, TensorFile
from quantlab.types import ModelDescription, Port, TensorSpec
from quantlab.worker.execution import Execution

__all__ = ["open_artifact"]

Array = npt.NDArray[Any]
_FLOAT32 = "float32"


def open_artifact(file: ModelFile, options: ModelOptions, export: Path) -> Reference:
    """Open an artifact as a function from batches of arrays to arrays.

    Args:
        file: The result of `identify`, of a kind that `quantlab.models.opens` does not know.
        options: Only `unsafe` is used.
        export: Beside this folder, the float copy of an artifact with narrower weights is written.

    Raises:
        ModelError: If it cannot be opened or run, or no float copy can be made of it.
    """
    found = as_artifact(file.path)
    if found is None:
        raise ModelError(f"'{file.path}' is no longer the artifact that it was; give it again")
    path, format_ = found
    try:
        source = float_artifact(path, format_, file.narrow, export.with_name("float")).absolute()
        contents = format_.inspect(source)
        call = _caller(source, format_, contents, unsafe=options.unsafe)
        outputs = _outputs(contents, call)
    except ArtifactError as error:
        raise ModelError(str(error)) from error
    description = ModelDescription(
        path=str(file.path),
        kind=file.kind,
        sha256=file.sha256,
        inputs=tuple(map(_spec, contents.inputs)),
        outputs=outputs,
        parameters=_parameters(source, format_),
        decoded_from=file.narrow,
    )
    return Reference(description, source, call, format=format_.name)


def _spec(port: Port) -> TensorSpec:
    """The tensor as the reference takes it: values where the file has codes."""
    return TensorSpec(port.name, port.shape, _FLOAT32 if port.codes else port.dtype)


def _caller(
    path: Path, format_: Format, contents: Contents, *, unsafe: bool
) -> Callable[[Sequence[Array]], list[Array]]:
    """A function from batches to batches, which loads the artifact again for samples of another shape."""
    loaded: dict[tuple[tuple[int, ...], ...], Execution] = {}
    job = Job(
        format=format_.name,
        artifact=str(path),
        backend="",
        batch_size=1,
        start=0,
        stop=0,
        inputs=(),
        outputs=tuple(_file(port, ()) for port in contents.outputs),
        options=replace(format_.options(path), unsafe=unsafe),
        python=format_.python,
    )

    def call(batches: Sequence[Array]) -> list[Array]:
        shapes = tuple(batch.shape[1:] for batch in batches)
        if shapes not in loaded:
            loaded.clear()
            files = (_file(port, shape) for port, shape in zip(contents.inputs, shapes, strict=True))
            loaded[shapes] = _loaded(replace(job, inputs=tuple(files)))
        return loaded[shapes].call(batches)

    return call


def _loaded(job: Job) -> Execution:
    """The artifact, ready to be called.

    Raises:
        ModelError: If its library cannot load it, whatever that raises.
    """
    load: Callable[[Job], Execution] = resolve_name(job.python.load)
    with reading(Path(job.artifact), ModelError, _REMEDY):
        try:
            return load(job)
        except TrialError as error:
            raise ModelError(f"'{Path(job.artifact).name}' cannot be the reference: {error}") from error


_REMEDY = "the reference must run in Python, so give the model that it was made from, and this artifact with --variant"


def _file(port: Port, shape: tuple[int, ...]) -> TensorFile:
    return TensorFile(port.name, "", 0, shape, _spec(port).dtype, port.tensor, port.position, port.codes)


def _outputs(contents: Contents, call: Callable[[Sequence[Array]], list[Array]]) -> tuple[TensorSpec, ...]:
    """The outputs; those whose shapes the file does not tell are observed on zeros, if its inputs have fixed shapes."""
    specs = tuple(map(_spec, contents.outputs))
    inputs = [_spec(port) for port in contents.inputs]
    if all(spec.shape for spec in specs) or any(None in spec.shape[1:] for spec in inputs):
        return specs
    zeros = [np.zeros([1, *(int(size or 1) for size in spec.shape[1:])], spec.dtype) for spec in inputs]
    return tuple(replace(spec, shape=(None, *value.shape[1:])) for spec, value in zip(specs, call(zeros), strict=True))


def _parameters(path: Path, format_: Format) -> int:
    """Number of values of the float weights."""
    return sum(weight.values.size for weight in format_.weights(path) if weight.stored.dtype.kind == "f")
