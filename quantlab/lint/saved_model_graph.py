"""The child that reads SavedModels with TensorFlow; nothing of a model is run.

It answers a request with the `path` of a folder and a `signature`, which may be null, by one message of the type
`read`: `ops` and `weights` as the fields of `Op` and `WeightFacts`, `inputs` and `outputs` as those of `Port`, and
`version` of the TensorFlow that wrote it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from quantlab.errors import ModelError
from quantlab.foreign import reading
from quantlab.formats.savedmodel.artifact import signature_of
from quantlab.lint.saved_model_kernels import Kernel, kernels_of
from quantlab.lint.subject import KERAS_ROLES, Op, WeightFacts
from quantlab.lint.weights import facts_of
from quantlab.models.graph_ops import reached_nodes
from quantlab.processes import Document, Emit, serve
from quantlab.types import Port

__all__: list[str] = []


def _read(folder: Path, asked: str | None) -> dict[str, Any]:
    from tensorflow.python.tools.saved_model_utils import get_meta_graph_def

    name = signature_of(folder)[0] if asked is None else asked
    meta = get_meta_graph_def(str(folder), "serve")
    if name not in meta.signature_def:
        listed = ", ".join(f"'{one}'" for one in sorted(meta.signature_def) if not one.startswith("__"))
        raise ModelError(
            f"the SavedModel '{folder}' has no signature '{name}' (it has {listed}); name one of them with --signature"
        )
    signature = meta.signature_def[name]
    names = [info.name.split(":")[0] for info in signature.outputs.values()]
    nodes = [node for part in reached_nodes(meta.graph_def, names) for node in part]
    constants = [facts for node in nodes if node.op == "Const" for facts in _constant(node)]
    return {
        "ops": [asdict(_op(node)) for node in nodes if node.op != "Const"],
        "weights": [asdict(facts) for facts in (*_variables(folder, meta.graph_def, names), *constants)],
        "inputs": [asdict(port) for port in _ports(signature.inputs)],
        "outputs": [asdict(port) for port in _ports(signature.outputs)],
        "version": meta.meta_info_def.tensorflow_version,
    }


def _op(node: Any) -> Op:
    return Op(
        name=node.name,
        kind=node.op,
        inputs=tuple(_tensor(name) for name in node.input if not name.startswith("^")),
        outputs=(node.name,),
        attributes={key: plain for key, value in node.attr.items() if (plain := _plain(value)) is not None},
    )


def _tensor(name: str) -> str:
    """The node that makes a tensor: `a:0` in a graph, `a:output:0` in a function."""
    parts = name.split(":")
    return parts[0] if parts[-1] in {"0", parts[0]} else name


def _plain(value: Any) -> Any:
    from tensorflow.core.framework.types_pb2 import DataType

    kind = value.WhichOneof("value")
    if kind in {"i", "f", "b"}:
        return getattr(value, kind)
    if kind == "s":
        return value.s.decode(errors="replace")
    return DataType.Name(value.type) if kind == "type" else None


def _ports(tensors: Any) -> Iterator[Port]:
    import tensorflow as tf

    for place, (name, info) in enumerate(sorted(tensors.items())):
        sizes = tuple(None if part.size < 0 else int(part.size) for part in info.tensor_shape.dim)
        dtype = tf.dtypes.as_dtype(info.dtype)
        yield Port(name, info.name, place, sizes, "string" if dtype == tf.string else dtype.name)


_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_NOT_OF_THE_MODEL = ("optimizer", "OPTIMIZER_SLOT", "keras_api/", "save_counter")


def _variables(folder: Path, graph: Any, outputs: Sequence[str]) -> Iterator[WeightFacts]:
    """Every variable of the checkpoint, without the state of an optimizer."""
    import tensorflow as tf

    if not (folder / "variables" / "variables.index").is_file():
        return
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    kernels = kernels_of(graph, outputs, reader.get_tensor)
    names = _kernel_names(kernels)
    for name in sorted(reader.get_variable_to_shape_map()):
        if not name.endswith(_SUFFIX) or any(part in name for part in _NOT_OF_THE_MODEL):
            continue
        place = name.removesuffix(_SUFFIX)
        owner, _, last = place.rpartition("/")
        values, kernel = reader.get_tensor(name), kernels.get(name)
        if kernel is None:
            yield _variable(place, owner, last.lstrip("_"), values)
        else:
            facts = facts_of(names.get(name, place), values, kernel.axes, role=kernel.role, owner=kernel.op)
            yield replace(facts, factors=kernel.factors)


def _kernel_names(kernels: Mapping[str, Kernel]) -> Mapping[str, str]:
    """Key of a kernel → the scope of its op, which in models of Keras ends in the name of the layer, and its role.

    Keys are often numbers. Kernels without a scope, and several of one scope, are left out.
    """
    named = {
        key: f"{scope}/{'depthwise_' if kernel.role == 'depthwise' else ''}kernel"
        for key, kernel in kernels.items()
        if (scope := kernel.op.rpartition("/")[0])
    }
    counts = Counter(named.values())
    return {key: name for key, name in named.items() if counts[name] == 1}


def _variable(place: str, owner: str, last: str, values: Any) -> WeightFacts:
    role = KERAS_ROLES.get(last, "kernel" if values.ndim > 1 and "kernel" in last else "constant")
    axes = (-2, -1) if role == "depthwise" else (-1,) if role == "kernel" else ()
    return facts_of(place, values, axes, role=role, owner=owner)


def _constant(node: Any) -> Iterator[WeightFacts]:
    import tensorflow as tf

    values = tf.make_ndarray(node.attr["value"].tensor)
    if values.dtype.kind in "iuf" and values.size:
        yield facts_of(node.name, values)


def _answer(request: Document, emit: Emit) -> None:
    path = Path(request["path"])
    with reading(path, ModelError, "it may be damaged, so copy or save it again"):
        emit({"type": "read", **_read(path, request["signature"])})


if __name__ == "__main__":
    serve(_answer)
