"""When the ops of decision forests are registered: for models that contain one."""

import subprocess
import sys

import pytest

REGISTER = """
import sys
from pathlib import Path
from quantlab_converters import decision_forests
sys.modules["tensorflow_decision_forests"] = decision_forests  # in place of a library that takes seconds
print(decision_forests.register_ops(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("content", "registered"),
    [
        pytest.param(b"\n\x1bSimpleMLInferenceOpWithHandle\x12", True, id="an op of a forest"),
        pytest.param(b"\n\x06MatMul\x12", False, id="none"),
        pytest.param(b"", False, id="an empty file"),
    ],
)
def test_a_saved_model(content, registered, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(content)
    assert said(tmp_path) == f"{registered}\n"


def test_a_model_that_is_one_file(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"SimpleML")
    assert said(tmp_path / "model.onnx") == "False\n"


def said(path):
    command = [sys.executable, "-c", REGISTER, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
