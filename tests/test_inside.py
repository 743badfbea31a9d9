"""Tensors inside variants, read from the shipped artifacts in Python and in Node.js."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quantlab.cli import run
from quantlab.demo import LOADER, MODEL
from quantlab.progress import Silent
from quantlab.seals import unsealed
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze

pytestmark = pytest.mark.starts_children

SETTINGS = ("tfjs-float32", "tfjs-uint8", "tflite-*")
SAMPLES = 48


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inside") / "digits.study"
    options = AnalyzeOptions(settings=SETTINGS, limit=150, layer_samples=SAMPLES, costs=False, out=folder)
    return folder, analyze(MODEL, data=LOADER, options=options), Store(folder).read_inside()


def rows(inside, setting, runtime="python", baseline="reference"):
    return [row for row in inside.layers if (row.setting, row.runtime, row.baseline) == (setting, runtime, baseline)]


def test_reading_inside_changes_no_answer(study):
    """A tapped run that answered differently would be noted; all five TFLite settings ran tapped in Node too."""
    _, record, inside = study
    in_node = {trial.setting for trial in record.trials if trial.runtime == "node-wasm"}
    assert in_node >= {f"tflite-{scheme}" for scheme in ("float32", "float16", "dynamic", "int8", "int16x8")}
    assert record.failed == ()
    assert inside.notes == ()
    assert inside.samples == SAMPLES


def test_every_trial_has_its_tensors_and_a_reason_for_each_that_is_not_aligned(study):
    _, record, inside = study
    for trial in record.trials:
        tensors = rows(inside, trial.setting, trial.runtime)
        assert sum(row.aligned for row in tensors) >= 8
        assert [row for row in tensors if row.aligned == (row.reason is not None)] == []
        assert all(row.count == 0 for row in tensors if not row.aligned)


def test_layers_that_were_fused_are_listed(study):
    _, _, inside = study
    fused = {row.layer: row.reason for row in rows(inside, "tfjs-uint8") if not row.tensor}
    assert fused["stem_norm"] == "no matching layer: it was merged into another layer by the converter"


def test_float32_in_node_is_that_of_python(study):
    _, _, inside = study
    compared = rows(inside, "tfjs-float32", "node-wasm", "float32")
    assert len(compared) >= 10
    assert min(row.sqnr_db for row in compared) > 100


def test_the_last_tensor_is_the_output_that_was_stored(study):
    """An independent computation on the stored outputs of the same samples."""
    _, record, inside = study
    trial = next(row for row in record.trials if (row.setting, row.runtime) == ("tfjs-uint8", "python"))
    last = [row for row in rows(inside, "tfjs-uint8") if row.aligned][-1]
    reference, candidate = (
        np.load(row.outputs[record.scored_output]).astype(np.float64) for row in (record.reference, trial)
    )
    drawn = _layer_indices(record)
    error = candidate[drawn] - reference[drawn]
    assert last.count == error.size
    # The reference's graph and Keras' own call round differently in the last bit.
    assert last.max_abs == pytest.approx(np.abs(error).max(), rel=1e-4)
    assert last.mean_abs == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert last.sqnr_db == pytest.approx(10 * math.log10((reference[drawn] ** 2).sum() / (error**2).sum()), abs=0.01)


def _layer_indices(record):
    """Where the layer samples stand among the scored ones, found by their bytes."""
    scored = np.load(record.samples.input_file("image"))
    (folder,) = (record.samples.folder.parents[1] / "layers").iterdir()
    drawn = np.load(folder / record.samples.input_file("image").name)
    known = {sample.tobytes(): place for place, sample in enumerate(scored)}
    return [known[sample.tobytes()] for sample in drawn]


def test_isolated_errors_are_those_of_a_node_with_weights(study):
    _, _, inside = study
    by_op = {row.op: row.isolated_sqnr_db for row in rows(inside, "tfjs-uint8") if row.aligned}
    assert by_op["Softmax"] > 200  # it has no weights, so that its own error is nothing but float32's
    assert by_op["_FusedConv2D"] < 60
    alone = {row.op: row.isolated_sqnr_db for row in rows(inside, "tflite-int8") if row.aligned}
    assert alone["CONV_2D"] < 60
    assert all(row.isolated_sqnr_db is None for row in rows(inside, "tflite-int8", "node-wasm"))


def test_the_parts_of_the_loss_add_up(study):
    _, record, inside = study
    assert len(inside.split) == 2 * len(record.trials)
    for row in inside.split:
        parts = (row.conversion, row.quantization, row.runtime_part)
        assert row.reason is None
        assert sum(parts) == pytest.approx(row.total, rel=1e-9, abs=1e-15)


def test_ops_of_a_dynamic_file(study):
    _, _, inside = study
    computed = {row.computes_in for row in inside.ops if row.setting == "tflite-dynamic"}
    assert computed == {"float", "hybrid"}
    assert {row.computes_in for row in inside.ops if row.setting == "tflite-float32"} == {"float"}


def test_a_second_call_reads_nothing_again(study):
    folder, _, _ = study
    before = {path: path.stat().st_mtime_ns for path in (folder / "inside").rglob("*.json")}
    options = AnalyzeOptions(settings=SETTINGS, limit=150, layer_samples=SAMPLES, costs=False, out=folder)
    analyze(MODEL, data=LOADER, options=options)
    assert {path: path.stat().st_mtime_ns for path in (folder / "inside").rglob("*.json")} == before


@pytest.mark.parametrize("view", ["layers", "weights", "ops", "split"])
@pytest.mark.parametrize("form", ["terminal", "markdown", "csv", "latex", "json"])
def test_views_are_printed(view, form, study, capsys):
    folder, _, inside = study
    assert run(["show", view, str(folder), "--format", form]) == 0
    printed = capsys.readouterr().out
    assert "tflite-int8" in printed
    if form == "json":
        assert len(json.loads(printed)) == len(getattr(inside, view))
        assert "Infinity" not in printed.replace('"Infinity"', "").replace('"-Infinity"', "")


def test_runtimes_part_where_their_tensors_do(study, capsys):
    folder, record, inside = study
    assert run(["show", "runtimes", str(folder), "--setting", "tfjs-uint8", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    in_python, in_node = (
        np.load(trial.outputs[record.scored_output]).astype(np.float64)
        for trial in record.trials
        if trial.setting == "tfjs-uint8"
    )
    difference = np.abs(in_node - in_python)
    assert row["max_abs"] == difference.max()
    assert row["mean_abs"] == pytest.approx(difference.mean())
    assert row["different"] == pytest.approx(np.count_nonzero(difference) / difference.size)
    assert (row["flips"], row["agreement"], row["first_beyond_half"]) == (0, 100, None)
    tensors = rows(inside, "tfjs-uint8", "node-wasm", "python")
    assert row["compared"] == len(tensors) >= 10
    assert min(tensor.sqnr_db for tensor in tensors) > 100
    assert row["first_different"] == next(f"{tensor.layer} ({tensor.op})" for tensor in tensors if tensor.different)
    assert run(["show", "runtimes", str(folder), "--setting", "tfjs-uint8"]) == 0
    assert (
        "tfjs-uint8: node-wasm changes the top-1 of 0 of 150 samples against python, which allows 1.98 %; no tensor is "
        f"beyond half precision; first different tensor: {row['first_different']}\n"
    ) in capsys.readouterr().out


def test_an_order_that_there_is_not(study, capsys):
    folder, _, _ = study
    assert run(["show", "layers", str(folder), "--sort", "loudness"]) == 2
    assert capsys.readouterr().err == (
        "quantlab: there is no order 'loudness'; choose from place, sqnr, max, mean, isolated, growth\n"
    )


def test_the_first_rows_are_those_that_are_shown(study, capsys):
    folder, _, _ = study
    asked = ["show", "layers", str(folder), "--setting", "tfjs-uint8", "--runtime", "python"]
    assert run(asked) == 0
    whole = capsys.readouterr().out.splitlines()
    assert run([*asked, "--top", "3"]) == 0
    short = capsys.readouterr().out.splitlines()
    assert short[5] == ""  # two lines of headings, three rows
    assert short[6:] == whole[whole.index("") + 1 :]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param(
            ["layers", "--setting", "tfjs-uint9"], "there is no setting 'tfjs-uint9'; did you mean", id="none"
        ),
        pytest.param(
            ["layers", "--runtime", "nod"], "there is no runtime 'nod'; choose from python, node-wasm", id="no"
        ),
        pytest.param(
            ["weights", "--runtime", "python"], "this view has no column 'runtime', because its rows are", id="all"
        ),
    ],
)
def test_rows_that_there_are_not(asked, message, study, capsys):
    folder, _, _ = study
    assert run(["show", asked[0], str(folder), *asked[1:]]) == 2
    assert capsys.readouterr().err.startswith(f"quantlab: {message}")


def test_a_setting_of_the_table_without_rows(study, capsys):
    """Ops of graph-models all compute in float32, so they have no rows."""
    folder, _, _ = study
    assert run(["show", "ops", str(folder), "--setting", "tfjs-uint8"]) == 0
    assert "No rows for tfjs-uint8\n" in capsys.readouterr().out
    assert run(["show", "ops", str(folder), "--setting", "tfjs-uint8", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_the_float32_variant_is_compared_with_nothing(study):
    _, _, inside = study
    rows = [row for row in inside.weights if row.setting == "tflite-float32"]
    assert {(row.reason, row.sqnr_db, row.layer != "") for row in rows if row.dtype == "float32"} == {
        ("it is the float32 variant", None, True)
    }


def test_settings_by_a_glob(study, capsys):
    folder, _, inside = study
    assert run(["show", "weights", str(folder), "--setting", "tfjs-*", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown) == sum(row.setting.startswith("tfjs-") for row in inside.weights)


def test_a_study_that_was_not_looked_into(place, capsys):
    folder = place / "digits.study"
    assert run(["show", "layers", str(folder)]) == 2
    assert capsys.readouterr().err == (
        f"quantlab: the study '{folder}' has no layer comparison; run 'quantlab analyze' again without --no-layers\n"
    )
    assert run(["show", "split", str(folder)]) == 2
    assert capsys.readouterr().err == (
        f"quantlab: the study '{folder}' has no split of the loss, which 'quantlab analyze' makes "
        "where it compares layers, and layers were turned off; run 'quantlab analyze' again without --no-layers\n"
    )


def test_a_reference_that_cannot_be_read_inside_has_its_table(place, monkeypatch, capsys):
    """Outputs and variants are kept; the SavedModel is broken, and its record of an older quantlab has no hash."""
    asked, study = {"settings": ("tfjs-float32",), "runtimes": ("python",)}, place / "digits.study"
    first = {(trial.setting, trial.runtime): trial for trial in Store(study).read_study().trials}
    (graph,) = (study / "model").glob("*/saved_model/saved_model.pb")
    graph.write_bytes(graph.read_bytes()[:100])
    record = graph.parents[1] / "opened.json"
    document, _ = unsealed(json.loads(record.read_text()))
    record.write_text(json.dumps(document | {"sha256": ""}))
    heard = Heard()
    options = AnalyzeOptions(**asked, layer_samples=8, costs=False)
    monkeypatch.chdir(place)  # the model's path is part of what is kept
    again = analyze("digits.keras", data="digits.npz", options=options, progress=heard)
    assert [text.split(": ")[0] for text in heard.warnings] == ["nothing could be read inside the variants"]
    assert again.trials == (replace(first["tfjs-float32", "python"], requested=True, notes=()),)
    assert run(["show", str(study)]) == 0
    assert "tfjs-float32" in capsys.readouterr().out


class Heard(Silent):
    """Keeps what was warned of."""

    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(scope="module")
def uneven(own_models, tmp_path_factory):
    """A study of a model with one depthwise layer whose channels differ by 10⁴ in range."""
    folder = tmp_path_factory.mktemp("uneven")
    np.savez(folder / "x.npz", x=np.random.default_rng(0).random((80, 8, 8, 4), dtype=np.float32))
    options = AnalyzeOptions(
        settings=("tfjs-uint8", "tflite-int8"),
        runtimes=("python",),
        layer_samples=16,
        costs=False,
        out=folder / "uneven.study",
    )
    analyze(own_models / "uneven.keras", data=str(folder / "x.npz"), options=options)
    return Path(folder / "uneven.study")


def test_the_uneven_layer_comes_first(uneven, capsys):
    assert (
        run(["show", "layers", str(uneven), "--setting", "tfjs-uint8", "--sort", "isolated", "--format", "json"]) == 0
    )
    first = json.loads(capsys.readouterr().out)[0]
    assert first["layer"] == "uneven"
    assert first["worst_channel_sqnr_db"] < 20


def test_its_weights_are_ruined_by_one_scale_and_not_by_one_a_channel(uneven):
    weights = Store(uneven).read_inside().weights
    (one_scale,) = (row for row in weights if row.setting == "tfjs-uint8" and row.shape == (3, 3, 4, 1))
    (a_channel,) = (row for row in weights if row.setting == "tflite-int8" and row.shape == (1, 3, 3, 4))
    assert (one_scale.scales, a_channel.scales) == (1, 4)
    assert one_scale.worst_channel_sqnr_db < 20
    assert a_channel.worst_channel_sqnr_db > 35
