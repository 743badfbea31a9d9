"""What is known of a format: the contract of this family, from which every other table is derived."""

import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from quantlab.errors import ArtifactError
from quantlab.foreign import reading
from quantlab.types import OpRow, Port, Setting, StoredWeight, TapSpec, float32_of
from quantlab.types.executor_options import ExecutorOptions

__all__ = ["Contents", "Format", "JavaScriptExecutor", "PythonExecutor", "files_below", "later"]


_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Contents:
    """What an artifact holds, read from its own bytes."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    """Positions count as the artifact itself does; without names of their own they follow the model's sorted names."""
    weights: Mapping[str, int]
    """Bytes of stored weights by stored dtype; integers that are shapes or indices count as `int32` and `int64`."""
    notes: tuple[str, ...] = ()
    """What is wrong with it at first sight, as weights that are infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonExecutor:
    """What runs a format's artifacts in a Python worker; functions are named as `module:function`.

    The worker imports them, and nothing else does: they may import TensorFlow.
    """

    load: str
    """From a job to its `Execution`."""
    library: str
    """The module that `load` imports, so that its time and memory can be told from a variant's."""
    packages: tuple[str, ...]
    """Distributions whose versions the outputs depend on."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What else is always so of where it ran."""
    tap: str
    """From a job and names of tensors to what reads them, a `TappedExecution`."""
    list_taps: str | None = None
    """From a job to its tensors; None where `Format.taps` lists them without running anything."""
    isolated: "PythonExecutor | None" = None
    """The same with each op by itself, fed with what the float32 graph feeds it; None where that cannot be had.

    Its jobs name the float32 artifact among their options.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class JavaScriptExecutor:
    """What runs a format's artifacts in Node.js and browsers; the code is the format's file in `runtimes/js`."""

    label: str
    """The library as people call it."""
    backends: tuple[str, ...]
    """Those that it runs on, as runtimes name them."""
    packages: tuple[str, ...]
    """npm packages of the bundle whose versions the outputs depend on."""
    native: str | None = None
    """The npm package that runs it on kernels of the machine's own, on the backend `native`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A member of the family; nothing here imports TensorFlow."""

    name: str
    settings: tuple[Setting, ...]
    """In the order of the table, the float32 baseline among them."""
    targets: tuple[str, ...] = ()
    """Where it is shipped to."""
    alone: str | None = None
    """What its files are called where they are run one sample at a time; None where they take batches."""
    as_model: str | None = None
    """The kind of model that is an artifact of this format already; None where there is none."""
    loaded: str | None = None
    """What becomes of weights when they are loaded, where that takes back what quantization saves."""
    looks: str
    """What the user gives to bring one, in words: `a .tflite file`."""
    inspect: Callable[[Path], Contents]
    """From what `served` names; raises ArtifactError where it is not what it must be."""
    recognizes: Callable[[Path], bool]
    """Whether a file or folder looks like one, by its names and first bytes."""
    served: Callable[[Path], Path] = lambda folder: folder
    """From the folder a converter wrote into to what is shipped."""
    files: Callable[[Path], list[Path]]
    """From what is served to every file that must be, in order of their names."""
    weights: Callable[[Path], Iterator[StoredWeight]]
    """Every constant of what is served, decoded, in the file's order; nothing is run. Raises as `inspect` does."""
    ops: Callable[[Path, str], tuple[OpRow, ...]] = lambda _, __: ()
    """From what is served and the setting's name: what each op computes in; none where all compute in one type."""
    minimum_runtime: Callable[[Path], str | None] = lambda _: None
    """From what is served to the least version of the format's runtime that runs it, where it tells of one."""
    options: Callable[[Path], ExecutorOptions] = lambda _: ExecutorOptions()
    """From what is served to what executors must be told beside it."""
    taps: Callable[[Path], tuple[TapSpec, ...]] | None = None
    """Every tensor inside, in order of execution; None where the Python worker lists them, since only it can."""
    write_tapped: Callable[[Path, Path, Collection[str]], tuple[int, ...]] | None = None
    """Writes a copy of what is served that gives the named taps as further outputs.

    It gives each name's place among the copy's outputs, in the order of `taps`, which it needs. None where runtimes
    read inside the artifact itself.
    """
    python: PythonExecutor
    javascript: JavaScriptExecutor | None = None
    """None where it runs in Python only."""

    def __post_init__(self) -> None:
        baseline = float32_of(self.name)
        if baseline not in {setting.name for setting in self.settings}:
            raise ValueError(f"the format '{self.name}' has no float32 baseline; add the setting '{baseline}'")


def files_below(path: Path) -> list[Path]:
    """Every file of a folder, in order of their names; a file is its own."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def later(name: str) -> Callable[..., Any]:
    """A function, named as `module:function`, whose module is imported when it is called.

    Descriptors are read by every command, and most open no artifact: what reads one imports NumPy and more. An
    artifact is foreign bytes, so that whatever reading it raises is an ArtifactError that names the file.
    """

    def call(path: Path, *arguments: Any) -> Any:
        with reading(path, ArtifactError, _REMEDY):
            result = pkgutil.resolve_name(name)(path, *arguments)
        return _guarded(result, path) if isinstance(result, Iterator) else result

    return call


_REMEDY = "it may be damaged or of another format, so convert the model again"


def _guarded(values: Iterator[_Value], path: Path) -> Iterator[_Value]:
    """The same values; what raises in the middle is an error of ours."""
    with reading(path, ArtifactError, _REMEDY):
        yield from values
