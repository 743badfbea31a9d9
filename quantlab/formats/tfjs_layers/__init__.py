"""TensorFlow.js layers-models: a `model.json` with a Keras configuration, and shards of weights."""

from quantlab.formats.contract import Format, JavaScriptExecutor, PythonExecutor, later, program, snippet
from quantlab.types import Setting

__all__ = ["FORMAT"]

FORMAT = Format(
    name="tfjs-layers",
    settings=(
        Setting(
            "tfjs-layers-float32",
            "tfjs-layers",
            "float32",
            "layers-model, weights unchanged",
            default=False,
            weight_bits=32,
        ),
        Setting(
            "tfjs-layers-float16",
            "tfjs-layers",
            "float16",
            "layers-model, weights stored as half floats",
            default=False,
            half=True,
            weight_bits=16,
        ),
        Setting(
            "tfjs-layers-uint8",
            "tfjs-layers",
            "uint8",
            "layers-model, weights in 8 bits, affine per tensor",
            default=False,
        ),
        Setting(
            "tfjs-layers-uint16",
            "tfjs-layers",
            "uint16",
            "layers-model, weights in 16 bits, affine per tensor",
            default=False,
            weight_bits=16,
        ),
    ),
    targets=("web", "web-mobile"),
    as_model="layers-model",
    write_float=later("quantlab.formats.tfjs_float:write_float"),
    looks="the folder or the model.json of a layers-model",
    inspect=later("quantlab.formats.tfjs_layers.artifact:inspect"),
    recognizes=later("quantlab.formats.tfjs_manifest:recognizes_layers"),
    served=later("quantlab.formats.tfjs_manifest:served"),
    entry="model.json",
    snippets={"JavaScript": snippet("quantlab.formats.tfjs_layers.snippets:javascript")},
    files=later("quantlab.formats.tfjs_manifest:served_files"),
    options=later("quantlab.formats.tfjs_manifest:options"),
    weights=later("quantlab.formats.tfjs_layers.artifact:list_weights"),
    cut_graph=later("quantlab.formats.tfjs_layers.cut:cut_graph"),
    write_cut=later("quantlab.formats.tfjs_layers.cut:write_cut"),
    reproduce=program("quantlab.formats.tfjs_layers.snippets:reproduce"),
    python=PythonExecutor(
        load="quantlab.worker.tfjs_layers:load",
        library="tf_keras",
        packages=("tensorflow", "tf_keras"),
        tap="quantlab.worker.tfjs_layers:tap",
        list_taps="quantlab.worker.tfjs_layers:list_taps",
        parts="quantlab.worker.tfjs_layers:raw_calls",
        stands_in=True,
    ),
    javascript=JavaScriptExecutor(
        label="tfjs",
        backends=("wasm", "cpu", "webgl", "webgl16", "webgpu", "native"),
        packages=("@tensorflow/tfjs-core", "@tensorflow/tfjs-layers"),
        native="@tensorflow/tfjs-node",
    ),
)
