"""Limits of the error of outputs against the model: as written, as judged, accepted, and compared with a lock."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from verdict_fixtures import write_study

from quantlab.cli import run
from quantlab.errors import UsageError
from quantlab.gate.figures import near_one
from quantlab.gate.output_limits import judge_figures, worse_than_accepted
from quantlab.statistics import ErrorRows, Resampling, TensorError, missing_samples_of, output_figure
from quantlab.store import Store
from quantlab.types import Budget, OutputFigure, OutputLimit, limit_of

FEW = Resampling(resamples=200)


# Written


@pytest.mark.parametrize(
    ("option", "given", "limits"),
    [
        pytest.param("min_sqnr", "40dB", [OutputLimit("sqnr", 40.0)], id="every output"),
        pytest.param("min_sqnr", "-3.5 db", [OutputLimit("sqnr", -3.5)], id="a space and a sign"),
        pytest.param("min_sqnr", 40, [OutputLimit("sqnr", 40.0)], id="a number"),
        pytest.param(
            "min_sqnr",
            "40dB,boxes[3]=30dB",
            [OutputLimit("sqnr", 40.0), OutputLimit("sqnr", 30.0, "boxes[3]")],
            id="a channel too",
        ),
        pytest.param(
            "min_cosine", ["a=b=0.9", "1"], [OutputLimit("cosine", 0.9, "a=b"), OutputLimit("cosine", 1.0)], id="a list"
        ),
        pytest.param("max_abs_error", "5e-2", [OutputLimit("max_abs_error", 0.05)], id="an exponent"),
        pytest.param("max_rmse", "boxes=0", [OutputLimit("rmse", 0.0, "boxes")], id="no error at all"),
    ],
)
def test_limits_as_written(option, given, limits):
    budget = Budget(**{option: given})
    assert budget.output_limits == tuple(limits)
    assert Budget(**{option: [str(limit) for limit in limits]}) == budget
    assert replace(budget, confidence=0.9).output_limits == budget.output_limits


@pytest.mark.parametrize(
    ("option", "given", "message"),
    [
        pytest.param(
            "min_sqnr",
            "40dBm",
            "min_sqnr '40dBm' is not a valid limit; write for example 40dB, or OUTPUT=40dB for one output",
            id="another unit",
        ),
        pytest.param(
            "max_rmse",
            "=1",
            "max_rmse '=1' is not a valid limit; write for example 0.01, or OUTPUT=0.01 for one output",
            id="no name",
        ),
        pytest.param(
            "min_cosine", "1.5", "min_cosine '1.5' is out of range; write for example 0.999", id="more than one"
        ),
        pytest.param(
            "max_abs_error", "-1", "max_abs_error '-1' is out of range; write for example 0.05", id="less than none"
        ),
        pytest.param("max_rmse", "1e999", "max_rmse '1e999' is out of range; write for example 0.01", id="infinite"),
        pytest.param(
            "min_sqnr", ["a=1", "a=2dB"], "min_sqnr is given twice for 'a'; give it once", id="twice for one output"
        ),
        pytest.param(
            "min_sqnr", [1, "2"], "min_sqnr is given twice for all outputs; give it once", id="twice for all outputs"
        ),
        pytest.param("max_rmse", True, "max_rmse is True and must be a limit, for example 0.01", id="truth"),
    ],
)
def test_limits_that_cannot_be(option, given, message):
    with pytest.raises(UsageError) as refused:
        Budget(**{option: given})
    assert str(refused.value) == message


PLACES = (("mask", None), ("boxes", None), ("boxes", 3), ("boxes", 2), ("mask", 2))


@pytest.mark.parametrize(
    ("written", "values"),
    [
        pytest.param(["40dB", "boxes=30dB", "boxes[3]=20dB"], [40, 30, 20, None, None], id="one channel"),
        pytest.param(["40dB", "boxes[*]=25dB", "boxes[3]=20dB"], [40, 40, 20, 25, None], id="every other channel"),
        pytest.param(["mask[*]=25dB"], [None, None, None, None, 25], id="channels only"),
    ],
)
def test_the_limit_with_a_name_goes_before_that_without(written, values):
    limits = Budget(min_sqnr=written).output_limits
    found = [limit_of(*place, limits) for place in PLACES]
    assert [limit and limit.value for limit in found] == values


# Measured


def outputs(n=60, seed=0, noise=0.01):
    random = np.random.default_rng(seed)
    reference = random.normal(size=(n, 2, 3)).astype(np.float32)
    return reference, reference + random.normal(size=reference.shape, scale=noise).astype(np.float32)


def figure(name, reference, candidate, limit=0.0, *, channel=None, scored=None):
    rows = ErrorRows.of(reference, candidate, channel=channel, scored=scored)
    return output_figure(rows, OutputLimit(name, limit), output="out", channel=channel, resampling=FEW)


FIGURES = {"sqnr": "sqnr_db", "cosine": "cosine", "max_abs_error": "max_abs", "rmse": "rms"}


@pytest.mark.parametrize("channel", [None, 2])
@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_those_of_the_table(name, channel):
    reference, candidate = outputs()
    scored = np.arange(len(reference)) % 3 > 0
    found = figure(name, reference, candidate, channel=channel, scored=scored)
    at = ... if channel is None else (..., channel)
    whole = TensorError.of(reference[scored][at], candidate[scored][at])
    assert found.value == pytest.approx(getattr(whole, FIGURES[name]), rel=1e-9)
    assert found.lower <= found.value <= found.upper
    assert (found.n, found.name) == (scored.sum(), "out" if channel is None else "out[2]")


def test_memory_is_read_in_blocks_and_the_parts_make_the_whole(monkeypatch):
    monkeypatch.setattr("quantlab.statistics.paired.output_figures._BLOCK_BYTES", 8 * 6 * 7)
    reference, candidate = outputs()
    in_blocks = ErrorRows.of(reference, candidate)
    monkeypatch.undo()
    whole = ErrorRows.of(reference, candidate)
    np.testing.assert_array_equal(in_blocks.sums, whole.sums)
    np.testing.assert_array_equal(in_blocks.largest, whole.largest)


def test_equal_outputs_have_no_error():
    reference, _ = outputs()
    found = {name: figure(name, reference, reference) for name in FIGURES}
    assert (found["sqnr"].lower, found["sqnr"].upper) == (math.inf, math.inf)
    assert found["cosine"].lower == pytest.approx(1, abs=1e-15)
    assert [(found[name].value, found[name].upper) for name in ("rmse", "max_abs_error")] == [(0, 0), (0, 0)]


def test_one_bad_sample_among_many_widens_the_bound():
    reference, candidate = outputs(200)
    candidate[7] += 3
    spoiled, sound = figure("sqnr", reference, candidate), figure("sqnr", *outputs(200))
    assert sound.value - sound.lower < 1
    assert spoiled.value - spoiled.lower > 2
    # Samples that were not seen may be without error, but not take away the error of those that were.
    assert spoiled.upper == pytest.approx(sound.value, abs=1)


def test_what_is_not_finite_in_the_variant_has_the_worst_figures():
    reference, candidate = outputs()
    reference[3, 0, 0] = np.nan  # left out, as in every figure of outputs
    candidate[5, 1, 1] = np.inf
    worst = [figure(name, reference, candidate).value for name in FIGURES]
    assert worst == pytest.approx([-math.inf, math.nan, math.inf, math.inf], nan_ok=True)
    assert figure("rmse", reference, candidate, channel=0).value < 0.02


def test_an_error_on_zeros_is_no_signal():
    reference, candidate = outputs()
    found = [figure(name, np.zeros_like(reference), candidate) for name in ("sqnr", "cosine")]
    assert [one.value for one in found] == pytest.approx([-math.inf, math.nan], nan_ok=True)
    assert [judge_figures([one]).outcome for one in found] == ["breaks", "breaks"]


# Judged


def a_figure(name="sqnr", limit=40.0, value=45.0, lower=44.0, upper=46.0, **changed):
    return replace(OutputFigure(name, "out", None, limit, 100, value, lower, upper, 0.95, "BCa bootstrap"), **changed)


@pytest.mark.parametrize(
    ("figures", "outcome", "clause"),
    [
        pytest.param([a_figure()], "fits", "SQNR of 'out' is at least 44 dB, required 40 dB", id="SQNR fits"),
        pytest.param(
            [a_figure(limit=44.0)], "fits", "SQNR of 'out' is at least 44 dB, required 44 dB", id="just as large"
        ),
        pytest.param(
            [a_figure(limit=46.04, upper=46.03)],
            "breaks",
            "SQNR of 'out' is at most 46.03 dB, required 46.04 dB",
            id="SQNR breaks",
        ),
        pytest.param(
            [a_figure(limit=44.5)],
            "inconclusive",
            "too few samples: 100 of at least 1,029; SQNR of 'out' is at least 44 dB, required 44.5 dB",
            id="SQNR between",
        ),
        pytest.param(
            [a_figure(limit=45.0)],
            "inconclusive",
            "SQNR of 'out' is at least 44 dB, required 45 dB; the measured figure is the limit itself, so score more "
            "samples, or relax the limit",
            id="SQNR on the limit",
        ),
        pytest.param(
            [a_figure("cosine", 0.999, 0.99999, 0.99998, 0.999999)],
            "fits",
            "cosine of 'out' is at least 0.99998, required 0.999",
            id="cosine fits",
        ),
        pytest.param(
            [a_figure("rmse", 0.05, 0.07, 0.06, 0.08, channel=3)],
            "breaks",
            "RMS error of 'out[3]' is at least 0.06, allowed 0.05",
            id="RMS error breaks",
        ),
        pytest.param(
            [a_figure("max_abs_error", 0.05, 0.0123, 0.0123, 0.0123)],
            "fits",
            "largest error of 'out' is 0.0123 on 100 samples, allowed 0.05 (at most 3 % of all samples exceed it, at "
            "95 % confidence)",
            id="largest error fits",
        ),
        pytest.param(
            [a_figure("max_abs_error", 0.05, 0.0523, 0.0523, 0.0523)],
            "breaks",
            "largest error of 'out' is 0.0523, allowed 0.05",
            id="largest error breaks",
        ),
        pytest.param(
            [a_figure(), a_figure("rmse", 0.05, 0.045, 0.04, 0.049)],
            "fits",
            "RMS error of 'out' is at most 0.049, allowed 0.05",
            id="that nearest to its limit is named",
        ),
        pytest.param(
            [a_figure(limit=60.0), a_figure(), a_figure("rmse", 0.05, 0.5, 0.4, 0.6)],
            "breaks",
            "SQNR of 'out' is at most 46 dB, required 60 dB; RMS error of 'out' is at least 0.4, allowed 0.05",
            id="all that break are named",
        ),
        pytest.param(
            [a_figure("cosine", 0.9, math.nan, -math.inf, math.inf)],
            "breaks",
            "cosine of 'out' has no value, because the output is all zeros in the model or the variant",
            id="no direction",
        ),
    ],
)
def test_figures_are_judged(figures, outcome, clause):
    found = judge_figures(figures)
    assert (found.outcome, found.clause) == (outcome, clause)
    assert (found.missing is None) == ("of at least" not in clause)


def test_without_limits_nothing_is_judged():
    assert judge_figures([]) is None


def test_twice_the_distance_needs_a_quarter_of_the_samples():
    near, far = (missing_samples_of(a_figure("rmse", 1 + distance, 1.0, 0.7, 1.3)) + 100 for distance in (0.1, 0.2))
    assert near == pytest.approx(4 * far, rel=0.01)


def test_a_cosine_is_rounded_by_its_distance_from_one():
    assert [near_one(0.9999999, "down"), near_one(0.12345, "up")] == ["0.9999999", "0.13"]


# Gated, accepted, recommended


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def unlabelled(folder, n=400, **noise):
    """A study of embeddings without labels; each setting adds noise of some size."""
    reference = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    random = np.random.default_rng(1)
    candidates = {
        (setting.replace("_", "-"), "python"): reference
        + random.normal(size=reference.shape, scale=scale).astype(np.float32)
        for setting, scale in noise.items()
    }
    return write_study(folder, None, reference, candidates, task="similarity", classes=False)


def gate(capsys, *arguments, command="gate"):
    status = run([command, *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize(
    ("options", "status", "reasons"),
    [
        pytest.param(
            ["--min-sqnr", "40dB"],
            0,
            ["BREAKS  SQNR of 'output_0' is at most 34.2 dB, required 40 dB", "FITS    SQNR of 'output_0' is at least"],
            id="SQNR",
        ),
        pytest.param(["--min-cosine", "0.99999"], 1, ["BREAKS  cosine", "BREAKS  cosine"], id="cosine"),
        pytest.param(["--max-rmse", "output_0[3]=0.01"], 0, ["BREAKS  RMS", "FITS    RMS"], id="RMS of a channel"),
        pytest.param(["--max-abs-error", "0.2"], 0, ["FITS  largest error", "FITS  largest error"], id="largest error"),
    ],
)
def test_what_has_no_labels_is_gated(options, status, reasons, tmp_path, capsys):
    unlabelled(tmp_path / "emb.study", tfjs_uint8=0.02, tfjs_uint16=0.005)
    given, printed, _ = gate(capsys, "emb.study", *options)
    assert given == status
    lines = [line.split("  ", 2)[2].lstrip() for line in printed.splitlines()[:2]]
    assert [line[: len(reason)] for line, reason in zip(lines, reasons, strict=True)] == reasons


def test_every_channel_is_limited_by_one_option(tmp_path, capsys):
    unlabelled(tmp_path / "emb.study", tfjs_uint8=np.array([0.02, 0.02, 0.1, 0.02]))
    assert gate(capsys, "emb.study", "--min-sqnr", "23dB")[0] == 0  # the other channels hide it
    status, printed, _ = gate(capsys, "emb.study", "--min-sqnr", "output_0[*]=30dB", "--json", "-")
    assert status == 1
    (judgement,) = json.loads(printed)["studies"][0]["judgements"]
    assert [(one["channel"], one["limit"]) for one in judgement["figures"]] == [(channel, 30) for channel in range(4)]
    assert re.fullmatch(r"SQNR of 'output_0\[2\]' is at most 2\d\.\d dB, required 30 dB", judgement["reason"])
    own = ("--min-sqnr", "output_0[*]=30dB", "--min-sqnr", "output_0[2]=15dB")
    assert gate(capsys, "emb.study", *own)[0] == 0


def test_a_policy_has_the_same_names(tmp_path, capsys):
    unlabelled(tmp_path / "emb.study", tfjs_uint8=0.02)
    Path("quantlab.toml").write_text('[budget]\nmin_sqnr = ["30dB", "output_0[1]=20"]\nmax_abs_error = 0.5\n')
    assert gate(capsys, "emb.study", "--json", "-")[0] == 0
    assert gate(capsys, "emb.study", "--min-sqnr", "90dB")[0] == 1
    Path("quantlab.toml").write_text("[budget]\nmin_sqnr = [true]\n")
    assert gate(capsys, "emb.study")[2] == ("quantlab: min_sqnr is True and must be a limit, for example 40dB\n")


def test_programs_get_every_limited_figure(tmp_path, capsys):
    unlabelled(tmp_path / "emb.study", tfjs_uint8=0.02)
    printed = gate(capsys, "emb.study", "--min-sqnr", "30dB", "--max-rmse", "output_0[1]=0.1", "--json", "-")[1]
    (study,) = json.loads(printed)["studies"]
    assert (study["budget"]["min_sqnr"], study["budget"]["max_rmse"]) == (["30dB"], ["output_0[1]=0.1"])
    figures = study["judgements"][0]["figures"]
    assert [(one["figure"], one["output"], one["channel"], one["limit"]) for one in figures] == [
        ("sqnr", "output_0", None, 30.0),
        ("rmse", "output_0", 1, 0.1),
    ]
    assert all(one["lower"] < one["value"] < one["upper"] for one in figures)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ["--max-accuracy-loss", "1%"],
            "the budget limits the loss to 1%, and the samples have no labels; give samples with labels, or limit the "
            "error of the outputs against the model instead, for example with min_sqnr (40dB)",
            id="a loss",
        ),
        pytest.param(
            ["--max-accuracy-loss", "1%", "--metric", "rmse"],
            "the metric 'rmse' needs labels, and the samples have none; give labelled samples, or limit the error of "
            "the outputs against the model instead, for example with min_sqnr (40dB)",
            id="a metric",
        ),
        pytest.param(
            ["--min-agreement", "99%"],
            "the budget sets min_agreement, and the scored output has no classes; limit the error of the outputs "
            "against the model instead, for example with min_sqnr (40dB)",
            id="an agreement",
        ),
        pytest.param(
            ["--min-sqnr", "output=40dB"],
            "the model has no output 'output' to be limited by min_sqnr; did you mean 'output_0'?",
            id="an unknown output",
        ),
        pytest.param(
            ["--max-rmse", "output[*]=1"],
            "the model has no output 'output[*]' to be limited by max_rmse; did you mean 'output_0'?",
            id="every channel of an unknown output",
        ),
        pytest.param(
            ["--max-rmse", "output_0[4]=1"],
            "the output 'output_0' has no channel '4' to be limited by max_rmse; its channels are output_0[0] to "
            "output_0[3]",
            id="an unknown channel",
        ),
    ],
)
def test_no_advice_leads_in_a_circle(options, message, tmp_path, capsys):
    unlabelled(tmp_path / "emb.study", tfjs_uint8=0.02)
    assert gate(capsys, "emb.study", *options)[::2] == (2, f"quantlab: {message}\n")
    assert gate(capsys, "emb.study", "--min-sqnr", "30dB")[0] == 0


def test_the_setting_that_uses_least_of_the_limit_is_recommended_among_similar_sizes(tmp_path, capsys):
    study = unlabelled(tmp_path / "emb.study", tfjs_uint8=0.02, tfjs_uint16=0.005, tfjs_float16=0.002)
    sizes = {"tfjs-uint8": 10_000, "tfjs-uint16": 10_100, "tfjs-float16": 30_000}
    trials = [replace(trial, variant=replace(trial.variant, gzip_bytes=sizes[trial.setting])) for trial in study.trials]
    Store(tmp_path / "emb.study").write_study(replace(study, trials=tuple(trials)))
    status, printed, _ = gate(capsys, "emb.study", "--min-sqnr", "30dB", command="recommend")
    assert status == 0
    lines = printed.splitlines()
    assert lines[0].startswith("Ship tfjs-uint16: 10.1 KB gzipped, SQNR of 'output_0' is at least 45")
    assert lines[0].endswith(
        "of settings whose sizes differ by less than 5 %, its outputs use least of the allowed error"
    )
    assert lines[1].startswith(
        "Not chosen      tfjs-uint8    fits, 1 % smaller, but its outputs use more of the allowed error: SQNR of "
    )


def test_accepted_figures_are_compared(tmp_path, capsys):
    unlabelled(tmp_path / "one" / "emb.study", tfjs_uint8=0.02)
    unlabelled(tmp_path / "two" / "emb.study", tfjs_uint8=0.025)
    limits = ("--min-sqnr", "30dB", "--max-abs-error", "1")
    assert gate(capsys, "one/emb.study", *limits, command="accept")[0] == 0
    assert gate(capsys, "one/emb.study", *limits, "--lock", "quantlab.lock")[0] == 0
    assert gate(capsys, "one/emb.study", "--lock", "quantlab.lock")[0] == 0  # with the limits of that time
    status, printed, _ = gate(capsys, "two/emb.study", *limits, "--lock", "quantlab.lock")
    assert status == 1
    assert printed.startswith("emb  tfjs-uint8  BREAKS  SQNR of 'output_0' is at most 32.3 dB, accepted 33.")
    assert gate(capsys, "two/emb.study", "--max-abs-error", "1", "--lock", "quantlab.lock")[2].splitlines()[0] == (
        "! emb: the SQNR of 'output_0' was accepted, and the budget does not limit it, so it is not compared; give "
        "min_sqnr"
    )


def test_equal_outputs_are_accepted_and_compared(tmp_path, capsys):
    unlabelled(tmp_path / "one" / "emb.study", tfjs_uint8=0.0)
    unlabelled(tmp_path / "two" / "emb.study", tfjs_uint8=1e-6)
    assert gate(capsys, "one/emb.study", "--min-sqnr", "30dB", command="accept")[0] == 0
    assert gate(capsys, "one/emb.study", "--lock", "quantlab.lock")[0] == 0
    status, printed, _ = gate(capsys, "two/emb.study", "--lock", "quantlab.lock")
    assert (status, printed.splitlines()[0].endswith("dB, accepted ∞ dB")) == (1, True)


def test_what_was_not_accepted_is_not_compared():
    assert worse_than_accepted([a_figure()], []) == []
