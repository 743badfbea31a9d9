"""Tests whose figures hold only where the processor multiplies 8-bit integers without saturation (VNNI).

Elsewhere, onnxruntime's int8 kernels saturate sums of pairs of products, so that `onnx-int8` in Python loses accuracy,
and TensorFlow's depthwise convolutions refuse dilations, which oneDNN's kernels for newer processors take.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

__all__ = ["expect_less"]

_FLAGS = ("avx512_vnni", "avx_vnni")

_TESTS = {
    "test_converters_onnx.py": ("test_settings_of_a_model",),
    "test_kernel_uses.py": ("test_depthwise_convolution[dilations",),
    "test_onnx_real.py": ("test_every_runtime_answers_alike",),
    "test_study_onnx.py": ("test_the_table", "test_reading_inside_leaves_the_answers", "test_a_model_from_tensorflow"),
    "test_tfjs_graph.py": ("test_the_attributes_of_a_fused_depthwise_convolution[dilations",),
}
"""File → beginnings of the names of its tests."""


def expect_less(items: Iterable[pytest.Item]) -> None:
    """Let these tests fail on a processor without such instructions; they may pass there, too."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file() or any(flag in cpuinfo.read_text(encoding="utf-8") for flag in _FLAGS):
        return
    reason = "this processor has no VNNI: onnxruntime's int8 saturates, and TensorFlow refuses dilated depthwise ops"
    for item in items:
        if item.name.startswith(_TESTS.get(item.path.name, ())):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=False))
