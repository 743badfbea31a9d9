"""What is said of a variant that loses: the op and the weight that cause it, and values beyond half floats."""

import math
from dataclasses import replace

import numpy as np
import pytest
from study_fixtures import a_study, scores

from quantlab.cli import run
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, analyze
from quantlab.study.inside.rows import with_growth
from quantlab.study.inside.source import find_sources, warn_of_collapses
from quantlab.study.stand_in import apart
from quantlab.types import Interval, LayerRow, Source, WeightRow

pytestmark = pytest.mark.starts_children


def analyzed(cause_models, folder, name, *settings):
    """The study of a model, and what is inside its variants, in Python."""
    options = AnalyzeOptions(
        settings=settings, runtimes=("python",), layer_samples=64, costs=False, out=folder / f"{name}.study"
    )
    study = analyze(cause_models / f"{name}.keras", data=str(cause_models / f"{name}.npz"), options=options)
    return study, Store(options.out).read_inside()


def decibels(value):
    return f"{value:.1f} dB".replace("-", "\N{MINUS SIGN}")


@pytest.fixture(scope="module")
def uneven(cause_models, tmp_path_factory):
    return analyzed(
        cause_models,
        tmp_path_factory.mktemp("uneven"),
        "uneven",
        *("tfjs-uint8", "tfjs-uint16", "tflite-float16", "tflite-int8", "onnx-dynamic", "onnx-int8", "onnx-float16"),
    )


@pytest.mark.parametrize("setting", ["tfjs-uint8", "onnx-dynamic"])
def test_the_source_is_the_layer_that_destroys_a_channel(uneven, setting):
    """Both have one scale for the whole depthwise kernel."""
    _, inside = uneven
    (source,) = (source for source in inside.sources if source.setting == setting)
    assert source.layer == "uneven"
    assert source.sqnr_db < 3
    assert source.weight_spread > 500
    (most,) = (
        max((row for row in rows if row.relative_rms_growth is not None), key=lambda row: row.relative_rms_growth)
        for rows in [[row for row in inside.layers if row.setting == setting and row.baseline == "reference"]]
    )
    assert most.layer == "mixed", "where the power shows it is another layer"


def test_an_isolated_error_is_smaller_than_the_accumulated_one_where_inputs_were_ruined(uneven):
    _, inside = uneven
    for setting in ("tflite-int8", "onnx-dynamic", "onnx-int8"):
        (row,) = (
            row
            for row in inside.layers
            if (row.setting, row.layer, row.baseline) == (setting, "scores", "reference")
            and row.op in {"FULLY_CONNECTED", "Add", "Gemm"}
        )
        assert row.isolated_sqnr_db > row.sqnr_db + 10


@pytest.mark.parametrize("setting", ["tflite-int8", "onnx-dynamic"])
def test_the_first_op_has_no_other_error_than_its_own(uneven, setting):
    _, inside = uneven
    (row,) = (
        row
        for row in inside.layers
        if (row.setting, row.layer, row.baseline) == (setting, "stem", "reference") and row.op in {"CONV_2D", "Add"}
    )
    assert row.isolated_sqnr_db == pytest.approx(row.sqnr_db, abs=0.1)


def test_a_weight_has_the_name_of_its_layer_whatever_an_optimizer_called_it(uneven):
    _, inside = uneven
    for setting in ("tfjs-uint8", "tflite-int8", "onnx-dynamic", "onnx-int8", "onnx-float16"):
        kernels = [row for row in inside.weights if row.setting == setting and len(row.shape) > 1]
        assert {row.layer for row in kernels} >= {"stem", "uneven", "mixed", "scores"}, setting
        (depthwise,) = (row for row in kernels if row.layer == "uneven" and row.worst_channel_sqnr_db is not None)
        assert depthwise.channels == 16


def test_a_collapse_is_told_above_the_table_with_its_cause_and_what_to_do(uneven):
    study, inside = uneven
    (warning,) = (warning for warning in study.warnings if warning.startswith("tfjs-uint8 "))
    (trial,) = (trial for trial in study.trials if trial.setting == "tfjs-uint8")
    (source,) = (source for source in inside.sources if source.setting == "tfjs-uint8")
    smallest = min(
        (trial.variant for trial in study.trials if trial.setting in {"tfjs-uint16", "tflite-float16", "onnx-float16"}),
        key=lambda variant: variant.gzip_bytes,
    )
    assert warning == (
        f"tfjs-uint8 loses {trial.scores.top1_loss_points:.1f} points of top-1: the cause is layer uneven "
        f"({source.op}): with exact inputs, channel {source.channel} of its output has an SQNR of "
        f"{decibels(source.sqnr_db)}; its weight '{source.weight}' has an SQNR of {decibels(source.weight_sqnr_db)} in "
        f"channel {source.weight_channel}, because it has one scale for 16 channels whose largest values differ "
        f"{source.weight_spread:,.0f}-fold; the smallest variant here that does not collapse is "
        f"{smallest.name} ({smallest.gzip_bytes / 1000:,.1f} KB gzip)"
    )
    assert not any(warning.startswith(("tfjs-uint16", "tflite-float16", "onnx-float16")) for warning in study.warnings)


def test_the_layer_view_names_the_source(uneven, capsys):
    study, inside = uneven
    (source,) = (source for source in inside.sources if source.setting == "onnx-dynamic")
    folder = str(study.samples.folder.parents[2])
    assert run(["show", "layers", folder, "--setting", "onnx-dynamic"]) == 0
    sqnr = f"{decibels(source.sqnr_db)} in channel {source.channel}"
    assert f"Source of the error: uneven ({source.op}), isolated SQNR {sqnr}\n" in capsys.readouterr().out


@pytest.fixture(scope="module")
def beyond_half(cause_models, tmp_path_factory):
    settings = ("tfjs-float16", "tflite-float16", "onnx-float16")
    return analyzed(cause_models, tmp_path_factory.mktemp("half"), "beyond-half", *settings)


@pytest.mark.parametrize("format_name", ["tfjs", "tflite", "onnx"])
def test_values_that_half_floats_cannot_hold_are_named(beyond_half, format_name):
    study, _ = beyond_half
    weights, activations = (
        [warning for warning in study.warnings if warning.startswith(f"{format_name}-float16: {what}")]
        for what in ("weights hold values beyond 65,504", "in float32, activations go beyond 65,504")
    )
    assert len(weights) == len(activations) == 1
    assert "of large up to 1e+05" in weights[0]
    assert "of norm (" in activations[0]
    assert activations[0].endswith(
        "hardware that computes in half floats makes them infinite, while runtimes that compute in float32, as on "
        "desktops, show no loss; scale the values down before these tensors, or ship another setting"
    )


def test_ops_on_half_floats_that_add_no_error_are_explained(beyond_half):
    _, inside = beyond_half
    alone = {row.op: row.isolated_sqnr_db for row in inside.layers if row.dtype == "float16"}
    assert math.inf in alone.values()
    (note,) = (note for note in inside.notes if "has no isolated error" in note)
    assert note == (
        "onnx-float16 in python computes half floats in float32, so an op without weights has no isolated error (∞); "
        "hardware that computes in half floats rounds the result of every op"
    )


@pytest.mark.parametrize("setting", ["tflite-float16", "onnx-float16", "tfjs-float16"])
def test_the_row_says_what_became_of_a_weight_beyond_half_floats(beyond_half, setting):
    study, _ = beyond_half
    (trial,) = (trial for trial in study.trials if trial.setting == setting)
    assert any("not finite in float16" in note or "at ±65,504, the limit of float16" in note for note in trial.notes)


def test_weights_that_were_quantized_before_are_recognized(cause_models, tmp_path):
    study, _ = analyzed(cause_models, tmp_path, "quantized-before", "tfjs-uint8")
    (warning,) = study.warnings
    assert warning == (
        "the weights of tfjs-float32 were quantized before: 100 % of the kernels' values lie on at most 256 equal "
        "steps per tensor, so 8 bits with the same steps lose nothing more"
    )


@pytest.mark.parametrize("runtimes", [("python",), ("python", "node-wasm")], ids=["python alone", "Node too"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("kept-dimensions", "tfjs cannot run it, although Python can: "),
        ("unknown-regularizer", "tfjs cannot run it, although Python can: "),
    ],
)
def test_a_layers_model_that_tfjs_reads_otherwise_has_no_clean_row(cause_models, tmp_path, name, reason, runtimes):
    options = AnalyzeOptions(
        settings=("tfjs-layers-float32",), runtimes=runtimes, layers=False, costs=False, out=tmp_path / "own.study"
    )
    study = analyze(cause_models / f"{name}.h5", data=str(cause_models / f"{name}.npz"), options=options)
    (trial,) = (trial for trial in study.trials if trial.runtime == "python")
    assert trial.scores is None
    assert trial.failure.reason.startswith(reason)


@pytest.mark.parametrize(
    ("python", "there", "clause"),
    [
        pytest.param([[1.0, 2.0]], [[1.0, 2.01]], None, id="rounding"),
        pytest.param([[1.0, 2.0]], [[1.0, 2.5]], "'y' differs by up to 0.5 on 1 sample", id="another value"),
        pytest.param(
            [[0.001, 2.0], [1.0, 1.0]],
            [[np.nan, 2.0], [1.0, 1.0]],
            "'y' is NaN or infinite on some of 2 samples on which it is finite in Python",
            id="NaN for a small value",
        ),
        pytest.param([[np.nan, 2.0], [1.0, 1.0]], [[0.0, 9.0], [1.0, 1.0]], None, id="NaN in Python"),
        pytest.param([[np.nan]], [[1.0]], None, id="NaN in Python everywhere"),
        pytest.param([3, 4], [3, 6], "'y' differs by up to 2 on 2 samples", id="integers, one for each sample"),
    ],
)
def test_how_far_a_library_is_from_python(python, there, clause):
    assert apart("y", np.array(python), np.array(there)) == clause


def test_kernels_of_one_value_tell_nothing_of_an_earlier_quantization():
    from quantlab.statistics import share_on_grid
    from quantlab.types import StoredWeight

    def kernel(values):
        return StoredWeight("w", (), values.shape, "float32", values.nbytes, stored=values, values=values)

    mean = kernel(np.full((3, 3, 8, 1), np.float32(1 / 9)))
    noise = kernel(np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32))
    steps = kernel((np.arange(128) % 100 * np.float32(0.03) - 1).reshape(16, 8))
    assert share_on_grid([mean]) == (0.0, True)
    assert share_on_grid([mean, noise]) == (0.0, True)
    assert share_on_grid([noise, steps]) == (0.5, True)


def row(layer, place, *, sqnr_db=30.0, worst=20.0, isolated=None, relative=0.0):
    return LayerRow(
        setting="s",
        runtime="python",
        layer=layer,
        tensor=layer,
        baseline="reference",
        aligned=True,
        reason=None,
        place=place,
        op="Op",
        dtype="float32",
        sqnr_db=sqnr_db,
        relative_rms=relative,
        isolated_sqnr_db=isolated,
        worst_channel=None if worst is None else 1,
        worst_channel_sqnr_db=worst,
    )


def test_the_first_tensor_grows_by_all_of_its_error():
    grown = with_growth([row("a", 0, relative=0.25), row("b", 1, relative=0.75)])
    assert [row.relative_rms_growth for row in grown] == [0.25, 0.5]


def test_the_worst_channel_decides_and_not_the_whole_tensor():
    rows = [row("loud", 0, isolated=4.0, worst=3.0), row("quiet", 1, isolated=40.0, worst=0.5)]
    (source,) = find_sources(rows, [])
    assert (source.layer, source.sqnr_db, source.channel) == ("quiet", 0.5, 1)


def test_the_first_of_two_that_destroy_a_channel_is_the_source():
    rows = [row("b", 5, isolated=4.0, worst=-9.0), row("a", 2, isolated=40.0, worst=0.5)]
    (source,) = find_sources(rows, [])
    assert (source.layer, source.sqnr_db) == ("a", 0.5)


def test_without_isolated_errors_there_is_no_source():
    assert find_sources([row("a", 0), replace(row("b", 1), baseline="float32", isolated_sqnr_db=1.0)], []) == ()


def test_ops_without_any_error_of_their_own_are_no_source():
    assert find_sources([row("a", 0, isolated=math.inf, worst=None)], []) == ()


def test_the_weight_of_the_source_is_the_one_with_the_worst_channel():
    weights = [
        replace(
            WeightRow("s", name, name, None, (4, 2), "uint8", 8, scales=1, layer="a"),
            channels=2,
            worst_channel=0,
            worst_channel_sqnr_db=decibels,
        )
        for name, decibels in (("kernel", 3.0), ("bias", 30.0))
    ]
    (source,) = find_sources([row("a", 0, isolated=4.0)], weights)
    assert (source.weight, source.weight_scales, source.weight_channels, source.weight_sqnr_db) == ("kernel", 1, 2, 3.0)


def collapsed(folder, parity="ok: 1e-06"):
    """A study with one quantized row, which lost 60 points of top-1."""
    lost = scores(top1_loss_points=60.0, top1_loss_interval=Interval(55.0, 65.0, 0.95))
    study = a_study(folder)
    trial = next(trial for trial in study.trials if trial.setting == "tfjs-uint8" and trial.runtime == "python")
    return replace(study, trials=(replace(trial, scores=lost),), parity={"tfjs": parity})


SOURCE = Source("tfjs-uint8", "conv", "Conv2D", "conv/Relu", 2.5, 3)
INSTEAD = "; no quantized variant of this study does better, so try settings with more bits (quantlab settings)"


@pytest.mark.parametrize(
    ("sqnr_db", "cause"),
    [
        pytest.param(
            2.5,
            "the cause is layer conv (Conv2D): with exact inputs, channel 3 of its output has an SQNR of 2.5 dB",
            id="a layer that destroys a channel",
        ),
        pytest.param(
            24.0,
            "errors of several layers may add up; the largest of one layer alone is that of layer conv (Conv2D): with "
            "exact inputs, channel 3 of its output has an SQNR of 24.0 dB",
            id="layers with small errors",
        ),
    ],
)
def test_what_is_called_the_cause(sqnr_db, cause, tmp_path):
    (warning,) = warn_of_collapses(collapsed(tmp_path), [replace(SOURCE, sqnr_db=sqnr_db)])
    assert warning == f"tfjs-uint8 loses 60.0 points of top-1: {cause}{INSTEAD}"


def test_a_variant_that_loses_less_but_much_is_named(tmp_path):
    study = collapsed(tmp_path)
    (trial,) = study.trials
    lost = replace(trial.scores, top1_loss_points=50.0, top1_loss_interval=Interval(45.0, 55.0, 0.95))
    variant = replace(trial.variant, name="onnx-int8", format="onnx")
    other = replace(trial, setting="onnx-int8", variant=variant, scores=lost)
    warnings = warn_of_collapses(replace(study, trials=(trial, other)), [SOURCE])
    assert warnings[0] == (
        "tfjs-uint8 loses 60.0 points of top-1: the cause is layer conv (Conv2D): with exact inputs, channel 3 of its "
        "output has an SQNR of 2.5 dB; onnx-int8 loses least of the quantized variants of this study, so use it if "
        "that is little enough, or try settings with more bits (quantlab settings)"
    )
    worse = replace(other, scores=replace(lost, top1_loss_points=60.0))
    assert warn_of_collapses(replace(study, trials=(trial, worse)), [SOURCE])[0].endswith(INSTEAD)


def test_a_variant_with_a_wrong_calibration_is_calibrated_again_first(tmp_path):
    study = collapsed(tmp_path)
    (warning,) = warn_of_collapses(study, [SOURCE], badly_calibrated={"tfjs-uint8"})
    assert warning == (
        "tfjs-uint8 loses 60.0 points of top-1: the cause is layer conv (Conv2D): with exact inputs, channel 3 of its "
        "output has an SQNR of 2.5 dB; its calibration samples have another range than the scored samples, so "
        "preprocess both alike and analyze again before you choose another setting"
    )
    (warning,) = warn_of_collapses(study, [SOURCE], badly_calibrated={"onnx-int8"})
    assert warning.endswith(INSTEAD)


def grew(layer, decibels, growth, **changed):
    """A row of `collapsed`, which was not run alone."""
    return replace(
        row(layer, 0, sqnr_db=decibels), setting="tfjs-uint8", relative_rms_growth=growth, op="BatchNorm", **changed
    )


def variance(spread, *, worst=0.0):
    weight = WeightRow("tfjs-uint8", "norm/moving_variance", "norm", None, (8,), "uint8", 8, scales=1)
    return replace(weight, channels=8, worst_channel=5, worst_channel_sqnr_db=worst, channel_spread=spread)


ALONE = (
    "its ops were not run alone, so the cause is not certain; the error grows most in layer norm (BatchNorm), to an "
    "SQNR of −6.9 dB"
)
RUINED = "its weight 'norm/moving_variance' has an SQNR of 0.0 dB in channel 5, because it has one scale for 8 channels"


@pytest.mark.parametrize(
    ("weights", "cause"),
    [
        pytest.param([], ALONE, id="no weights"),
        pytest.param(
            [variance(1234.4)], f"{ALONE}; {RUINED} whose largest values differ 1,234-fold", id="a ruined weight"
        ),
        pytest.param(
            [variance(1e37)], f"{ALONE}; {RUINED} whose largest values differ over a million-fold", id="a dead channel"
        ),
        pytest.param([variance(2.0, worst=40.0)], ALONE, id="a good weight"),
        pytest.param([replace(variance(9.0), tensor="norm_2/moving_variance")], ALONE, id="another layer's"),
    ],
)
def test_a_variant_whose_ops_were_not_run_alone_tells_where_its_error_grows(weights, cause, tmp_path):
    layers = [grew("stem", 40.0, 0.01), grew("norm", -6.9, 2.0), grew("scores", -5.0, None)]
    (warning,) = warn_of_collapses(collapsed(tmp_path), [], layers, weights)
    assert warning == f"tfjs-uint8 loses 60.0 points of top-1: {cause}{INSTEAD}"


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([], id="nothing was read"),
        pytest.param([grew("norm", -6.9, 2.0, runtime="node-wasm")], id="in another runtime alone"),
        pytest.param([grew("norm", -6.9, 2.0), grew("pool", 9.0, 0.0, isolated_sqnr_db=math.inf)], id="run alone"),
    ],
)
def test_where_an_error_grows_is_not_told(layers, tmp_path):
    assert warn_of_collapses(collapsed(tmp_path), [], layers, []) == ()


def test_a_layer_is_not_blamed_where_float32_is_wrong_already(tmp_path):
    assert warn_of_collapses(collapsed(tmp_path, "broken: SQNR 3.0 dB (output 'output_0')"), [SOURCE]) == ()
    assert warn_of_collapses(collapsed(tmp_path, "broken: SQNR 3.0 dB (output 'other')"), [SOURCE]) != ()


def test_a_silent_channel_is_not_the_worst():
    from quantlab.statistics import LayerError

    baseline = np.zeros((4, 3), np.float32)
    baseline[:, 1:] = [[1.0, 2.0]]
    error = LayerError.of(baseline, baseline + np.float32([1e-3, 1e-3, 1.0]), channels=True)
    assert error.worst_channel == 2
