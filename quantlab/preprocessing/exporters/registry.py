"""The exporters by name."""

from collections.abc import Mapping

from quantlab.preprocessing.exporters import js, js_canvas, kotlin, python, swift
from quantlab.preprocessing.exporters.contract import Exporter

__all__ = ["EXPORTERS"]

EXPORTERS: Mapping[str, Exporter] = {
    "js": js.JS,
    "js-canvas": js_canvas.JS_CANVAS,
    "python": python.PYTHON,
    "kotlin": kotlin.KOTLIN,
    "swift": swift.SWIFT,
}
"""Name → exporter, as `quantlab preprocessing export --to` takes it."""
