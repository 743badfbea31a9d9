"""The kinds of artifact there are; a new one is a file and a line here."""

from collections.abc import Mapping

from quantlab.artifacts import onnx, tfjs, tfjs_layers, tflite
from quantlab.artifacts._kind import ArtifactKind

ARTIFACTS: Mapping[str, ArtifactKind] = {
    "tfjs": tfjs.KIND,
    "tfjs-layers": tfjs_layers.KIND,
    "tflite": tflite.KIND,
    "onnx": onnx.KIND,
}
"""Every kind by its format."""
