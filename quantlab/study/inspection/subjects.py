"""What can be called: the model and its signature in Python, and each artifact in each runtime."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quantlab.formats import Format
from quantlab.registries import Registries
from quantlab.runtimes import Host, Job, Runtime, python
from quantlab.types import PYTHON, OpenedModel, Port, Variant
from quantlab.types.executor_options import ExecutorOptions

__all__ = ["Artifact", "Subject", "artifact_subjects", "model_ports", "model_subjects", "runs_calls", "tries_calls"]


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact to inspect."""

    name: str
    format: Format
    path: Path
    inputs: tuple[Port, ...]
    """In the artifact's order, under the model's names."""
    outputs: tuple[Port, ...]
    own_names: Mapping[str, str]
    """Name of an input in the model → the name under which the artifact's library takes it."""
    shown: str
    """The file as code to copy opens it: that of the user, or its name in a folder of `quantlab convert`."""
    given: bool
    """Whether the user gave it."""

    @classmethod
    def of(cls, name: str, format_: Format, path: Path, variant: Variant | None = None) -> "Artifact":
        """Read an artifact; its ports have the model's names if it was matched to a model as a variant.

        Raises:
            ArtifactError: If it cannot be read.
        """
        contents = format_.inspect(path)
        inputs = _renamed(contents.inputs, variant.inputs if variant else ())
        outputs = _renamed(contents.outputs, variant.outputs if variant else ())
        own = {port.name: file_port.name for port, file_port in zip(inputs, contents.inputs, strict=True)}
        file = path / format_.entry if path.is_dir() else path
        made = variant is not None and not variant.given
        return cls(name, format_, path, inputs, outputs, own, file.name if made else str(file), not made)


def _renamed(ports: Sequence[Port], matched: Sequence[Port]) -> tuple[Port, ...]:
    names = {port.position: port.name for port in matched}
    return tuple(replace(port, name=names.get(port.position, port.name)) for port in ports)


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing that is called in one place."""

    artifact: str
    """Its name on the sheet."""
    runtime: str
    way: str
    """As in the request `Try`."""
    host: Host
    job: Job
    inputs: tuple[Port, ...]
    """In its own order, under the model's names."""
    outputs: tuple[Port, ...]
    own_names: Mapping[str, str]
    """As `Artifact.own_names`."""

    @property
    def unit(self) -> int:
        """Batch size of the right call: the one at which an input is fixed, or 1."""
        return max((port.shape[0] for port in self.inputs if port.shape and port.shape[0] is not None), default=1)


def model_ports(model: OpenedModel) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """The inputs and outputs of a model as ports, whose tensors have the names of its signature."""
    ends = (model.description.inputs, model.description.outputs)
    inputs, outputs = (
        tuple(Port(spec.name, spec.name, place, spec.shape, spec.dtype) for place, spec in enumerate(specs))
        for specs in ends
    )
    return inputs, outputs


def model_subjects(model: OpenedModel, options: ExecutorOptions) -> Iterator[Subject]:
    """Yield how programs call a model that TensorFlow opens."""
    inputs, outputs = model_ports(model)
    own = {port.name: port.tensor for port in inputs}
    executor = python.model_calls(model.description.kind)
    job = Job("", "", "", 1, 0, 0, (), (), options, executor)
    for way in executor.raw:
        artifact, runtime = ("signature", PYTHON) if way == "signature" else ("model", way)
        yield Subject(artifact, runtime, way, python.HOST, job, inputs, outputs, own)


def tries_calls(runtime: Runtime, registries: Registries) -> bool:
    """Whether artifacts are called in a runtime as programs call them; a server's answers are compared elsewhere."""
    return any(True for format_ in registries.formats.values() for _ in runs_calls(format_, runtime, registries))


def runs_calls(format_: Format, runtime: Runtime, registries: Registries) -> Iterator[str]:
    """Yield the ways in which programs call artifacts of a format in a runtime; the only one of JavaScript is ``.

    There are none if the runtime does not run the format, or cannot try calls that may be wrong.
    """
    if runtime == registries.python:
        yield from format_.python.raw
    elif runtime.host.tries and format_.javascript is not None and runtime.runs(format_):
        yield ""


def artifact_subjects(
    artifact: Artifact, registries: Registries, runtimes: tuple[Runtime, ...], *, unsafe: bool
) -> Iterator[Subject]:
    """Yield an artifact in each of the runtimes in which programs call it, in each way in which they do."""
    format_ = artifact.format
    options = replace(format_.options(artifact.path), unsafe=unsafe)
    path = str(artifact.path.absolute())
    job = Job(format_.name, path, "", 1, 0, 0, (), (), options, format_.python, format_.javascript)
    ends = (artifact.inputs, artifact.outputs, artifact.own_names)
    for runtime in runtimes:
        for way in runs_calls(format_, runtime, registries):
            if runtime == registries.python:
                yield Subject(artifact.name, f"{PYTHON}, {way}", way, runtime.host, job, *ends)
            else:
                there = replace(job, backend=runtime.backend)
                yield Subject(artifact.name, runtime.name, way, runtime.host, there, *ends)
