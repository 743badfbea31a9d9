"""The contract of a format: everything that quantlab knows about it; tables elsewhere are derived from this."""

import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from quantlab.errors import ArtifactError
from quantlab.foreign import reading
from quantlab.formats.programs import Comparison, Program
from quantlab.formats.snippets import Wanted
from quantlab.types import Codes, OpRow, Port, Setting, StoredWeight, TapSpec, float32_of
from quantlab.types.executor_options import ExecutorOptions
from quantlab.types.reduction import CutGraph

__all__ = [
    "Contents",
    "Format",
    "JavaScriptExecutor",
    "PythonExecutor",
    "files_below",
    "later",
    "program",
    "snippet",
]


_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Contents:
    """Contents of an artifact, read from its bytes."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    """Ports in the artifact's own order; unnamed ports are assigned to the model's names in sorted order."""
    weights: Mapping[str, int]
    """Stored data type → bytes of weights; integers that are shapes or indices count as `int32` and `int64`."""
    notes: tuple[str, ...] = ()
    """Problems that are visible without running it, such as infinite weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonExecutor:
    """Runs a format's artifacts in a Python child process. Functions are given as `module:function`.

    Only the child process imports them, so they may import TensorFlow.
    """

    load: str
    """Function from a job to its `Execution`."""
    library: str
    """The module that `load` imports; its load time and memory are measured separately from the variant's."""
    packages: tuple[str, ...]
    """Python packages whose versions affect the outputs."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Constant entries of the recorded environment."""
    tap: str
    """Function from a job and tensor names to a `TappedExecution` that reads these tensors."""
    list_taps: str | None = None
    """Function from a job to its tensors; None if `Format.taps` lists them without running anything."""
    raw: Mapping[str, str] = field(default_factory=dict)
    """How programs call an artifact, as they write it → function from a job to its `RawCalls`; empty if no program
    calls it in Python."""
    parts: str | None = None
    """The same for a part of an artifact (`Format.write_cut`), if `raw` is empty; only quantlab calls that."""
    stands_in: bool = False
    """Whether it runs the artifact with another library than the one that it is made for, which may read it otherwise.

    Then a trial in Python is checked on a few samples in a JavaScript runtime.
    """
    isolated: "PythonExecutor | None" = None
    """Executor that runs each op alone, with inputs from the float32 graph; None if the format does not support it, or
    writes a file that does (`Format.write_isolated`).

    Its jobs name the float32 artifact in their options.
    """
    swapped: "PythonExecutor | None" = None
    """Executor that runs the float32 artifact with some weights of the variant; None if artifacts in between must be
    converted.

    Its jobs name the float32 artifact and the weights in their options.
    """

    @property
    def with_tensorflow(self) -> bool:
        """Whether TensorFlow computes the outputs."""
        return "tensorflow" in self.packages


@dataclass(frozen=True, slots=True, kw_only=True)
class JavaScriptExecutor:
    """Runs a format's artifacts in Node.js and browsers; the code is in the format's file in `runtimes/js`."""

    label: str
    """Display name of the library."""
    backends: tuple[str, ...]
    """Backends of runtimes that can execute the format."""
    packages: tuple[str, ...]
    """npm packages of the bundle whose versions affect the outputs."""
    native: str | None = None
    """npm package with native kernels, used for the backend `native`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """Descriptor of one format; must not import TensorFlow."""

    name: str
    settings: tuple[Setting, ...]
    """Settings in table order, including the float32 baseline."""
    targets: tuple[str, ...] = ()
    """Deployment targets of the format."""
    alone: str | None = None
    """Display name if the format runs one sample per call, otherwise None."""
    served_by_signature: bool = False
    """Whether servers of models load its artifacts and call them by the name of a signature."""
    as_model: str | None = None
    """Kind of model whose file is already an artifact of this format; None if artifacts cannot be the reference."""
    exported: bool = False
    """Whether libraries for training export models straight to this format, so that a file alone is called a model."""
    write_float: Callable[[Path, Path], None] | None = None
    """Writes the artifact with the same weights in float32 into a new folder, in which `served` finds it.

    None if artifacts whose weights are stored in less cannot be the reference.
    """
    loaded: str | None = None
    """How loading changes the weights, if it undoes the memory savings of quantization; otherwise None."""
    looks: str
    """What the user can give as an artifact, in words: `a .tflite file`."""
    inspect: Callable[[Path], Contents]
    """Reads the artifact at the path that `served` returns; raises ArtifactError if it is invalid."""
    recognizes: Callable[[Path], bool]
    """Whether a file or folder has this format, judged by its names and first bytes."""
    served: Callable[[Path], Path] = lambda folder: folder
    """Function from a converter's output folder to the artifact in it."""
    entry: str = ""
    """Name of the file that a library opens if the artifact is a folder; empty if it is a file."""
    files: Callable[[Path], list[Path]]
    """Function from the artifact to all files that must be served, sorted by name."""
    weights: Callable[[Path], Iterator[StoredWeight]]
    """Every constant of the artifact, decoded, in file order; executes nothing. Raises like `inspect`."""
    ops: Callable[[Path, str], tuple[OpRow, ...]] = lambda _, __: ()
    """Function from artifact and setting name to the number type of each op; empty if all ops use the same type."""
    minimum_runtime: Callable[[Path], str | None] = lambda _: None
    """Function from the artifact to the oldest runtime version that can execute it; None if it is not recorded."""
    decoded_bytes: Callable[[Path], int] = lambda _: 0
    """Function from the artifact to the bytes of the weights that it decodes itself, anew in each call."""
    options: Callable[[Path], ExecutorOptions] = lambda _: ExecutorOptions()
    """Function from the artifact to additional options for executors."""
    taps: Callable[[Path], tuple[TapSpec, ...]] | None = None
    """Every tensor inside, in execution order; None if only the Python child process can list them."""
    recorded_inputs: Callable[[Path], Mapping[str, Codes]] = lambda _: {}
    """Function from the artifact to the codes that its first op makes of an input of floats: name of the input in the
    artifact → the codes; without inputs that no op quantizes."""
    drawn: Callable[[Path], Path] | None = None
    """Function from the artifact to the file that Google's Model Explorer opens, in which nodes or their outputs have
    the names of taps; None if it opens none."""
    write_tapped: Callable[[Path, Path, Collection[str]], tuple[int, ...]] | None = None
    """Writes a copy of the artifact that returns the named taps as additional outputs.

    Returns the index of each name among the copy's outputs, in the order of `taps`, which is required. The field is
    None if runtimes read tensors inside the original artifact.
    """
    write_isolated: Callable[[Path, Path, Path, Mapping[str, str], Collection[str]], tuple[int, ...]] | None = None
    """Writes an artifact that runs each op of a variant alone, with inputs from the float32 graph.

    Arguments: the float32 artifact, the variant, the file to write, tap of the variant → tap of the float32 artifact,
    and the names of the taps to return. Returns the same as `write_tapped`, whose executor runs it. None if the format
    has `PythonExecutor.isolated`, or does not support it.
    """
    cut_graph: Callable[[Path], CutGraph] | None = None
    """The ops of an artifact, and the tensors at which it can be cut; None if artifacts cannot be cut."""
    write_cut: Callable[[Path, Path, Mapping[str, tuple[int, ...]], Sequence[str]], None] | None = None
    """Writes the part of an artifact that computes some tensors from others, all of them as float32.

    Arguments: the artifact, the file or folder to write, the tensors that the part takes with the shapes of their
    values, and the tensors that it gives, in the order of its inputs and outputs. None as `cut_graph`.
    """
    reproduce: Callable[[Comparison], Program] | None = None
    """Writes a program that runs a part without quantlab; None as `cut_graph`."""
    write_for_javascript: Callable[[Path, Path], str | None] | None = None
    """Writes a copy of an artifact or of its tapped copy that the JavaScript library can open, if it cannot open the
    artifact itself.

    The copy has the same inputs and outputs in the same places. Returns a note for the row, or None if no copy is
    needed. The field is None if the library opens every artifact.
    """
    snippets: Mapping[str, Callable[[Wanted], str]] = field(default_factory=dict)
    """Language → function that writes the code of a right call, to copy."""
    python: PythonExecutor
    javascript: JavaScriptExecutor | None = None
    """None if the format runs only in Python."""

    def __post_init__(self) -> None:
        baseline = float32_of(self.name)
        if baseline not in {setting.name for setting in self.settings}:
            raise ValueError(f"the format '{self.name}' has no float32 baseline; add the setting '{baseline}'")


def files_below(path: Path) -> list[Path]:
    """All files in a folder and its subfolders, sorted by name; for a file, the file itself."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def later(name: str) -> Callable[..., Any]:
    """Return a function that imports `module:function` when it is called.

    Every command reads the descriptors, but most open no artifact and should not import NumPy and other libraries.
    Artifacts are foreign bytes: whatever exception the function raises is converted to an ArtifactError that names the
    file.
    """

    def call(path: Path, *arguments: Any) -> Any:
        with reading(path, ArtifactError, _REMEDY):
            result = pkgutil.resolve_name(name)(path, *arguments)
        return _guarded(result, path) if isinstance(result, Iterator) else result

    return call


def snippet(name: str) -> Callable[[Wanted], str]:
    """Return a function that imports `module:function` when it is called, and writes code to copy."""
    return lambda wanted: str(pkgutil.resolve_name(name)(wanted))


def program(name: str) -> Callable[[Comparison], Program]:
    """The same for a program that runs a sub-graph."""

    def written(comparison: Comparison) -> Program:
        made: Program = pkgutil.resolve_name(name)(comparison)
        return made

    return written


_REMEDY = "it may be damaged or of another format, so convert the model again"


def _guarded(values: Iterator[_Value], path: Path) -> Iterator[_Value]:
    """Yield the same values; exceptions of the iterator are converted to an ArtifactError."""
    with reading(path, ArtifactError, _REMEDY):
        yield from values
