"""TensorFlow.js graph-models: a `model.json` with a graph, and shards of weights."""

from dataclasses import replace

from quantlab.formats.contract import Format, JavaScriptExecutor, PythonExecutor, later, program, snippet
from quantlab.types import TUNED, Setting

__all__ = ["FORMAT"]

_PYTHON = PythonExecutor(
    load="quantlab.worker.tfjs_graph:load",
    library="tensorflow",
    packages=("tensorflow",),
    tap="quantlab.worker.graph_taps:tap_tfjs",
    list_taps="quantlab.worker.graph_taps:list_tfjs_taps",
    parts="quantlab.worker.raw_tfjs:raw_calls",
)

FORMAT = Format(
    name="tfjs",
    settings=(
        Setting("tfjs-float32", "tfjs", "float32", "graph-model, weights unchanged", weight_bits=32),
        Setting(
            "tfjs-float16",
            "tfjs",
            "float16",
            "graph-model, float32 weights stored as half floats",
            half=True,
            weight_bits=16,
        ),
        Setting("tfjs-uint8", "tfjs", "uint8", "graph-model, float32 weights stored in 8 bits, affine per tensor"),
        Setting(
            "tfjs-uint16",
            "tfjs",
            "uint16",
            "graph-model, float32 weights stored in 16 bits, affine per tensor",
            weight_bits=16,
        ),
        Setting(
            "tfjs-uint8-per-channel",
            "tfjs",
            "uint8-per-channel",
            "graph-model, kernels stored in 8 bits with one scale per output channel; made by quantlab, not by the "
            "official converter",
            official=False,
        ),
        Setting(
            "tfjs-tuned",
            "tfjs",
            TUNED,
            "graph-model, each kernel stored in as few bits as the samples allow, rounded by them; decided by "
            "'quantlab tune'",
            default=False,
            official=False,
        ),
    ),
    targets=("web", "web-mobile", "node"),
    as_model="graph-model",
    write_float=later("quantlab.formats.tfjs_float:write_float"),
    loaded="its weights become float32 when they are loaded",
    looks="the folder or the model.json of a graph-model",
    inspect=later("quantlab.formats.tfjs.artifact:inspect"),
    recognizes=later("quantlab.formats.tfjs.artifact:recognizes"),
    served=later("quantlab.formats.tfjs_manifest:served"),
    entry="model.json",
    snippets={"JavaScript": snippet("quantlab.formats.tfjs.snippets:javascript")},
    files=later("quantlab.formats.tfjs_manifest:served_files"),
    decoded_bytes=later("quantlab.formats.tfjs.artifact:decoded_bytes"),
    options=later("quantlab.formats.tfjs_manifest:options"),
    weights=later("quantlab.formats.tfjs.artifact:list_weights"),
    drawn=later("quantlab.formats.tfjs_manifest:document_file"),
    cut_graph=later("quantlab.formats.tfjs.cut:cut_graph"),
    write_cut=later("quantlab.formats.tfjs.cut:write_cut"),
    reproduce=program("quantlab.formats.tfjs.snippets:reproduce"),
    python=replace(
        _PYTHON,
        swapped=replace(_PYTHON, load="quantlab.worker.tfjs_swapped:load"),
        isolated=replace(
            _PYTHON,
            tap="quantlab.worker.graph_taps:tap_isolated",
            list_taps="quantlab.worker.graph_taps:list_isolated_taps",
        ),
    ),
    javascript=JavaScriptExecutor(
        label="tfjs",
        backends=("wasm", "cpu", "webgl", "webgl16", "webgpu", "native"),
        packages=("@tensorflow/tfjs-core",),
        native="@tensorflow/tfjs-node",
    ),
)
