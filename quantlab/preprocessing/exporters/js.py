"""An ES module on TensorFlow.js."""

from quantlab.preprocessing.exporters.contract import Exporter, fixed_files, rounding, step
from quantlab.preprocessing.exporters.javascript import constant, own_module
from quantlab.preprocessing.registry import RESIZERS
from quantlab.types import Pipeline

__all__ = ["JS"]


def _files(pipeline: Pipeline) -> dict[str, str]:
    modules = {name: own_module(name) for name in ("preprocessing.mjs", "preprocessing-tfjs.mjs")}
    return {**fixed_files("javascript"), **fixed_files("js"), **modules, "pipeline.mjs": constant(pipeline)}


def _rounds(pipeline: Pipeline) -> bool:
    method = RESIZERS[pipeline.resizer].methods.get(pipeline.resize)
    return method is not None and method.keeps_pixels and pipeline.resize != "nearest"


def _tolerance(pipeline: Pipeline) -> float:
    return (1.0 if _rounds(pipeline) else 0.01) * step(pipeline) + rounding(pipeline)


def _differences(pipeline: Pipeline) -> tuple[str, ...]:
    decoding = (
        "`tf.browser.fromPixels` gives the pixels that the browser decodes: those of JPEG files and of files with a "
        "colour profile may differ from Python's by some steps, and transparent pixels lose their colour."
    )
    if not _rounds(pipeline):
        return (decoding,)
    adding = (
        "TensorFlow.js adds weights in float32, and Python in whole numbers: single pixels may differ by one step of "
        "1/255."
    )
    return adding, decoding


JS = Exporter(
    title="An ES module on TensorFlow.js",
    files=_files,
    use=(
        "import * as tf from '@tensorflow/tfjs';\n"
        "import { preprocess } from './preprocess.mjs';\n\n"
        "const input = preprocess(tf, document.querySelector('img'));  // a batch of one sample\n"
        "const output = model.execute(input);"
    ),
    test="node --test",
    tolerance=_tolerance,
    differences=_differences,
)
