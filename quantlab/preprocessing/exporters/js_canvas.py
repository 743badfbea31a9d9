"""An ES module on a canvas alone, without TensorFlow.js."""

from quantlab.preprocessing.exporters.contract import Exporter, fixed_files
from quantlab.preprocessing.exporters.javascript import constant, own_module
from quantlab.types import Pipeline

__all__ = ["JS_CANVAS"]


def _files(pipeline: Pipeline) -> dict[str, str]:
    modules = {"preprocessing.mjs": own_module("preprocessing.mjs"), "pipeline.mjs": constant(pipeline)}
    return {**fixed_files("javascript"), **fixed_files("js-canvas"), **modules}


def _tolerance(_: Pipeline) -> float:
    return 0.0


def _differences(_: Pipeline) -> tuple[str, ...]:
    decoding = (
        "The browser decodes: pixels of files with a colour profile may differ from Python's, and transparent pixels "
        "lose their colour, because a canvas stores colours multiplied with alpha."
    )
    return "The arithmetic equals Python's to the last bit.", decoding


JS_CANVAS = Exporter(
    title="An ES module on a canvas, without TensorFlow.js",
    files=_files,
    use=(
        "import { preprocess } from './preprocess.mjs';\n\n"
        "const { data, shape } = await preprocess(file);  // a File of <input type=file>, a Blob or an element\n"
        "const input = tf.tensor(data, [1, ...shape]);"
    ),
    test="node --test",
    tolerance=_tolerance,
    differences=_differences,
)
