"""Registry of the formats; a new format is a folder and a line here."""

from collections.abc import Mapping

from quantlab.formats import onnx, savedmodel, tfjs, tfjs_layers, tflite
from quantlab.formats.contract import Format

__all__ = ["FORMATS"]

FORMATS: Mapping[str, Format] = {
    format_.name: format_
    for format_ in (tfjs.FORMAT, tfjs_layers.FORMAT, tflite.FORMAT, onnx.FORMAT, savedmodel.FORMAT)
}
"""Formats by name, in table order."""
