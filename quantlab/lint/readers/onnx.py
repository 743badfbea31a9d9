"""Reads an ONNX file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quantlab.formats.onnx.artifact import inspect
from quantlab.formats.onnx.file import dtype_name, graphs_of, read_onnx, shape_of
from quantlab.formats.onnx.weights import weights_of
from quantlab.lint.subject import Op, Role, Subject, TensorFacts
from quantlab.lint.weights import facts_of_stored
from quantlab.types import StoredWeight

__all__ = ["read"]


def read(path: Path) -> Subject:
    """Read ports, ops of all graphs, and every constant.

    Raises:
        ArtifactError: If the file is not a complete ONNX file.
    """
    model, contents = read_onnx(path), inspect(path)
    ops = tuple(_ops(model))
    readers: dict[str, tuple[Op, int]] = {}
    for op in ops:
        for slot, name in enumerate(op.inputs):
            readers.setdefault(name, (op, slot))
    return Subject(
        path=str(path),
        kind="ONNX",
        name=path.name,
        inputs=contents.inputs,
        outputs=contents.outputs,
        ops=ops,
        tensors=_tensors(model),
        weights=tuple(facts_of_stored(weight, *_use(weight, readers)) for weight in weights_of(model)),
        held=contents.weights,
        metadata=_metadata(model),
    )


def _ops(model: Any) -> Iterator[Op]:
    for graph in graphs_of(model.graph):
        for node in graph.node:
            yield Op(
                name=node.name or (node.output[0] if node.output else node.op_type),
                kind=node.op_type,
                inputs=tuple(name for name in node.input if name),
                outputs=tuple(name for name in node.output if name),
                attributes=dict(_attributes(node)),
                domain=node.domain,
            )


def _attributes(node: Any) -> Iterator[tuple[str, Any]]:
    """Numbers, texts and lists of integers; tensors and graphs are left out."""
    for held in node.attribute:
        if held.HasField("i"):
            yield held.name, int(held.i)
        elif held.HasField("f"):
            yield held.name, float(held.f)
        elif held.HasField("s"):
            yield held.name, held.s.decode(errors="replace")
        elif held.ints:
            yield held.name, tuple(held.ints)


def _tensors(model: Any) -> dict[str, TensorFacts]:
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return {value.name: TensorFacts(shape_of(value), dtype_name(value.type.tensor_type.elem_type)) for value in values}


_KERNELS = frozenset(
    {"Conv", "ConvInteger", "ConvTranspose", "Gemm", "MatMul", "MatMulInteger", "QGemm", "QLinearConv", "QLinearMatMul"}
)
_THROUGH = frozenset({"DequantizeLinear", "Cast", "Transpose", "Identity", "Reshape"})


def _use(weight: StoredWeight, readers: Mapping[str, tuple[Op, int]]) -> tuple[Role, str]:
    """What a constant does, and the op that computes with it: behind conversions, at most four."""
    op, slot = readers.get(weight.name, (None, 0))
    for _ in range(4):
        if op is None or op.kind not in _THROUGH or slot != 0 or not op.outputs:
            break
        op, slot = readers.get(op.outputs[0], (None, 0))
    if op is None:
        return "constant", ""
    if op.kind not in _KERNELS or len(weight.shape) < 2:
        return ("bias" if op.kind in _KERNELS and slot > 1 else "constant"), op.name
    group = op.attributes.get("group", 1)
    return ("depthwise" if group > 1 and group == weight.shape[0] else "kernel"), op.name


def _metadata(model: Any) -> dict[str, str]:
    opsets = {f"opset {entry.domain or 'ai.onnx'}": str(entry.version) for entry in model.opset_import}
    return {"tool": model.producer_name, "version": model.producer_version, "ir": str(model.ir_version), **opsets}
