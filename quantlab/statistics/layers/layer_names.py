"""Which layer of the reference a node of its graph belongs to, told from the node's name.

TensorFlow names a node by the scopes it was made in: `StatefulPartitionedCall/model/block/conv2d/BiasAdd` is the op
`BiasAdd` of the layer `conv2d`, inside `block`, inside `model`, called through a function.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["layer_of", "layers_of", "path_of"]

_CALL: Final = re.compile(r"(Stateful)?PartitionedCall(_\d+)?")
_NUMBER: Final = re.compile(r"_(\d+)$")

_INNER_SCOPES: Final = frozenset(
    {
        "BiasAdd", "Cast", "Conv1D", "Conv2D", "FusedBatchNormV3", "Gelu", "MatMul", "Reshape", "TensorArrayUnstack",
        "TensorArrayV2Stack", "Tensordot", "batchnorm", "convolution", "depthwise", "einsum", "moments", "ones",
        "strided_slice", "while", "zeros",
    }
)  # fmt: skip
"""Scopes that ops open within a layer. None is a name that Keras gives to a layer by itself, as `add` would be."""

_KERAS_2_OPS: Final = frozenset({"Conv2D", "FusedBatchNormV3"})
"""Names that ops of Keras 3, which calls `convolution` and `batchnorm`, never have."""


def path_of(node_name: str) -> tuple[str, ...]:
    """Split a node's name, without its output's number and the functions it was called through.

    >>> path_of("StatefulPartitionedCall/model/dense/BiasAdd:0")
    ('model', 'dense', 'BiasAdd')
    """
    return tuple(part for part in node_name.partition(":")[0].split("/") if part and not _CALL.fullmatch(part))


def layer_of(node_name: str) -> str:
    """Return the path of the layer, from the outermost scope; empty for a node outside of every layer.

    The op goes, and the scopes that ops open within a layer. The scope of the model itself stays: only the other
    names tell that it is one, see `layers_of`.

    >>> layer_of("StatefulPartitionedCall/model_1/block_1/batch_normalization_1/batchnorm/add_1")
    'model_1/block_1/batch_normalization_1'
    >>> layer_of("StatefulPartitionedCall/Identity")
    ''
    """
    *scopes, _ = path_of(node_name) or ("",)
    if scopes[:1] == ["Func"]:  # what inlining a function leaves behind
        return ""
    dropped: set[str] = set()
    # The outermost scope stays, and a layer named `batchnorm` that holds the scope `batchnorm`.
    while len(scopes) > 1 and (scope := _NUMBER.sub("", scopes[-1])) in _INNER_SCOPES - dropped:
        dropped.add(scope)
        scopes.pop()
    return "/".join(scopes)


def layers_of(node_names: Iterable[str]) -> dict[str, str]:
    """Return each node's layer by the name that the model's summary shows it under, as `block/conv2d`.

    Beside what `layer_of` does, the model's own scope goes where every layer stands in it, unless nothing would
    remain. And where Keras 3 exported the model, the `_1` that it puts behind every name goes: that is where each name
    is numbered, whatever has another number is there with `_1` too (a layer that is called again), and no op has a
    name that only Keras 2 gives.
    """
    names = list(node_names)
    paths = {name: layer.split("/") if (layer := layer_of(name)) else [] for name in names}
    layers = [path for path in paths.values() if path]
    if _keras_3_numbered(layers) and _KERAS_2_OPS.isdisjoint(path_of(name)[-1] for name in names if path_of(name)):
        paths = {name: [part.removesuffix("_1") for part in path] for name, path in paths.items()}
    outermost = {path[0] for path in paths.values() if path}
    shared = len(outermost) == 1 and any(len(path) > 1 for path in paths.values())
    return {name: "/".join((path[1:] or path) if shared else path) for name, path in paths.items()}


def _keras_3_numbered(layers: Iterable[Sequence[str]]) -> bool:
    scopes = {tuple(path[: depth + 1]) for path in layers for depth in range(len(path))}
    return bool(scopes) and all(
        _NUMBER.search(last) and (*outer, _NUMBER.sub("_1", last)) in scopes for *outer, last in scopes
    )
