"""Reads a TFLite file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quantlab.formats.tflite.artifact import inspect, minimum_runtime
from quantlab.formats.tflite.flatbuffer import (
    indices,
    operator_name,
    operator_version,
    read_flatbuffer,
    tensor_dtype,
    text,
)
from quantlab.formats.tflite.ops import ops_of
from quantlab.formats.tflite.weights import weights_of
from quantlab.lint.subject import Op, Role, Subject, TensorFacts
from quantlab.lint.weights import facts_of_stored
from quantlab.types import StoredWeight

__all__ = ["read"]


def read(path: Path) -> Subject:
    """Read ports, ops and tensors of all subgraphs, and every constant.

    Raises:
        ArtifactError: If the file is not a complete TFLite file.
    """
    model, contents = read_flatbuffer(path), inspect(path)
    ops = tuple(_ops(model))
    roles = _roles(ops)
    return Subject(
        path=str(path),
        kind="TFLite",
        name=path.name,
        inputs=contents.inputs,
        outputs=contents.outputs,
        ops=ops,
        tensors=_tensors(model),
        weights=tuple(facts_of_stored(weight, *_use(weight, roles)) for weight in weights_of(model)),
        held=contents.weights,
        metadata=_metadata(path, model),
    )


def _names(graph: Any, place: int) -> list[str]:
    """Names of a subgraph's tensors, unique in the file: files may give several tensors of one subgraph a name."""
    names, seen = [], dict[str, int]()
    for tensor in graph.tensors:
        name = text(tensor.name)
        seen[name] = seen.get(name, 0) + 1
        unique = name if seen[name] == 1 else f"{name}#{seen[name]}"
        names.append(unique if not place else f"{unique} (subgraph {place})")
    return names


def _ops(model: Any) -> Iterator[Op]:
    computes = iter(ops_of(model, ""))  # of the same operators in the same order
    for place, graph in enumerate(model.subgraphs):
        names = _names(graph, place)
        for operator in graph.operators or ():
            kind = operator_name(model, operator)
            outputs = tuple(names[index] for index in indices(operator.outputs) if index >= 0)
            yield Op(
                name=outputs[0] if outputs else kind,
                kind=kind,
                inputs=tuple(names[index] for index in indices(operator.inputs) if index >= 0),
                outputs=outputs,
                attributes={**_attributes(operator.builtinOptions), "computes_in": next(computes).computes_in},
                version=operator_version(model, operator),
                domain="custom" if model.operatorCodes[operator.opcodeIndex].customCode is not None else "",
            )


def _attributes(options: Any) -> Mapping[str, Any]:
    plain = (bool, int, float)
    return {} if options is None else {key: value for key, value in vars(options).items() if isinstance(value, plain)}


def _tensors(model: Any) -> dict[str, TensorFacts]:
    tensors = {}
    for place, graph in enumerate(model.subgraphs):
        for name, tensor in zip(_names(graph, place), graph.tensors, strict=True):
            shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
            tensors[name] = TensorFacts(
                shape=tuple(None if size < 0 else size for size in indices(shape)),
                dtype=tensor_dtype(tensor),
                scales=_floats(tensor, "scale"),
                zero_points=tuple(int(zero) for zero in _floats(tensor, "zeroPoint")),
                variable=bool(tensor.isVariable),
            )
    return tensors


def _floats(tensor: Any, field: str) -> tuple[float, ...]:
    values = getattr(tensor.quantization, field, None)
    return () if values is None else tuple(float(value) for value in values)


_KERNELS: Mapping[str, Role] = {
    "CONV_2D": "kernel",
    "FULLY_CONNECTED": "kernel",
    "TRANSPOSE_CONV": "kernel",
    "CONV_3D": "kernel",
    "DEPTHWISE_CONV_2D": "depthwise",
}
"""Ops whose input 1 is a kernel, and input 2 a bias."""


def _roles(ops: tuple[Op, ...]) -> Mapping[str, tuple[Role, str]]:
    """First output of an op, and op and place as in a weight's key → what the kernel does, and the op's kind."""
    return {op.name: (_KERNELS.get(op.kind, "constant"), op.kind) for op in ops}


def _use(weight: StoredWeight, roles: Mapping[str, tuple[Role, str]]) -> tuple[Role, str]:
    role, _ = roles.get(weight.feeds, ("constant", ""))
    slot = weight.keys[0].rpartition(", input ")[2] if weight.keys else ""
    if role == "constant" or slot not in {"1", "2"}:
        return "constant", weight.feeds
    return (role if slot == "1" else "bias"), weight.feeds


def _metadata(path: Path, model: Any) -> dict[str, str]:
    told = {"schema": str(model.version), "tool": text(model.description) if model.description else ""}
    minimum = minimum_runtime(path)
    if minimum:
        told["minimum_runtime"] = minimum
    return told
