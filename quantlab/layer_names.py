"""Finds the reference's layer from the name of a graph node.

TensorFlow names a node after the scopes in which it was created: `StatefulPartitionedCall/model/block/conv2d/BiasAdd`
is the op `BiasAdd` of the layer `conv2d`, inside `block`, inside `model`, called through a function.
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
"""Scopes that ops open inside a layer. It holds no default name of a Keras layer, such as `add`."""

_KERAS_2_OPS: Final = frozenset({"Conv2D", "FusedBatchNormV3"})
"""Op names that only Keras 2 produces; Keras 3 uses `convolution` and `batchnorm`."""


def path_of(node_name: str) -> tuple[str, ...]:
    """Split a node's name into components, without the output number and the enclosing function calls.

    >>> path_of("StatefulPartitionedCall/model/dense/BiasAdd:0")
    ('model', 'dense', 'BiasAdd')
    """
    return tuple(part for part in node_name.partition(":")[0].split("/") if part and not _CALL.fullmatch(part))


def layer_of(node_name: str) -> str:
    """Path of the node's layer, from the outermost scope; empty for a node outside every layer.

    The op and the scopes that ops open inside a layer are removed, and all scopes in a layer's loop. The model's own
    scope is kept, because it can be recognized only by comparison with other names; see `layers_of`.

    >>> layer_of("StatefulPartitionedCall/model_1/block_1/batch_normalization_1/batchnorm/add_1")
    'model_1/block_1/batch_normalization_1'
    >>> layer_of("StatefulPartitionedCall/Identity")
    ''
    """
    *scopes, _ = path_of(node_name) or ("",)
    if scopes[:1] == ["Func"]:  # left over from an inlined function
        return ""
    # A loop in a layer is that layer's: `model/lstm/while/body/_9/model/lstm/while/lstm_cell`. One in the model itself
    # may hold many layers.
    loops = [place for place, scope in enumerate(scopes) if place > 1 and _NUMBER.sub("", scope) == "while"]
    scopes = scopes[: loops[0]] if loops else scopes
    dropped: set[str] = set()
    # The outermost scope is kept, and so is a layer named `batchnorm` that contains the scope `batchnorm`.
    while len(scopes) > 1 and (scope := _NUMBER.sub("", scopes[-1])) in _INNER_SCOPES - dropped:
        dropped.add(scope)
        scopes.pop()
    return "/".join(scopes)


def layers_of(node_names: Iterable[str]) -> dict[str, str]:
    """Node name → layer path as in the model's summary, for example `block/conv2d`.

    In addition to `layer_of`, the model's own scope is removed if every layer is inside it and something remains.

    Keras 3 appends `_1` to every name when it exports a model; this suffix is removed. Such an export is recognized by
    three properties: every name has a number; each name with another number (a layer that is called again) also occurs
    with `_1`; and no op has a name that only Keras 2 produces.
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
