"""What TensorFlow.js ignores or refuses in the configuration of a layers-model.

Each was run with tfjs-layers 4.22 against the Keras model that it was converted from. A Keras model is told, too,
because it may become a layers-model; but there the hazard is no error.
"""

from collections.abc import Callable, Iterable, Iterator

from quantlab.lint.contract import Evidence, Hazard
from quantlab.lint.subject import Kind, Layer, Subject
from quantlab.types.lint import Severity

__all__ = ["HAZARDS"]

_KINDS: tuple[Kind, ...] = ("layers-model", "Keras 2", "Keras 3")
_ONLY_KERAS_2: tuple[Kind, ...] = ("layers-model", "Keras 2")

_SEVERITIES: dict[str, Severity] = {"layers-model": "error", "Keras 2": "warning", "Keras 3": "note"}

_SEE = "`quantlab analyze --settings 'tfjs-layers-*'`: the float32 check of the layers-model names the layer."
_LOADS = (
    "`quantlab analyze --settings 'tfjs-layers-*'`: the rows of Node.js and browsers fail with the message of tfjs."
)
_GRAPH = "Convert to a graph-model instead (the settings `tfjs-*`), which computes as Keras does."


def _each(told: Callable[[Subject, Layer], str | None]) -> Callable[[Subject], Iterable[Evidence]]:
    """A check of every layer; the function gives a sentence, or None where all is well."""

    def check(subject: Subject) -> Iterator[Evidence]:
        for layer in subject.layers:
            sentence = told(subject, layer)
            if sentence is not None:
                yield Evidence(str(layer), sentence, _SEVERITIES[subject.kind])

    return check


_DEFAULT_SLOPE = 0.3


def _leaky(_: Subject, layer: Layer) -> str | None:
    slope = layer.config.get("negative_slope")
    if layer.kind != "LeakyReLU" or "alpha" in layer.config or slope in {None, _DEFAULT_SLOPE}:
        return None
    return f"its slope {slope:g} is stored as negative_slope, which tfjs does not read; it uses 0.3"


def _relu(_: Subject, layer: Layer) -> str | None:
    ignored = [key for key in ("negative_slope", "threshold") if layer.config.get(key)]
    if layer.kind != "ReLU" or not ignored:
        return None
    return f"tfjs ignores its {' and '.join(f'{key} {layer.config[key]:g}' for key in ignored)}"


_ACTIVATIONS = ("activation", "recurrent_activation")


def _hard_sigmoid(subject: Subject, layer: Layer) -> str | None:
    if not any(layer.config.get(key) == "hard_sigmoid" for key in _ACTIVATIONS):
        return None
    version = subject.metadata.get("version" if subject.kind == "Keras 3" else "keras", "")
    if subject.kind == "Keras 3" or version.startswith("3"):
        return "hard_sigmoid is relu6(x + 3)/6 in Keras 3, and clip(0.2·x + 0.5, 0, 1) in tfjs and Keras 2"
    return None


def _upsample(_: Subject, layer: Layer) -> str | None:
    if layer.kind != "UpSampling2D" or layer.config.get("interpolation") != "bilinear":
        return None
    return "tfjs interpolates without half-pixel centres, Keras with them"


def _resizing(_: Subject, layer: Layer) -> str | None:
    if layer.kind != "Resizing":
        return None
    return (
        "tfjs passes its list of inputs on as a tensor and fails ('x must be rank 3 or 4, but got rank 1'); called "
        "with a tensor, it aligns corners, which Keras does not"
    )


_POOLS = frozenset(f"Global{kind}Pooling{rank}D" for kind in ("Average", "Max") for rank in (1, 2))


def _keepdims(_: Subject, layer: Layer) -> str | None:
    if layer.kind not in _POOLS or not layer.config.get("keepdims"):
        return None
    return "tfjs ignores keepdims=True, so its output has two axes only, and a following layer may not load"


def _gru(_: Subject, layer: Layer) -> str | None:
    if layer.kind not in {"GRU", "GRUCell"} or not layer.config.get("reset_after"):
        return None
    return "tfjs does not load it: 'GRUCell does not support reset_after parameter set to true'"


def _dilation(_: Subject, layer: Layer) -> str | None:
    rate = layer.config.get("dilation_rate")
    rates = rate if isinstance(rate, list | tuple) else [rate]
    if layer.kind not in {"DepthwiseConv2D", "Conv2DTranspose"} or all(number in {None, 1} for number in rates):
        return None
    return f"tfjs ignores its dilation_rate {'×'.join(map(str, rates))}"


_FIELDS = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")


def _separable(_: Subject, layer: Layer) -> str | None:
    held = [field for field in _FIELDS if layer.config.get(field) is not None]
    if not layer.kind.startswith("SeparableConv") or not held:
        return None
    return f"tfjs does not load it, because it has the field {held[0]}, as recent versions of Keras 2 write"


def _causal(_: Subject, layer: Layer) -> str | None:
    if not layer.kind.startswith("Conv1D") or layer.config.get("padding") != "causal":
        return None
    return "tfjs does not run it: causal padding is not implemented"


def _elu(_: Subject, layer: Layer) -> str | None:
    alpha = layer.config.get("alpha", 1)
    if layer.kind != "ELU" or alpha in {None, 1}:
        return None
    return f"tfjs does not load it: an alpha other than 1 ({alpha:g}) is not supported"


def _grouped(_: Subject, layer: Layer) -> str | None:
    groups = layer.config.get("groups") or 1
    if not layer.kind.startswith("Conv") or groups == 1:
        return None
    return f"tfjs does not know its {groups} groups, and refuses the shape of its kernel"


def _softmax_axis(_: Subject, layer: Layer) -> str | None:
    axis = layer.config.get("axis", -1)
    if layer.kind != "Softmax" or not isinstance(axis, int) or axis == -1:
        return None
    return f"tfjs computes a softmax along the last axis only, and this one is along axis {axis}"


def _keras_3(_: Subject, layer: Layer) -> str | None:
    if layer.kind != "InputLayer" or "batch_shape" not in layer.config or "batch_input_shape" in layer.config:
        return None
    return "its shape is stored as batch_shape, as Keras 3 does; tfjs reads batch_input_shape, and does not load it"


def _hazard(
    name: str,
    title: str,
    happens: str,
    told: Callable[[Subject, Layer], str | None],
    *,
    remedy: str,
    loads: bool = True,
) -> Hazard:
    """A hazard of layers; `loads` says whether tfjs loads the model nevertheless."""
    return Hazard(
        id=name,
        severity="error",
        title=title,
        happens=f"{happens} In a layers-model this is an error. In a Keras model it concerns the settings "
        "`tfjs-layers-*` only: a warning of Keras 2, and a note of Keras 3, of which tfjs loads no layers-model.",
        see=_SEE if loads else _LOADS,
        remedy=remedy,
        kinds=_KINDS,
        check=_each(told),
        confirmed_by="float32 check",
        formats=("tfjs-layers",),
    )


HAZARDS = (
    _hazard(
        "LEAKYRELU-ALPHA",
        "tfjs does not read the slope of LeakyReLU",
        "Keras 3 stores the slope as `negative_slope`; tfjs reads `alpha`, as Keras 2, and uses 0.3 without it.",
        _leaky,
        remedy=f"{_GRAPH} In a file of Keras 3 that was patched for tfjs, rename the key to `alpha`.",
    ),
    _hazard(
        "RELU-SLOPE",
        "tfjs ignores slope and threshold of ReLU",
        "Of the layer `ReLU`, tfjs reads `max_value` only; `negative_slope` and `threshold` are ignored.",
        _relu,
        remedy=f"{_GRAPH} A slope can be a LeakyReLU layer, a threshold a ThresholdedReLU layer.",
    ),
    _hazard(
        "HARD-SIGMOID-DEFINITION",
        "hard_sigmoid is another function in tfjs than in Keras 3",
        "Keras 3 computes relu6(x + 3)/6, tfjs and Keras 2 compute clip(0.2·x + 0.5, 0, 1): up to 0.083 apart.",
        _hard_sigmoid,
        remedy=_GRAPH,
    ),
    _hazard(
        "UPSAMPLE-HALFPIXEL",
        "bilinear UpSampling2D interpolates at other places in tfjs",
        "Keras takes the centres of pixels, tfjs their corners, so every interpolated value differs.",
        _upsample,
        remedy=f"{_GRAPH} `interpolation='nearest'` is equal in both.",
    ),
    _hazard(
        "RESIZING-ALIGN",
        "the layer Resizing fails in tfjs, or aligns corners",
        "In tfjs-layers 4.22, no model with a Resizing layer can be run; where it is called with a tensor it aligns "
        "the corners of the images, which Keras does not.",
        _resizing,
        loads=False,
        remedy=f"{_GRAPH} Or leave the layer out, and resize before the model in the way that it was trained with.",
    ),
    _hazard(
        "KEEPDIMS-IGNORED",
        "tfjs ignores keepdims of global pooling",
        "The output has the shape (batch, channels), and not (batch, 1, 1, channels). Layers that need four axes do "
        "not load behind it; a Multiply broadcasts otherwise, without a message.",
        _keepdims,
        remedy=f"{_GRAPH} Or put a Reshape layer behind the pooling, and leave keepdims out.",
    ),
    _hazard(
        "GRU-RESET-AFTER",
        "tfjs does not load a GRU with reset_after",
        "`reset_after=True` is the default of Keras 2 and 3.",
        _gru,
        loads=False,
        remedy=f"{_GRAPH} Or train with `GRU(…, reset_after=False)`; the weights of the two cannot be exchanged.",
    ),
    _hazard(
        "DILATION-IGNORED",
        "tfjs ignores the dilation of this convolution",
        "The convolution runs undilated. With padding `same` the shapes fit, and results are wrong without a message.",
        _dilation,
        remedy=_GRAPH,
    ),
    _hazard(
        "SEPARABLE-FIELDS",
        "tfjs does not load SeparableConv2D of a recent Keras 2",
        "Recent versions of Keras 2 store fields of a kernel that the layer does not have, and tfjs refuses them.",
        _separable,
        loads=False,
        remedy=f"{_GRAPH} Or remove the fields `kernel_*` of these layers from `model.json`.",
    ),
    _hazard(
        "CAUSAL-PADDING",
        "tfjs does not run a causal Conv1D",
        "tfjs-layers 4.22 has not implemented causal padding.",
        _causal,
        loads=False,
        remedy=f"{_GRAPH} Or put a ZeroPadding1D layer before a convolution without padding.",
    ),
    _hazard(
        "ELU-ALPHA",
        "tfjs does not load an ELU whose alpha is not 1",
        "tfjs-layers supports alpha = 1 only.",
        _elu,
        loads=False,
        remedy=_GRAPH,
    ),
    _hazard(
        "GROUPED-CONV",
        "tfjs does not know groups of a convolution",
        "A layers-model expects a kernel for all input channels and refuses the weights. The graph-model converter "
        "refuses a grouped convolution, too, because Keras compiles it as a function of its own.",
        _grouped,
        loads=False,
        remedy="Use one convolution for each group and a Concatenate layer, or ship TFLite or ONNX.",
    ),
    _hazard(
        "SOFTMAX-AXIS",
        "tfjs computes a softmax along the last axis only",
        "The layer fails when the model is called.",
        _softmax_axis,
        loads=False,
        remedy=f"{_GRAPH} Or put Permute layers around the softmax.",
    ),
    Hazard(
        id="KERAS-3-CONFIG",
        severity="error",
        title="a layers-model has the configuration of Keras 3",
        happens="The converter writes a layers-model from a file of Keras 3 without a message, and tfjs does not load "
        "it. If the keys are renamed by hand, it may load and compute something else.",
        see=_LOADS,
        remedy=_GRAPH,
        kinds=("layers-model",),
        check=_each(_keras_3),
    ),
)
