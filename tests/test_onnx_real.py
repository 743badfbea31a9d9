"""The published models as ONNX, beside the other formats and in every runtime that comes with quantlab."""

import pytest
from contracts import refuse_absent
from real_models import FILES

from quantlab.runtimes import RUNTIMES
from quantlab.study import AnalyzeOptions, analyze

pytestmark = pytest.mark.starts_children

NAMES = ("onnx-float32", "onnx-float16", "onnx-dynamic", "onnx-int8")
PLACES = ("python", "node-wasm", "chromium-wasm")


@pytest.mark.parametrize("name", FILES)
def test_every_runtime_answers_alike(name, data_folder, begun, tmp_path):
    refuse_absent(RUNTIMES["chromium-wasm"], "onnx")
    model, data = FILES[name]
    options = AnalyzeOptions(
        settings=(*NAMES, "tfjs-float32", "tflite-float32"),
        runtimes=PLACES,
        limit=40,
        layers=False,
        costs=False,
        out=begun(name, tmp_path / "real.study"),
    )
    study = analyze(data_folder / model, data=str(data_folder / data), options=options)
    assert study.failed == ()
    assert [text.partition(":")[0] for text in study.parity.values()] == ["ok"] * 3
    rows = [(row.setting, row.runtime) for row in study.trials]
    assert {(name, place) for name in NAMES for place in PLACES} < set(rows)
    apart = {name: [row.max_abs_from_python for row in study.trials if row.setting == name] for name in NAMES}
    assert all(gap is None or gap <= 1e-4 for gap in apart["onnx-float32"])
    # The same codes are multiplied everywhere; half floats and ranges found on the way are rounded by other sums.
    assert all(gap is None or gap <= 0.05 for name in NAMES for gap in apart[name])
