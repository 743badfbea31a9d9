"""Registry of the converters; a new one is a file and a line here."""

from collections.abc import Mapping

from quantlab_converters import onnx, savedmodel, tfjs, tfjs_layers, tflite
from quantlab_converters.contract import Converter

CONVERTERS: Mapping[str, Converter] = {
    "tfjs": tfjs.CONVERTER,
    "tfjs-layers": tfjs_layers.CONVERTER,
    "tflite": tflite.CONVERTER,
    "onnx": onnx.CONVERTER,
    "savedmodel": savedmodel.CONVERTER,
}
"""Converters by format name, the first part of the names of their settings."""
