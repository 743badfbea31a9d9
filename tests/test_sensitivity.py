"""How much each op of a variant contributes to its error: the figures, the ranking, and what is printed."""

import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest
from command_line import quantlab_in_process
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quantlab.errors import UsageError
from quantlab.formats import FORMATS
from quantlab.glossary import explained
from quantlab.models import ModelOptions
from quantlab.statistics import measure_error, verify_answers
from quantlab.statistics.blocks import BLOCK_BYTES
from quantlab.study import AnalyzeOptions, SensitivityOptions, analyze, measure_sensitivity
from quantlab.types import Interval, MeasuredError, PartSensitivity, Sensitivity, VerifiedPart
from quantlab_converters import CONVERTERS
from quantlab_converters.float_layers import exact_name, kept_weights
from quantlab_reports.views.sensitivity import SensitivityRow, sensitivity_table

VALUES = arrays.arrays(np.float32, (7, 4), elements=st.floats(-100, 100, width=32))


@given(VALUES, VALUES)
def test_the_squared_error_is_that_of_numpy_and_lies_in_its_interval(float32, outputs):
    error = measure_error(float32, outputs, classes=False, probabilities=False)
    expected = np.mean(np.square(outputs.astype(np.float64) - float32.astype(np.float64)))
    assert error.mse == pytest.approx(expected, rel=1e-12)
    assert error.mse_interval.lower <= error.mse * (1 + 1e-12)
    assert error.mse <= error.mse_interval.upper * (1 + 1e-12)
    assert (error.kl, error.kl_interval, error.flips) == (None, None, None)


def test_equal_outputs_have_no_error():
    outputs = np.random.default_rng(1).dirichlet(np.ones(3), 50).astype(np.float32)
    error = measure_error(outputs, outputs, classes=True, probabilities=True)
    assert (error.mse, error.kl, error.flips) == (0, 0, 0)
    assert error.kl_interval == Interval(0, 0, 0.95)


def test_changed_answers_and_an_infinite_divergence():
    float32 = np.array([[0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    outputs = np.array([[0.4, 0.6], [1.0, 0.0], [0.2, 0.8]])
    error = measure_error(float32, outputs, classes=True, probabilities=True)
    assert (error.flips, error.kl) == (1, math.inf)
    assert error.mse == pytest.approx((0.04 + 0.09) / 3)


def test_one_output_that_is_not_finite_makes_the_error_infinite():
    outputs = np.ones((5, 2), np.float32)
    spoiled = outputs.copy()
    spoiled[3, 1] = np.nan
    error = measure_error(outputs, spoiled, classes=False, probabilities=False)
    assert (error.mse, error.mse_interval) == (math.inf, Interval(-math.inf, math.inf, 0.95))


@pytest.mark.parametrize(
    ("labels", "loss"),
    [
        pytest.param(None, None, id="without labels"),
        pytest.param([0, 0, 1, 1], 25.0, id="one becomes wrong"),
        pytest.param([1, 0, 1, 1], -25.0, id="one becomes right"),
    ],
)
def test_answers_for_all_samples(labels, loss):
    float32 = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.2, 0.8]])
    outputs = np.array([[0.1, 0.9], [0.9, 0.1], [0.1, 0.9], [0.2, 0.8]])
    verified = verify_answers(float32, outputs, None if labels is None else np.array(labels), probabilities=True)
    assert (verified.n, verified.flips, verified.accuracy_loss_points) == (4, 1, loss)
    assert (verified.interval is None) is (labels is None)


def test_answers_are_read_in_blocks_and_none_is_lost():
    """The last of 3,000 samples lies in another block than the first."""
    float32 = np.zeros((3000, BLOCK_BYTES // 8 // 1000), np.float32)
    float32[:, 1] = 1
    outputs = float32.copy()
    outputs[[0, 1500, 2999], 2] = 2
    verified = verify_answers(float32, outputs, np.ones(3000, np.int64), probabilities=False)
    assert (verified.n, verified.flips, verified.accuracy_loss_points) == (3000, 3, pytest.approx(0.1))


def test_a_row_without_an_answer_is_not_the_same_answer():
    nothing = np.array([[0.9, 0.1], [np.nan, 0.1]])
    assert verify_answers(nothing, nothing, None, probabilities=True).flips == 1


def error_of(value, kl=None):
    return MeasuredError(value, Interval(value / 2, 2 * value), kl, None if kl is None else Interval(0, 2 * kl), 3)


def found(kl, *parts, **more):
    whole = error_of(0.25, kl)
    given = {"verified_whole": None, "float_layers": (), "words": None, **more}
    return Sensitivity("tflite-int8", "scores", 100, "random", whole, parts, seconds=1.0, **given)


STEM = PartSensitivity(
    "net/stem/Relu", ("stem_relu", "stem"), 160, only=error_of(0.125, 0.5), without=error_of(0.0625, 0.25)
)
UNCHANGED = PartSensitivity("net/pool", ("pool",), 0, only=error_of(0.0, 0.0), without=error_of(0.25, 1.0))
LATE = PartSensitivity("net/last", (), 8)


def test_the_table():
    verified = VerifiedPart(1000, 12, 0.5, Interval(-0.25, 1.25))
    stem = replace(STEM, verified=verified)
    whole = VerifiedPart(1000, 30, 1.0, Interval(0, 2))
    table = sensitivity_table(
        found(1.0, stem, UNCHANGED, LATE, verified_whole=whole, float_layers=("stem_relu",), words="tool --keep stem")
    )
    assert table.cells == (("stem_relu", "160", "0.5 [0, 1]", "0.25 [0, 0.5]", "3", "3", "12", "0.50 [−0.25, 1.25]"),)
    assert table.below == (
        "tflite-int8 with all ops quantized: KL 1 [0, 2], top-1 changed 3; n = 100 samples, random",
        "compared with the float32 artifact in python, output 'scores'; intervals by BCa bootstrap",
        "1 op is not quantized by this setting and not shown",
        "not measured, because time was over: 'net/last'; the same command continues",
        (
            "the last columns: all 1,000 scored samples, of the first ten ops; with all ops quantized, 30 changed, "
            "loss from float32 1.00 points [0.00, 2.00]"
        ),
        "to keep the worst in float: --float-layers 'stem_relu'",
        "the same with the official tool:",
    )
    assert table.code == ("tool --keep stem",)
    assert table.keys == tuple(field.name for field in fields(SensitivityRow))
    assert [record["part"] for record in table.records] == ["net/stem/Relu", "net/pool", "net/last"]


def test_weights_and_activations_apart():
    apart = replace(STEM, only_weights=error_of(0.25, 0.5), only_activations=error_of(0.125, 0.25))
    table = sensitivity_table(found(1.0, apart))
    assert table.headings[3:5] == ("its weights: KL [95 %]", "its activations: KL [95 %]")
    assert table.cells[0][3:5] == ("0.5 [0, 1]", "0.25 [0, 0.5]")


@pytest.mark.parametrize("kl", [pytest.param(1.0, id="by divergence"), pytest.param(math.inf, id="by squared error")])
def test_every_heading_is_explained(kl):
    whole = VerifiedPart(1000, 30, 1.0, Interval(0, 2))
    apart = {"only_weights": error_of(0.25, 0.5), "only_activations": error_of(0.125, 0.25)}
    part = replace(STEM, **apart, verified=whole, reason="no")
    table = sensitivity_table(found(kl, part, verified_whole=whole))
    assert len(table.headings) == 11
    assert [heading for heading in table.headings if explained(heading) is None] == []


def test_ops_of_one_layer_are_told_apart():
    twice = replace(STEM, part="net/stem/mul:0;net/other/add")
    table = sensitivity_table(found(1.0, STEM, twice, replace(STEM, part="net/head", layers=("head",))))
    assert [cells[0] for cells in table.cells] == ["stem_relu (Relu)", "stem_relu (mul)", "head"]


def test_what_was_not_reached_says_so():
    table = sensitivity_table(found(1.0, replace(STEM, without=None)))
    assert table.headings[-1] == "notes"
    assert table.cells[0][-1] == "time was over"


def test_a_model_with_nothing_to_quantize():
    assert "the model has no op with weights that tflite-int8 could quantize" in sensitivity_table(found(0.0)).below


def test_records_tell_what_keeps_the_worst_in_float():
    """Names with a comma, which separates entries, or a quotation mark, which ends a word of the shell."""
    odd = replace(STEM, layers=("a,'b",))
    table = sensitivity_table(found(1.0, odd, UNCHANGED, float_layers=(odd.entry,), words="tool"))
    assert [(record["float_layer"], record["words"]) for record in table.records] == [("a?'b", "tool"), (None, None)]
    assert [record["whole_kl_upper"] for record in table.records] == [2.0, 2.0]
    assert """to keep the worst in float: --float-layers 'a?'"'"'b'""" in table.below


def test_without_finite_divergences_the_squared_error_ranks():
    table = sensitivity_table(found(math.inf, STEM))
    assert table.headings[2] == "only this op: MSE [95 %]"
    assert table.cells[0][2] == "0.125 [0.0625, 0.25]"
    assert "ranked by MSE, because the KL divergence is infinite: a quantized softmax gives classes 0" in table.below


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"limit": 1}, "limit is 1 and must be at least 2", id="one sample has no interval"),
        pytest.param({"keep": 0}, "keep is 0 and must be at least 1", id="nothing to keep"),
        pytest.param({"budget_minutes": 0}, "budget_minutes is 0 and must be more than 0", id="no time"),
    ],
)
def test_options_that_make_no_sense(options, said):
    with pytest.raises(ValueError, match=said):
        SensitivityOptions(**options)


@pytest.fixture(scope="module")
def uneven(cause_models, tmp_path_factory):
    """A study of a model with a depthwise convolution whose channels differ by up to 3,000."""
    settings = ("tfjs-uint8", "tfjs-uint8-per-channel", "tflite-int8", "onnx-int8", "onnx-dynamic")
    out = tmp_path_factory.mktemp("uneven") / "uneven.study"
    options = AnalyzeOptions(settings=settings, runtimes=("python",), layers=False, costs=False, out=out)
    analyze(cause_models / "uneven.keras", data=str(cause_models / "uneven.npz"), options=options)
    return out


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("setting", "first"),
    [
        pytest.param("tfjs-uint8", True, id="one scale for the whole kernel"),
        pytest.param("onnx-dynamic", True, id="also in ONNX"),
        pytest.param("tfjs-uint8-per-channel", False, id="a scale for each channel"),
    ],
)
def test_an_uneven_depthwise_layer_is_the_first_where_it_has_one_scale(setting, first, uneven):
    measured = measure_sensitivity(uneven, options=SensitivityOptions(setting, limit=64))
    ranked = [part for part in measured.parts if part.only is not None and part.only.mse > 0]
    assert ("uneven" in ranked[0].layers) is first
    if first:
        assert ranked[0].without.mse < measured.whole.mse / 2
        assert measured.float_layers[0] == ranked[0].name


@pytest.mark.starts_children
@pytest.mark.parametrize("setting", ["tflite-int8", "onnx-int8"])
def test_what_keeps_the_worst_in_float_is_better(setting, uneven, cause_models):
    measured = measure_sensitivity(uneven, options=SensitivityOptions(setting, limit=64, keep=2))
    options = AnalyzeOptions(
        settings=(f"{setting}+float",),
        float_layers=measured.float_layers,
        runtimes=("python",),
        layers=False,
        costs=False,
        out=uneven.parent / f"{setting}.study",
    )
    study = analyze(cause_models / "uneven.keras", data=str(cause_models / "uneven.npz"), options=options)
    (trial,) = (trial for trial in study.trials if trial.setting == f"{setting}+float")
    float32 = next(trial for trial in study.trials if trial.setting == trial.variant.float32)
    outputs = [np.load(one.outputs[study.scored_output]) for one in (float32, trial)]
    assert np.square(outputs[0] - outputs[1]).mean() < measured.whole.mse
    assert measured.words is not None


def written(folder):
    """When each record was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}


@pytest.mark.starts_children
def test_a_study_goes_on_where_it_was(uneven):
    """Time that is over after the first op; the next call measures what is left, and nothing twice."""
    setting = SensitivityOptions("tfjs-uint8", limit=32, budget_minutes=1e-9)
    stopped = measure_sensitivity(uneven, options=setting)
    assert stopped.not_reached
    whole = measure_sensitivity(uneven, options=SensitivityOptions("tfjs-uint8", limit=32))
    assert whole.not_reached == ()
    records = written(uneven / "sensitivity" / "tfjs-uint8")
    again = measure_sensitivity(uneven, options=SensitivityOptions("tfjs-uint8", limit=32))
    assert again.parts == whole.parts
    assert records == {
        path: path.stat().st_mtime_ns for path in (uneven / "sensitivity" / "tfjs-uint8").rglob("*.json")
    }
    assert not (uneven / "work" / "sensitivity").exists()


@pytest.mark.starts_children
def test_a_setting_that_the_study_does_not_have(uneven):
    with pytest.raises(UsageError) as raised:
        measure_sensitivity(uneven, options=SensitivityOptions("tfjs-uint16"))
    assert str(raised.value) == (
        "the study has no setting 'tfjs-uint16' that was measured in Python; did you mean 'tfjs-uint8'?"
    )


@pytest.mark.starts_children
def test_a_model_is_studied_first(cause_models, tmp_path):
    command = ("sensitivity", cause_models / "uneven.keras", "--limit", "32", "--json")
    done = quantlab_in_process(*command, cwd=tmp_path)
    assert (done.status, done.stdout) == (2, "")
    assert "is no study, and for a model --setting and --data are needed" in done.stderr
    more = ("--data", cause_models / "uneven.npz", "--setting", "tfjs-uint8")
    done = quantlab_in_process(*command, *more, cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert "uneven" in json.loads(done.stdout)[0]["layers"]
    assert (tmp_path / "uneven-sensitivity.study" / "study.json").is_file()


@pytest.mark.starts_children
def test_swapped_weights_give_what_a_converted_artifact_gives(uneven, cause_models):
    """The only op in float, in a function whose weights are swapped, and in the artifact of `--float-layers`."""
    measured = measure_sensitivity(uneven, options=SensitivityOptions("tfjs-uint8", limit=10_000))
    (part,) = (part for part in measured.parts if "uneven" in part.layers and len(part.layers) == 1)
    options = AnalyzeOptions(
        settings=("tfjs-uint8+float",),
        float_layers=(part.part,),
        runtimes=("python",),
        layers=False,
        costs=False,
        out=uneven.parent / "swapped.study",
    )
    study = analyze(cause_models / "uneven.keras", data=str(cause_models / "uneven.npz"), options=options)
    float32, kept = (np.load(trial.outputs[study.scored_output]) for trial in study.trials)
    assert part.without.mse == pytest.approx(np.square(kept - float32).mean(dtype=np.float64), rel=1e-4)


@pytest.mark.starts_children
def test_weights_that_cannot_be_swapped_are_converted(own_models, tmp_path):
    """The constants of loops stay as they are in a running graph."""
    np.savez(tmp_path / "steps.npz", x=np.random.default_rng(0).normal(size=(40, 4, 3)).astype(np.float32))
    options = AnalyzeOptions(
        settings=("tfjs-uint8",), runtimes=("python",), layers=False, costs=False, out=tmp_path / "loop.study"
    )
    analyze(own_models / "loop.keras", data=str(tmp_path / "steps.npz"), options=options)
    measured = measure_sensitivity(options.out)
    kernels = [part for part in measured.parts if part.weights >= 9 and "/while/body/" in part.part]
    assert [part.name for part in kernels] == ["lstm", "lstm"]
    assert [part.part for part in kernels if part.only.mse == 0 or part.without.mse == 0] == []


@pytest.mark.starts_children
def test_the_kernels_of_every_kind_of_loop_can_be_kept_in_float(recurrent_begun, tmp_path):
    (artifact,) = recurrent_begun(tmp_path / "loops.study").glob("variants/tfjs-float32/*/artifact")
    parts = CONVERTERS["tfjs"].parts(artifact)
    kernels = [part for part in parts if part.values >= 9 and "/while/body/" in part.tap]
    assert {layer for part in kernels for layer in part.layers} == {
        *("lstm_1", "gru", "simple_rnn", "bidirectional/forward_lstm", "bidirectional/backward_lstm"),
    }
    for part in kernels:
        assert {*kept_weights(FORMATS["tfjs"], artifact, (exact_name(part, parts),))} == {*part.weights}


@pytest.mark.starts_children
def test_a_study_of_a_model_with_python_code_is_measured_where_that_is_allowed(small_models, tmp_path):
    model, data, study = small_models["lambda_and_weights"].path, tmp_path / "values.npz", tmp_path / "allowed.study"
    np.savez(data, values=np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    options = AnalyzeOptions(
        settings=("tfjs-uint8",),
        runtimes=("python",),
        model=ModelOptions(unsafe=True),
        layers=False,
        costs=False,
        out=study,
    )
    analyze(model, data=str(data), options=options)
    refused = quantlab_in_process("sensitivity", study, cwd=tmp_path)
    assert (refused.status, refused.stdout) == (2, "")
    assert "if you trust the file, allow it with --unsafe" in refused.stderr
    done = quantlab_in_process("sensitivity", study, "--unsafe", "--json", cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert [row["layers"] for row in json.loads(done.stdout)] == [["mixed"], ["doubled"]]
