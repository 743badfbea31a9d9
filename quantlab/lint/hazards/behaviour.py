"""Layers and ops that act otherwise at inference than people expect."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from quantlab.lint.contract import ANY, KERAS, Evidence, Hazard
from quantlab.lint.subject import Layer, Op, Subject, is_foreign
from quantlab.names import counted

__all__ = ["HAZARDS"]

_FUSED_FROM = 1.001e-5
"""With an epsilon from here on, tf_keras computes a LayerNormalization by FusedBatchNormV3 in training mode."""


def _layer_norm(subject: Subject) -> Iterator[Evidence]:
    for layer in subject.layers_of("LayerNormalization"):
        epsilon = layer.config.get("epsilon", 1e-3)
        if isinstance(epsilon, int | float) and epsilon >= _FUSED_FROM and _last_axis(layer.config.get("axis", -1)):
            yield Evidence(
                str(layer), f"with its epsilon {epsilon:g}, every output of the graph-model is NaN", "warning"
            )
    for op in _batch_norms_in_training(subject):
        if _is_layer_norm(subject, op):
            yield Evidence(
                op.name, "a FusedBatchNormV3 in training mode: tfjs divides by variances it does not compute"
            )


def _last_axis(axis: Any) -> bool:
    """Whether a normalization is along one axis; the layer of several axes has ops of its own."""
    return isinstance(axis, int) or (isinstance(axis, list) and len(axis) == 1)


def _batch_norms_in_training(subject: Subject) -> Iterator[Op]:
    """Fused batch norms that compute mean and variance from the batch; a SavedModel leaves out a default, True."""
    for op in subject.ops_of("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"):
        if op.attributes.get("is_training", True):
            yield op


def _is_layer_norm(subject: Subject, op: Op) -> bool:
    """Whether a batch norm in training mode stands for a LayerNormalization, which gives it (1, samples, rest, 1).

    The converter refuses those of a BatchNormalization, so a graph-model has no others.
    """
    return subject.kind == "graph-model" or op.attributes.get("data_format") == "NCHW"


def _training(subject: Subject) -> Iterator[Evidence]:
    for layer in subject.layers:
        if layer.training:
            yield Evidence(str(layer), "it is called with training=True")
    for op in _batch_norms_in_training(subject):
        if not _is_layer_norm(subject, op):
            yield Evidence(op.name, "a batch norm in training mode: it takes mean and variance from the batch", "error")
    for op in subject.ops_of("BatchNormalization"):
        if op.attributes.get("training_mode") == 1:
            yield Evidence(op.name, "a BatchNormalization with training_mode=1", "error")


_RANDOM = re.compile(
    r"^(Stateless(Random|TruncatedNormal|ParameterizedTruncatedNormal).*(?<!GetAlg)(?<!Counter)|Random(?!Crop$).*"
    r"|TruncatedNormal|Multinomial|ParameterizedTruncatedNormal|Bernoulli|RANDOM_.*|MULTINOMIAL)$"
)


def _random(subject: Subject) -> Iterator[Evidence]:
    for op in subject.ops:
        if _RANDOM.match(op.kind) and not op.kind.startswith("StatelessRandomGet"):
            yield Evidence(op.name, f"the op {op.kind} gives another result in every call")


_SMALL_SCALE = 1 / 16


def _double_rescaling(subject: Subject) -> Iterator[Evidence]:
    by_place = {(layer.inside, layer.name): layer for layer in subject.layers}
    for layer in subject.layers:
        if _shrinks(layer):
            first = next((above for above in _above(layer, by_place) if _shrinks(above)), None)
            if first is not None:
                yield Evidence(str(layer), f"its inputs are scaled by {_scale(first):.3g} before, in {first}")


def _shrinks(layer: Layer) -> bool:
    return layer.kind == "Rescaling" and 0 < abs(_scale(layer)) <= _SMALL_SCALE


def _scale(layer: Layer) -> float:
    scale = layer.config.get("scale")
    scale = scale[0] if isinstance(scale, list) and scale else scale
    return float(scale) if isinstance(scale, int | float) else 1.0


def _above(layer: Layer, by_place: Mapping[tuple[str, str], Layer]) -> Iterator[Layer]:
    """Layers whose outputs reach a layer, those before its model included, nearest first."""
    waiting, seen = [layer], set[tuple[str, str]]()
    while waiting:
        last = waiting.pop(0)
        sources = [by_place.get((last.inside, name)) for name in last.sources]
        if not sources and last.inside:
            sources = [other for other in by_place.values() if other.name == last.inside]
            waiting += [other for other in sources if other is not None]
            continue
        for source in sources:
            if source is not None and (source.inside, source.name) not in seen:
                seen.add((source.inside, source.name))
                yield source
                waiting.append(source)


_PASSING = frozenset({"Identity", "Reshape", "RESHAPE", "DEQUANTIZE", "QUANTIZE", "QuantizeLinear", "DequantizeLinear"})
_SOFTMAX = frozenset({"Softmax", "SOFTMAX"})


def _softmax_twice(subject: Subject) -> Iterator[Evidence]:
    by_place = {(layer.inside, layer.name): layer for layer in subject.layers}
    for layer in subject.layers:
        sources = [by_place.get((layer.inside, name)) for name in layer.sources]
        before = next((source for source in sources if source is not None and _ends_in_softmax(source)), None)
        if before is not None and _begins_with_softmax(layer):
            yield Evidence(str(layer), f"its input is a softmax already, of {before}")
    makers = subject.made_by()
    for op in subject.ops:
        first = _behind(op.inputs[0], makers) if op.kind in _SOFTMAX and op.inputs else None
        if first is not None and first.kind in _SOFTMAX:
            yield Evidence(op.name, f"its input is a softmax already, of {first.name}")


def _ends_in_softmax(layer: Layer) -> bool:
    return layer.kind == "Softmax" or layer.config.get("activation") == "softmax"


def _begins_with_softmax(layer: Layer) -> bool:
    return layer.kind == "Softmax" or (layer.kind == "Activation" and layer.config.get("activation") == "softmax")


def _behind(tensor: str, makers: Mapping[str, Op]) -> Op | None:
    """The op that computed a tensor, behind ops that only pass it on."""
    op = makers.get(tensor)
    for _ in range(8):
        if op is None or op.kind not in _PASSING or not op.inputs:
            return op
        op = makers.get(op.inputs[0])
    return op


def _lambda(subject: Subject) -> Iterator[Evidence]:
    for layer in subject.layers_of("Lambda"):
        yield Evidence(str(layer), "it holds Python byte code, which runs when the model is opened")


def _custom(subject: Subject) -> Iterator[Evidence]:
    for layer in subject.layers:
        if is_foreign(layer):
            yield Evidence(str(layer), f"its class is in the module '{layer.module}', which must be imported first")


def _state(subject: Subject) -> Iterator[Evidence]:
    for layer in subject.layers:
        if layer.config.get("stateful") is True:
            yield Evidence(str(layer), "it keeps its state from one call to the next (stateful=True)")
    kept = [name for name, tensor in subject.tensors.items() if tensor.variable]
    if kept:
        yield Evidence(kept[0], f"{counted(len(kept), 'variable')} keep their values from one call to the next")


HAZARDS = (
    Hazard(
        id="LAYERNORM-EPSILON",
        severity="error",
        title="LayerNormalization of tf_keras is NaN as a graph-model",
        happens="With an epsilon of 1.001·10⁻⁵ or more (the default is 10⁻³), tf_keras computes the layer with the op "
        "FusedBatchNormV3 in training mode. TensorFlow.js runs that op as at inference, with means and variances that "
        "are empty: every output is NaN. TFLite, ONNX and layers-models are right, and so is Keras 3.",
        see="`quantlab analyze --settings tfjs-float32`: the outputs are NaN.",
        remedy="Build the layer with `epsilon=1e-5` or in Keras 3, or ship a layers-model, TFLite or ONNX.",
        kinds=("Keras 2", "SavedModel", "graph-model"),
        check=_layer_norm,
        confirmed_by="float32 check",
        formats=("tfjs",),
    ),
    Hazard(
        id="TRAINING-TRUE",
        severity="warning",
        title="a layer acts as in training",
        happens="A batch norm takes mean and variance from the batch, so that a sample's result depends on the others; "
        "a dropout or noise gives another result in every call. The tfjs and TFLite converters refuse some of these "
        "graphs, and a layers-model runs the layer as at inference, without a message.",
        see="`quantlab analyze` runs the model twice and names such layers above the table.",
        remedy="Build the model again without `training=True`, and load the weights into it.",
        kinds=ANY,
        check=_training,
    ),
    Hazard(
        id="RANDOM-OP",
        severity="warning",
        title="an op draws random numbers",
        happens="No two calls give the same result, in any runtime, so that no difference can be measured.",
        see="`quantlab analyze` runs the model twice and names such layers above the table.",
        remedy="Export the model for inference, without augmentation, dropout and noise.",
        kinds=("SavedModel", "graph-model", "TFLite", "ONNX"),
        check=_random,
    ),
    Hazard(
        id="DOUBLE-RESCALING",
        severity="warning",
        title="the model scales its inputs twice",
        happens="Two Rescaling layers follow each other, for example one of the user and one inside a model of "
        "`keras.applications`: pixels end between 0 and 0.004, and all pictures look black to the rest of the model.",
        see="The accuracy of the reference in `quantlab analyze` is near chance.",
        remedy="Remove one of the two, unless the model was trained with both.",
        kinds=KERAS,
        check=_double_rescaling,
    ),
    Hazard(
        id="SOFTMAX-TWICE",
        severity="warning",
        title="a softmax follows a softmax",
        happens="The second one makes all probabilities nearly equal: of ten classes none is above 0.24. The order "
        "stays, but 8 bits have few codes between the classes, and thresholds of probabilities are wrong.",
        see="`quantlab show outputs`: the range of the output.",
        remedy="Remove one of the two.",
        kinds=ANY,
        check=_softmax_twice,
    ),
    Hazard(
        id="LAMBDA-LAYER",
        severity="warning",
        title="a Lambda layer holds Python code",
        happens="Opening the file runs the code, so quantlab refuses it without `--unsafe`. No layers-model has one.",
        see="`quantlab analyze MODEL` names the layer.",
        remedy="Replace it by a layer of Keras or a registered class, or give `--unsafe` if you trust the file.",
        kinds=KERAS,
        check=_lambda,
    ),
    Hazard(
        id="CUSTOM-LAYER",
        severity="note",
        title="a layer is not one of Keras",
        happens="Keras opens the file only if the module of the class was imported; layers-models cannot hold it.",
        see="`quantlab analyze MODEL` names the class.",
        remedy="Give the module with `--custom MODULE`.",
        kinds=KERAS,
        check=_custom,
    ),
    Hazard(
        id="STATE-KEPT",
        severity="warning",
        title="the model keeps a state between calls",
        happens="The result of a sample depends on the samples before it, in the order in which an app runs them. "
        "TFLite files reset the state by `reset_all_variables()`, which apps often do not call.",
        see="Run the same sample twice and compare.",
        remedy="Reset the state before each sample, as quantlab does with TFLite files; or make the state an input and "
        "an output.",
        kinds=(*KERAS, "TFLite"),
        check=_state,
    ),
)
