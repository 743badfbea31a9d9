"""Opens an ONNX model as the reference, and any ONNX file as a session of onnxruntime."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ArtifactError, ModelError, QuantlabError
from quantlab.formats.onnx.file import graph_inputs, graphs_of, read_onnx, save_onnx, shape_of
from quantlab.models.artifacts import as_artifact
from quantlab.models.files import ModelFile, ModelOptions
from quantlab.models.float_copy import float_artifact
from quantlab.models.onnx_sums import PRECISE, saturates, with_own_weights
from quantlab.models.reference import Reference
from quantlab.types import ModelDescription, TensorSpec

__all__ = ["open_onnx_reference", "open_onnx_session"]

Array = npt.NDArray[Any]

_NUMBERS = frozenset(
    {
        "bool", "float16", "float32", "float64",
        "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    }
)  # fmt: skip
_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(string)": "str"}


def open_onnx_session(path: Path, error: type[QuantlabError]) -> Any:
    """Open an `onnxruntime.InferenceSession` with the CPU provider and one thread.

    Sums of int8 products are exact on every processor, see `models/onnx_sums.py`.

    Args:
        path: The file.
        error: Exception class for a refused file; if an op is not supported, the message names the op and its node.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal errors only
    try:
        return _session(path, options)
    except Exception as refused:  # onnxruntime's exceptions share no base class of their own
        raise error(_explained(path, " ".join(str(refused).split()))) from refused


def _session(path: Path, options: Any) -> Any:
    from onnxruntime import InferenceSession

    providers = ["CPUExecutionProvider"]
    if not saturates():
        return InferenceSession(str(path), options, providers=providers)
    options.add_session_config_entry(PRECISE, "1")
    try:
        return InferenceSession(str(path), options, providers=providers)
    except Exception:
        separate = with_own_weights(path)
        if separate is None:
            raise
        return InferenceSession(separate, options, providers=providers)


_LACKING = r"Could not find an implementation for ([\w.]+)\((\d+)\) node with name '([^']*)'"
_UNKNOWN = (
    r"(?:No Op registered for|Fatal error:) (?:(?P<domain>[\w.]+):)?(?P<op>\w+)"
    r"(?:\(-?\d+\))?(?: is not a registered| with domain_version)"
)
_NO_DOMAIN = r"In Node, \(\"(?P<node>[^\"]*)\", (?P<op>\w+), .*No opset import for domain '(?P<domain>[^']*)'"
_OPSET = r"Opset (\d+) is under development.*?till opset (\d+)"
_IR = r"Unsupported model IR version: (\d+), max supported IR version: (\d+)"


def _explained(path: Path, text: str) -> str:
    if lacking := re.search(_LACKING, text):
        op, version, node = lacking.groups()
        return (
            f"onnxruntime has no kernel for the op {op} (version {version}) of the node '{node}' in '{path.name}'; "
            f"export the model with another opset, or replace the layer that uses it"
        )
    if unknown := re.search(_UNKNOWN, text) or re.search(_NO_DOMAIN, text):
        domain = f" of the domain '{unknown['domain']}'" if unknown["domain"] else ""
        return (
            f"onnxruntime does not support the op {unknown['op']}{domain} of the node '{_node(path, unknown['op'])}' "
            f"in '{path.name}'; export the model with standard ONNX ops or ops of com.microsoft"
        )
    if (opset := re.search(_OPSET, text)) or (opset := re.search(_IR, text)):
        what = "opset" if "Opset" in opset[0] else "IR version"
        return (
            f"'{path.name}' has {what} {opset[1]}, and this onnxruntime supports up to {opset[2]}; export it with that "
            f"{what} or an older one"
        )
    return f"onnxruntime could not open '{path.name}': {text[:300]}; export it again or see --debug"


def _node(path: Path, op: str) -> str:
    """Name of the first node with this op, or of its first output if the node has no name."""
    graphs = graphs_of(read_onnx(path, weights=False, error=ModelError).graph)
    return next((node.name or node.output[0] for graph in graphs for node in graph.node if node.op_type == op), "")


def open_onnx_reference(file: ModelFile, options: ModelOptions, shaped: Path) -> Reference:
    """Open an ONNX model as a function from batches of arrays to arrays.

    Args:
        file: The result of `identify`.
        options: Only `shapes` is used.
        shaped: Path to which the model is written with these shapes; converters then start from that file.

    Raises:
        ModelError: If onnxruntime cannot open it, an input or output is unsupported, or a shape does not match.
    """
    source = _float_file(file, shaped.parent.with_name("float"))
    if options.shapes:
        source = shaped
        if not shaped.is_file():  # do not rewrite it: converters may be reading it
            _write_shaped(source, options.shapes, shaped)
    session = open_onnx_session(source, ModelError)
    _refuse_ports(session, file.path)
    description = ModelDescription(
        path=str(file.path),
        kind=file.kind,
        sha256=file.sha256,
        inputs=tuple(_spec(value, file.path) for value in session.get_inputs()),
        outputs=tuple(_spec(value, file.path) for value in session.get_outputs()),
        parameters=_parameters(source),
        decoded_from=file.narrow,
    )
    names = [spec.name for spec in description.outputs]

    def call(arrays: Sequence[Array]) -> list[Array]:
        feeds = {spec.name: array for spec, array in zip(description.inputs, arrays, strict=True)}
        try:
            return [np.asarray(output) for output in session.run(names, feeds)]
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise ModelError(
                f"onnxruntime could not run '{file.path}': {' '.join(str(error).split())[:300]}; check the samples' "
                f"shapes, or export the model again"
            ) from error

    return Reference(description, source.absolute(), call, format="onnx")


def _float_file(file: ModelFile, folder: Path) -> Path:
    """The file, or a copy that computes in float32 if it is quantized."""
    found = as_artifact(file.path)
    if found is None:
        return file.path
    try:
        return float_artifact(found[0], found[1], file.narrow, folder)
    except ArtifactError as error:
        raise ModelError(str(error)) from error


def _write_shaped(path: Path, shapes: Mapping[str, tuple[int, ...]], target: Path) -> None:
    """Write the model with fixed input sizes, as onnxruntime's `make_dynamic_shape_fixed` does."""
    from onnxruntime.tools.onnx_model_utils import fix_output_shapes, make_input_shape_fixed

    model = read_onnx(path, error=ModelError)
    known = {value.name: shape_of(value) for value in graph_inputs(model)}
    for name, sizes in shapes.items():
        if name not in known:
            raise ModelError(f"--shape {name}=… names no input of '{path}'; it has {', '.join(map(repr, known))}")
        fixed = known[name]
        if not fixed:
            raise ModelError(
                f"--shape {name}=… cannot be used, because '{path}' does not state how many dimensions that input has; "
                f"export it with shapes"
            )
        if len(fixed) != len(sizes) or any(a not in (None, b) for a, b in zip(fixed, sizes, strict=True)):
            told = ",".join("?" if size is None else str(size) for size in fixed)
            raise ModelError(
                f"--shape {name}={','.join(map(str, sizes))} does not match the input's shape {told}; "
                f"give a size for each ? and keep the other sizes"
            )
        make_input_shape_fixed(model.graph, name, list(sizes))
    fix_output_shapes(model)
    partial = target.parent.with_name("shaped.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_onnx(model, partial / target.name)
    partial.rename(target.parent)


def _spec(value: Any, path: Path) -> TensorSpec:
    dtype = _DTYPES.get(value.type, value.type.removeprefix("tensor(").removesuffix(")"))
    if dtype not in _NUMBERS:
        raise ModelError(
            f"'{value.name}' of '{path}' holds {'strings' if dtype == 'str' else value.type}, and only numbers that "
            f"NumPy has are supported; export the part of the model with numeric inputs and outputs"
        )
    return TensorSpec(value.name, tuple(size if isinstance(size, int) else None for size in value.shape), dtype)


def _refuse_ports(session: Any, path: Path) -> None:
    for what, ports in (("has no input", session.get_inputs()), ("has no output", session.get_outputs())):
        if not ports:
            raise ModelError(f"'{path}' {what}, so there is nothing to compare; export the whole model")
    for value in session.get_inputs():
        if value.type.startswith("tensor(") and not value.shape:
            raise ModelError(
                f"the input '{value.name}' of '{path}' has no known dimensions, and the first must be the batch; "
                f"export the model with the shapes of its inputs"
            )


def _parameters(path: Path) -> int:
    """Number of elements of the file's float initializers."""
    import onnx

    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16}
    graph = onnx.load(path, load_external_data=False).graph
    return sum(int(np.prod(tensor.dims, dtype=np.int64)) for tensor in graph.initializer if tensor.data_type in floats)
