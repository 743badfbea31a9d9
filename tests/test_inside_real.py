"""Published models in both runtimes: every tensor is aligned, or listed with the reason why not."""

import numpy as np
import pytest

from quantlab.settings import SETTINGS
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze

pytestmark = pytest.mark.starts_children


@pytest.fixture(scope="module", params=["fashion", "kws"])
def looked_into(request, data_folder, begun, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "fashion":
        model, data = data_folder / "fashion-mnist" / "fashion_dscnn.keras", data_folder / "fashion-mnist" / "test.npz"
        settings = tuple(
            name
            for name, setting in SETTINGS.items()
            # Layers-models are of tf_keras' models only, and what only its name selects runs in Python alone.
            if not (name.startswith("tfjs-layers") or setting.tuned or setting.by_name)
        )
    else:
        model, data = data_folder / "mlperf-tiny" / "kws_ref_model", data_folder / "kws01" / "kws01.npz"
        settings = ("tfjs-float32",)
    out = begun(request.param, folder / "real.study")
    options = AnalyzeOptions(settings=settings, limit=60, layer_samples=12, costs=False, out=out)
    return settings, analyze(model, data=str(data), options=options), Store(out).read_inside()


def test_every_layer_is_aligned_or_has_its_reason(looked_into):
    settings, study, inside = looked_into
    assert study.failed == ()
    layers = {row.layer for row in inside.layers if row.aligned or not row.tensor}
    for setting in settings:
        for runtime in ("python", "node-wasm"):
            rows = [
                row
                for row in inside.layers
                if (row.setting, row.runtime, row.baseline) == (setting, runtime, "reference")
            ]
            assert [row for row in rows if row.aligned is not (row.reason is None)] == []
            # A tensor of integers has no values to be found by, so that its layer is listed as one without a tensor.
            assert layers <= {row.layer for row in rows}
            aligned = [row for row in rows if row.aligned]
            assert len(aligned) >= 9
            assert all(np.isfinite(row.mean_abs) and row.count for row in aligned)


def test_no_setting_loses_an_output_or_a_class(looked_into):
    _, study, _ = looked_into
    assert study.warnings == ()
    assert [trial.constant_outputs for trial in study.trials if trial.constant_outputs] == []


def test_float32_in_node_is_that_of_python_to_100_db(looked_into):
    _, _, inside = looked_into
    worst = min(
        row.sqnr_db
        for row in inside.layers
        if (row.setting, row.runtime, row.baseline) == ("tfjs-float32", "node-wasm", "float32") and row.aligned
    )
    assert worst > 100
