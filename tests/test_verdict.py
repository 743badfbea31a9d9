"""Verdicts and their reasons: the rule, limits, targets, the recommendation."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from study_fixtures import a_failure, a_trial, a_variant
from verdict_fixtures import answers, flipped

from quantlab.errors import StudyError, UsageError
from quantlab.gate import TARGETS, choose, decide
from quantlab.gate.figures import at_most, bound_of, rounded_down
from quantlab.statistics import (
    PAIRED_METRICS,
    CandidateSamples,
    ReferenceSamples,
    Resampling,
    default_metrics,
    evidence,
    loss_bounds,
)
from quantlab.types import Budget, Judgement, Loss, Margin, SettingVerdict, Tail, TrialEvidence
from quantlab.types.budget import OWN_UNITS

HALF_A_POINT = Budget(max_accuracy_loss="0.5pt")
N = 10_000


@pytest.fixture(scope="module")
def labels():
    return np.arange(N) % 10


@pytest.fixture
def seen(tmp_path, labels):
    """Makes a trial of so many samples, of which some flip, and what is known of its outputs."""

    def make(setting="tfjs-uint8", runtime="python", *, n=N, lost=(), gained=(), size=20_000, confidence=0.95):
        lost, gained = (range(places) if isinstance(places, int) else places for places in (lost, gained))
        lost = flipped(n, list(lost))
        gained = flipped(n, [n - 1 - place for place in gained])
        reference = ReferenceSamples.of(
            answers(labels[:n], gained), labels[:n], task="classification", probabilities=True, classes=True
        )
        candidate = CandidateSamples.of(reference, answers(labels[:n], lost))
        variant = a_variant(tmp_path, setting, size_bytes=size, gzip_bytes=size // 2)
        return TrialEvidence(
            a_trial(tmp_path, setting, runtime, variant=variant),
            evidence(
                reference,
                candidate,
                setting=setting,
                runtime=runtime,
                metrics=default_metrics(reference),
                resampling=Resampling(confidence),
            ),
        )

    return make


# The rule


@pytest.mark.parametrize(
    ("n", "flips", "outcome", "reason", "missing"),
    [
        pytest.param(
            200,
            (0, 0),
            "inconclusive",
            "too few samples: 200 of at least 598; loses at most 1.49 pt, allowed 0.50",
            398,
            id="no flip in 200",
        ),
        pytest.param(
            597,
            (0, 0),
            "inconclusive",
            "too few samples: 597 of at least 598; loses at most 0.51 pt, allowed 0.50",
            1,
            id="one sample short",
        ),
        pytest.param(598, (0, 0), "fits", "loses at most 0.4998 pt, allowed 0.50", None, id="just enough"),
        pytest.param(10_000, (0, 0), "fits", "loses at most 0.03 pt, allowed 0.50", None, id="no flip in 10,000"),
        pytest.param(10_000, (26, 24), "fits", "loses at most 0.15 pt, allowed 0.50", None, id="as many both ways"),
        pytest.param(
            10_000, (0, 60), "fits", "gains at least 0.47 pt, allowed 0.50", None, id="an improvement is no loss"
        ),
        pytest.param(10_000, (200, 40), "breaks", "loses at least 1.35 pt, allowed 0.50", None, id="surely more"),
        pytest.param(
            10_000,
            (50, 0),
            "inconclusive",
            "loses at most 0.64 pt, allowed 0.50; the measured figure is the limit itself, so score more samples, or "
            "relax the limit",
            None,
            id="the margin itself",
        ),
    ],
)
def test_the_rule(seen, n, flips, outcome, reason, missing):
    lost, gained = flips
    (setting,) = decide([seen(n=n, lost=lost, gained=gained)], HALF_A_POINT).settings
    (judged,) = setting.judgements
    assert (judged.outcome, judged.reason, judged.missing) == (outcome, reason, missing)
    assert (judged.n, judged.margin) == (n, 0.5)


def test_no_figure_looks_better_than_it_is(seen):
    """What is shown as an upper bound is never below it, nor at the margin where it is under it."""
    for lost in range(0, 60, 7):
        (judged,) = decide([seen(lost=lost)], HALF_A_POINT).settings[0].judgements
        shown = float(judged.reason.split("loses at most ")[1].split(" pt")[0]) if "at most" in judged.reason else None
        if shown is not None:
            assert shown >= judged.loss.upper
            assert (shown < 0.5) == (judged.loss.upper < 0.5)


def test_a_failed_trial_excludes_its_setting(seen, tmp_path):
    failed = TrialEvidence(a_failure(tmp_path, "no op Erfc", setting="tfjs-uint8", runtime="node-wasm"), None)
    verdict = decide([seen(), failed], HALF_A_POINT)
    assert verdict.of("tfjs-uint8").outcome == "breaks"
    assert verdict.of("tfjs-uint8").reason == "failed in node-wasm: no op Erfc"
    assert verdict.recommended is None


def test_one_output_that_is_not_finite_breaks(seen):
    spoiled = seen()
    spoiled = replace(spoiled, evidence=replace(spoiled.evidence, non_finite=1))
    assert decide([spoiled], HALF_A_POINT).of("tfjs-uint8").reason == "1 output value is NaN or infinite"


# Limits


def test_a_class_that_surely_loses_breaks_although_the_total_fits(seen):
    lost = range(6, 6 + 10 * 25, 10)  # 25 samples, each of class 6
    verdict = decide([seen(lost=lost)], Budget(max_accuracy_loss="0.5pt", max_class_loss="1pt"))
    of_ten_classes, _ = loss_bounds(25, 0, n=1000, confidence=1 - 0.05 / 10)
    assert verdict.of("tfjs-uint8").reason == (
        f"class 6 loses at least {rounded_down(100 * of_ten_classes)} pt, allowed 1.00 "
        "(measured 2.5 pt: 25 of 1,000 samples became wrong, 0 became right)"
    )


@pytest.mark.parametrize(
    ("budget", "outcome", "reason"),
    [
        pytest.param({"max_class_loss": "1pt"}, "fits", "no class loses more than 0.63 pt, allowed 1.00", id="classes"),
        pytest.param(
            {"max_class_loss": "0.5pt"},
            "inconclusive",
            (
                "too few samples of class 0: 1,000 of at least 1,372; class 0 loses at most 0.63 pt, allowed 0.50 "
                "(2 of 1,000 samples became wrong, 0 became right)"
            ),
            id="classes of too few samples",
        ),
        pytest.param(
            {"min_agreement": "99%"},
            "fits",
            "same top-1 on at least 99.70 % of the samples, required 99 %",
            id="agreement",
        ),
        pytest.param(
            {"min_agreement": "99.9%"},
            "breaks",
            "same top-1 on at most 99.87 % of the samples, required 99.9 %",
            id="less agreement",
        ),
        pytest.param({"max_size": "10KB"}, "fits", "10.0 KB gzipped, allowed 10.0 KB", id="size"),
        pytest.param({"max_size": "9KB"}, "breaks", "10.0 KB gzipped, allowed 9.0 KB", id="too large"),
        pytest.param(
            {"max_size": "10KB", "target": "node"}, "breaks", "20.0 KB on disk, allowed 10.0 KB", id="raw size"
        ),
        pytest.param({"max_accuracy_loss": "0.5%"}, "fits", "loses at most 0.30 pt, allowed 0.50", id="relative"),
    ],
)
def test_limits(seen, budget, outcome, reason):
    runtime = "node-wasm" if "target" in budget else "python"
    verdict = decide([seen(runtime=runtime, lost=20)], Budget(**budget))
    (judged,) = verdict.of("tfjs-uint8").judgements
    assert (judged.outcome, judged.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"max_accuracy_loss": "0.5"},
            (
                "max_accuracy_loss '0.5' has no unit; write 0.5pt for 0.5 percentage points, 0.5% for a "
                "loss relative to the reference, or the name of a metric that is no share, for example 0.5mae"
            ),
            id="no unit",
        ),
        pytest.param(
            {"max_class_loss": "0.5"},
            "max_class_loss '0.5' has no unit; write 0.5pt for 0.5 percentage points",
            id="no unit of a class",
        ),
        pytest.param(
            {"max_accuracy_loss": "0.2", "metric": "mae"},
            "max_accuracy_loss '0.2' has no unit; write 0.2mae for a loss in the unit of the metric, or 0.2% for a "
            "loss relative to the reference",
            id="no unit of a regression",
        ),
        pytest.param(
            {"max_accuracy_loss": "0.2", "metric": "own:error:lower"},
            "max_accuracy_loss '0.2' has no unit; write 0.2error for a loss in the unit of the metric, or 0.2% for a "
            "loss relative to the reference",
            id="no unit of an own metric",
        ),
        pytest.param(
            {"max_accuracy_loss": "half"},
            (
                "max_accuracy_loss 'half' is not a valid loss; write for example 0.5pt (percentage "
                "points) or 0.5% (relative)"
            ),
            id="no number",
        ),
        pytest.param(
            {"max_accuracy_loss": "-1pt"},
            ("max_accuracy_loss '-1pt' is negative; the allowed loss must be 0 or more"),
            id="negative",
        ),
        pytest.param(
            {"max_class_loss": "1%"}, "max_class_loss '1%' must be in points, for example 2pt", id="relative class"
        ),
        pytest.param(
            {"max_size": "5 mm"},
            "max_size '5 mm' is not a valid size; write for example 500KB, 2MB or 512KiB",
            id="no size",
        ),
        pytest.param(
            {"max_size": "0KB"},
            ("max_size '0KB' is less than one byte; give a size above 0, for example 500KB"),
            id="no room",
        ),
        pytest.param(
            {"min_agreement": "101%"},
            ("min_agreement '101%' is not a valid share; write a percentage, for example 99%"),
            id="more than all",
        ),
        pytest.param(
            {"max_size": 5, "confidence": 1.0},
            ("a confidence of 1 is out of range; give a share above 0.5 and below 1, such as 0.95"),
            id="certainty",
        ),
        pytest.param(
            {"min_agreement": 0.99},
            "min_agreement 0.99 is not a percentage above 1 and up to 100; write 99 % as 99%",
            id="a share that is no percent",
        ),
        pytest.param(
            {},
            (
                "the budget sets no limit; give at least one of max_accuracy_loss (0.5pt), "
                "max_class_loss (2pt), max_slice_loss (2pt), max_size (500KB), min_agreement (99%), min_sqnr (40dB), "
                "min_cosine (0.999), "
                "max_abs_error (0.05) and max_rmse (0.01)"
            ),
            id="nothing",
        ),
    ],
)
def test_a_budget_that_cannot_be(given, message):
    with pytest.raises(UsageError) as caught:
        Budget(**given)
    assert str(caught.value) == message


# Targets, and what is recommended


def test_the_smallest_that_fits_everywhere(seen):
    trials = [
        seen("tfjs-uint8", "python", size=10_000),
        seen("tfjs-uint8", "node-wasm", size=10_000, lost=200),
        seen("tfjs-uint16", "python", size=20_000),
        seen("tfjs-uint16", "node-wasm", size=20_000),
        seen("tfjs-float32", "python", size=40_000),
        seen("tfjs-float32", "node-wasm", size=40_000),
    ]
    choice = choose(trials, HALF_A_POINT)
    assert choice.setting == "tfjs-uint16"
    assert choice.reasons == {
        "tfjs-uint8": "breaks: loses at least 1.77 pt, allowed 0.50",
        "tfjs-float32": "fits, 100 % larger",
    }
    assert choice.share_of_float32 == 0.5
    assert choice.front == ("tfjs-uint8", "tfjs-uint16")


@pytest.mark.parametrize(
    ("sizes", "lost", "recommended", "reasons"),
    [
        pytest.param(
            (20_000, 20_990),
            (26, 0),
            "tfjs-uint16",
            {"tfjs-uint8": "fits, 5 % smaller, but its bound is higher: at most 0.37 pt against at most 0.03 pt"},
            id="4.95 % larger, and a lower bound",
        ),
        pytest.param(
            (20_000, 21_000),
            (26, 0),
            "tfjs-uint8",
            {"tfjs-uint16": "fits, 5 % larger"},
            id="5 % larger: a size of its own",
        ),
        pytest.param(
            (20_000, 20_400),
            (0, 26),
            "tfjs-uint8",
            {"tfjs-uint16": "fits, 2 % larger"},
            id="larger, and a higher bound",
        ),
        pytest.param(
            (20_000, 20_040),
            (26, 0),
            "tfjs-uint16",
            {"tfjs-uint8": "fits, has the same size, but its bound is higher: at most 0.37 pt against at most 0.03 pt"},
            id="hardly larger",
        ),
        pytest.param(
            (20_000, 20_400),
            (26, 26),
            "tfjs-uint8",
            {"tfjs-uint16": "fits, 2 % larger"},
            id="equal bounds: the smaller",
        ),
        pytest.param(
            (20_000, 20_000),
            (0, 26),
            "tfjs-uint8",
            {"tfjs-uint16": "fits, has the same size, and does not lose less"},
            id="equal sizes",
        ),
    ],
)
def test_among_similar_sizes_the_lowest_bound_is_recommended(seen, sizes, lost, recommended, reasons):
    names = ("tfjs-uint8", "tfjs-uint16")
    trials = [seen(name, size=size, lost=many) for name, size, many in zip(names, sizes, lost, strict=True)]
    choice = choose(trials, HALF_A_POINT)
    assert (choice.setting, choice.reasons) == (recommended, reasons)
    smaller = choice.verdict.smaller_with_higher_bound
    assert smaller == tuple(name for name in reasons if "but its bound is higher" in reasons[name])


def test_similar_sizes_are_those_of_the_smallest(seen):
    """A chain of settings, each a little larger than the one before, does not lead to a much larger one."""
    sizes, lost = (20_000, 20_800, 21_600), (26, 13, 0)
    names = ("tfjs-uint8", "tfjs-uint16", "tfjs-float16")
    trials = [seen(name, size=size, lost=many) for name, size, many in zip(names, sizes, lost, strict=True)]
    assert decide(trials, HALF_A_POINT).recommended == "tfjs-uint16"


def added(trial):
    """A trial of a float32 baseline that nobody asked for."""
    return replace(trial, trial=replace(trial.trial, requested=False))


def test_float32_that_fits_is_named_where_nothing_quantized_does(seen):
    """Also where quantlab added it: it is judged by the same budget, in the runtimes that count."""
    trials = [
        seen("tfjs-uint8", lost=200),
        added(seen("tfjs-float32", size=80_000)),
        seen("tflite-int8", lost=200),
        added(seen("tflite-float32", size=80_000, lost=300)),
    ]
    choice = choose(trials, HALF_A_POINT)
    assert (choice.setting, choice.verdict.outcome) == (None, "breaks")
    assert {judged.setting: judged.reason for judged in choice.baselines} == {
        "tfjs-float32": "loses at most 0.03 pt, allowed 0.50"
    }
    assert choice.try_next == ("tfjs-float16", "tfjs-uint16")
    assert choice.explain().split("\n") == [
        "nothing fits: breaks",
        "tfjs-uint8: breaks: loses at least 1.77 pt, allowed 0.50",
        "tflite-int8: breaks: loses at least 1.77 pt, allowed 0.50",
        "tfjs-float32, the float32 baseline: loses at most 0.03 pt, allowed 0.50",
        "try next: tfjs-float16, tfjs-uint16",
    ]


@pytest.mark.parametrize(
    ("trials", "budget", "baselines", "following"),
    [
        pytest.param(
            {"tfjs-uint8": (0, 20_000)}, {"max_accuracy_loss": "0.5pt"}, (), (), id="a quantized setting fits"
        ),
        pytest.param(
            {"tfjs-uint8": (200, 20_000), "tfjs-float16": (200, 40_000)},
            {"max_accuracy_loss": "0.5pt"},
            ("tfjs-float32",),
            ("tfjs-uint16",),
            id="float16 was tried",
        ),
        pytest.param(
            {"tfjs-uint8": (200, 20_000), "tfjs-float16": (200, 40_000), "tfjs-uint16": (200, 40_000)},
            {"max_accuracy_loss": "0.5pt"},
            ("tfjs-float32",),
            (),
            id="all were tried",
        ),
        pytest.param(
            {"tfjs-uint8": (200, 20_000)},
            {"max_accuracy_loss": "0.5pt", "max_size": "20KB"},
            (),
            ("tfjs-float16", "tfjs-uint16"),
            id="half of float32 is small enough: 20.0 KB",
        ),
        pytest.param(
            {"tfjs-uint8": (200, 20_000)},
            {"max_accuracy_loss": "0.5pt", "max_size": "15KB"},
            (),
            (),
            id="half of float32 is too large",
        ),
        pytest.param({"tfjs-uint8": (0, 20_000)}, {"max_size": "5KB"}, (), (), id="only a size is limited"),
        pytest.param(
            {"tfjs-uint8": (0, 20_000)},
            {"max_accuracy_loss": "0.5pt", "max_size": "5KB"},
            (),
            (),
            id="only the size is exceeded",
        ),
        pytest.param(
            {"tflite-int8": (200, 20_000)},
            {"max_accuracy_loss": "0.5pt"},
            ("tfjs-float32",),
            (),
            id="no float32 of that format",
        ),
    ],
)
def test_what_to_try_next(seen, trials, budget, baselines, following):
    given = [seen(name, size=size, lost=lost) for name, (lost, size) in trials.items()]
    given.append(added(seen("tfjs-float32", size=80_000)))
    choice = choose(given, Budget(**budget))
    assert (tuple(judged.setting for judged in choice.baselines), choice.try_next) == (baselines, following)


def test_float32_that_was_asked_for_is_recommended_and_16_bits_are_tried_next(seen):
    choice = choose([seen("tfjs-uint8", lost=200), seen("tfjs-float32", size=80_000)], HALF_A_POINT)
    assert (choice.setting, choice.baselines, choice.try_next) == ("tfjs-float32", (), ("tfjs-float16", "tfjs-uint16"))


def test_a_baseline_counts_for_its_target_alone(seen):
    trials = [
        seen("tfjs-uint8", "node-wasm", lost=200),
        added(seen("tfjs-float32", "node-wasm")),
        seen("tflite-int8", "node-wasm", lost=200),
        added(seen("tflite-float32", "node-wasm")),
    ]
    choice = choose(trials, replace(HALF_A_POINT, target="web"))
    assert [judged.setting for judged in choice.baselines] == ["tfjs-float32"]
    assert choice.try_next == ("tfjs-float16", "tfjs-uint16")


def test_a_runtime_that_does_not_count_does_not_object(seen):
    trials = [seen("tfjs-uint8", "python"), seen("tfjs-uint8", "node-wasm", lost=200)]
    assert decide(trials, replace(HALF_A_POINT, runtimes=("python",))).recommended == "tfjs-uint8"
    assert decide(trials, HALF_A_POINT).recommended is None


def test_a_setting_that_was_not_run_where_it_counts_does_not_fit(seen):
    trials = [seen("tfjs-uint8", "python"), seen("tfjs-uint16", "python"), seen("tfjs-uint16", "node-wasm")]
    verdict = decide(trials, HALF_A_POINT)
    assert verdict.of("tfjs-uint8").reason == "was not run in node-wasm"
    assert verdict.recommended == "tfjs-uint16"


def test_a_runtime_has_no_say_about_formats_that_it_does_not_run(seen):
    trials = [seen("tflite-int8", "python"), seen("tfjs-uint8", "python"), seen("tfjs-uint8", "node-cpu")]
    assert decide(trials, HALF_A_POINT).of("tflite-int8").outcome == "fits"


@pytest.mark.parametrize(
    ("target", "judged", "untested"),
    [
        pytest.param("any", ["tfjs-uint8", "tflite-int8"], (), id="any"),
        pytest.param(
            "web",
            ["tfjs-uint8"],
            ("chromium-wasm", "chromium-webgl", "chromium-webgpu", "browsers other than Chromium"),
            id="web",
        ),
        pytest.param(
            "web-mobile",
            ["tfjs-uint8"],
            ("chromium-wasm", "chromium-webgl", "chromium-webgl16", "a phone's GPU"),
            id="web-mobile",
        ),
        pytest.param("node", ["tfjs-uint8", "tflite-int8"], (), id="node"),
        pytest.param("android", ["tflite-int8"], ("a phone's GPU and NPU delegates",), id="android"),
    ],
)
def test_targets(seen, target, judged, untested):
    trials = [
        seen(setting, runtime) for setting in ("tfjs-uint8", "tflite-int8") for runtime in ("python", "node-wasm")
    ]
    verdict = decide(trials, replace(HALF_A_POINT, target=target))
    assert [setting.setting for setting in verdict.settings] == judged
    assert verdict.untested == untested
    counted = {judgement.runtime for setting in verdict.settings for judgement in setting.judgements}
    assert counted == {"any": {"python", "node-wasm"}, "android": {"python"}}.get(target, {"node-wasm"})


def test_named_settings_must_all_fit_and_of_the_others_one(seen):
    trials = [seen("tfjs-uint8", lost=200), seen("tfjs-uint16"), seen("tfjs-float32")]
    assert decide(trials, HALF_A_POINT).outcome == "fits"
    assert decide(trials, HALF_A_POINT, settings=("tfjs-uint*",)).outcome == "breaks"
    assert decide(trials[:1] + trials[2:], HALF_A_POINT).outcome == "breaks"  # float32 is no quantized setting
    with pytest.raises(UsageError, match=r"^no judged setting is quantized \(judged: tfjs-float32\); analyze"):
        decide(trials[2:], HALF_A_POINT)
    assert decide(trials[2:], HALF_A_POINT, settings=("tfjs-float32",)).fits


@pytest.mark.parametrize(("n", "outcome"), [(598, "fits"), (597, "inconclusive"), (540, "inconclusive")])
def test_agreement_needs_the_samples_that_could_show_the_lack_of_it(seen, n, outcome):
    """Wilson's interval alone would pass 538 equal answers, which a true 0.5 % gives in 6.7 % of the cases."""
    assert decide([seen(n=n)], Budget(min_agreement="99.5%")).outcome == outcome


def test_no_number_of_samples_shows_that_a_share_loses_nothing(seen):
    """Unless more of them became right than wrong: a gain is below any margin."""
    (judged,) = decide([seen()], Budget(max_accuracy_loss="0pt")).of("tfjs-uint8").judgements
    assert (judged.outcome, judged.missing) == ("inconclusive", None)
    assert judged.reason == ("loses at most 0.03 pt, allowed 0.00; more samples cannot decide this, so relax the limit")
    (judged,) = decide([seen(gained=60)], Budget(max_accuracy_loss="0pt")).of("tfjs-uint8").judgements
    assert (judged.outcome, judged.reason) == ("fits", "gains at least 0.47 pt, allowed 0.00")


@pytest.mark.parametrize(
    ("flips", "outcome", "reason"),
    [
        pytest.param((0, 2), "fits", "loses at most 0.26 pt, allowed 0.50", id="a gain of two changes, by its bound"),
        pytest.param((0, 4), "fits", "gains at least 0.27 pt, allowed 0.50", id="a gain of four changes"),
        pytest.param((0, 5), "fits", "gains at least 0.53 pt, allowed 0.50", id="a gain of five changes"),
        pytest.param((1, 6), "fits", "gains at least 0.15 pt, allowed 0.50", id="a gain of seven changes"),
        pytest.param(
            (0, 0),
            "inconclusive",
            "too few samples: 300 of at least 598; loses at most 1.00 pt, allowed 0.50",
            id="no change",
        ),
        pytest.param(
            (1, 2),
            "inconclusive",
            "too few samples: 300 of at least 890; loses at most 0.91 pt, allowed 0.50",
            id="a bound above the margin",
        ),
    ],
)
def test_what_surely_gains_is_never_said_to_be_undecided(seen, flips, outcome, reason):
    """Neither does a reason say that a setting gains, and leave undecided whether it loses."""
    lost, gained = flips
    (judged,) = decide([seen(n=300, lost=lost, gained=gained)], HALF_A_POINT).of("tfjs-uint8").judgements
    assert (judged.outcome, judged.reason) == (outcome, reason)


def test_what_was_not_run_is_not_a_lack_of_samples(seen):
    trials = [seen("tfjs-uint8", "python"), seen("tfjs-uint16", "python"), seen("tfjs-uint16", "node-wasm")]
    assert not decide(trials, HALF_A_POINT, settings=("tfjs-uint8",)).lacks_samples
    assert decide([seen(n=200)], HALF_A_POINT).lacks_samples


def test_a_variant_with_nan_is_not_on_the_front(seen):
    spoiled = seen("tfjs-uint8", size=10_000)
    spoiled = replace(spoiled, evidence=replace(spoiled.evidence, non_finite=1))
    assert choose([spoiled, seen("tfjs-uint16")], HALF_A_POINT).front == ("tfjs-uint16",)


def test_the_reader_of_a_failed_assertion_is_told(seen):
    verdict = decide([seen("tfjs-uint8", lost=200), seen("tfjs-uint16")], HALF_A_POINT, study="digits")
    assert verdict.explain() == (
        "tfjs-uint8   BREAKS        loses at least 1.77 pt, allowed 0.50\n"
        "tfjs-uint16  FITS          loses at most 0.03 pt, allowed 0.50\n"
        "digits: fits"
    )


# What cannot be judged


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        pytest.param(
            {"settings": ("tfjs-int8",)},
            UsageError,
            ("there is no setting of this study 'tfjs-int8'; did you mean 'tfjs-uint8'?"),
            id="a setting that there is not",
        ),
        pytest.param(
            {"budget": {"target": "phone"}},
            UsageError,
            ("there is no target 'phone'; choose from web, web-mobile, node, android, any"),
            id="a target that there is not",
        ),
        pytest.param(
            {"budget": {"target": "android"}},
            UsageError,
            (
                "the target 'android' needs the format tflite, onnx, and the study has tfjs-uint8; analyze settings of "
                "such a format, or choose another --target"
            ),
            id="a target of another format",
        ),
        pytest.param(
            {"budget": {"target": "android"}, "settings": ("tfjs-uint8",)},
            UsageError,
            (
                "the setting 'tfjs-uint8' does not run on the target 'android', which needs the format "
                "tflite, onnx; leave one of them out"
            ),
            id="a contradiction",
        ),
        pytest.param(
            {"budget": {"target": "node"}},
            UsageError,
            (
                "the target 'node' needs one of the runtimes node-wasm, node-cpu, node-native, and the study ran in "
                "python; run 'quantlab analyze' again with --runtimes, or name the runtimes that count with --runtimes "
                "here"
            ),
            id="a target that was not run",
        ),
        pytest.param(
            {"budget": {"runtimes": ("node-wasm",)}},
            UsageError,
            (
                "the study has no trial in the runtime 'node-wasm'; run 'quantlab analyze' again with "
                "--runtimes python,node-wasm, or name a runtime of the study: choose from python"
            ),
            id="a runtime that was not run",
        ),
        pytest.param(
            {"n": 9},
            StudyError,
            ("9 samples are too few for a verdict; score at least 10, and more for a smaller allowed loss"),
            id="too few samples",
        ),
    ],
)
def test_what_cannot_be_judged(seen, asked, error, message):
    budget = Budget(max_accuracy_loss="0.5pt", **asked.get("budget", {}))
    with pytest.raises(error) as caught:
        decide([seen(n=asked.get("n", N))], budget, settings=asked.get("settings"))
    assert str(caught.value) == message


def test_points_of_what_is_no_share(seen):
    loss = replace(seen().evidence.loss, metric="mae", unit="", direction="lower")
    message = (
        "0.5pt means percentage points, and the metric 'mae' is not a share; write the loss in its own unit, for "
        "example 5mae, or relative to the reference: 0.5%"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Margin.parse("0.5pt").of(replace(loss, reference=95.0))


@pytest.mark.parametrize(
    ("reference", "metric", "example"),
    [(0.0, "mae", "0.1mae"), (-3.0, "package.scores:skill", "0.1skill"), (math.nan, "rmse", "0.1rmse")],
)
def test_a_part_of_nothing(seen, reference, metric, example):
    loss = replace(seen().evidence.loss, metric=metric, unit="", reference=reference)
    message = (
        f"a loss of 5% cannot be taken from the reference's {metric} of {reference:g}, which is not above 0; "
        f"write an absolute loss, for example {example}"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Margin.parse("5%").of(loss)


@pytest.mark.parametrize(
    ("text", "metric", "allowed"),
    [
        pytest.param("0.2mae", "mae", 0.2, id="a metric of the table"),
        pytest.param("1e-3 rmse", "rmse", 0.001, id="an exponent and a space"),
        pytest.param("120mae", "mae", 120.0, id="more than a hundred"),
        pytest.param("0.01my_metric", "own.module:my_metric", 0.01, id="a function of the user"),
        pytest.param("5%", "mae", 0.1, id="relative to a reference of 2"),
    ],
)
def test_a_margin_in_the_unit_of_the_metric(seen, text, metric, allowed):
    loss = replace(seen().evidence.loss, metric=metric, unit="", reference=2.0)
    assert Margin.parse(text).of(loss) == pytest.approx(allowed, rel=1e-12)
    assert Margin.parse(str(Margin.parse(text))) == Margin.parse(text)


@pytest.mark.parametrize(
    ("metric", "unit", "own", "example"),
    [("mae", "", "mae", "0.1mae"), ("top1", "pt", "pt", "0.5pt"), ("a.b:own", "", "own", "0.1own")],
)
def test_a_unit_that_the_metric_has_not(seen, metric, unit, own, example):
    loss = replace(seen().evidence.loss, metric=metric, unit=unit, reference=2.0)
    message = (
        f"the allowed loss 0.2rmse has the unit 'rmse', and a loss of the metric '{metric}' has the unit '{own}'; "
        f"write for example {example}, or a loss relative to the reference, such as 0.5%"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Margin.parse("0.2rmse").of(loss)


@pytest.mark.parametrize("tail", [None, Tail(3, 0.2, 3.0), Tail(3, 0.614, 1.25)])
def test_a_loss_that_few_samples_carry_is_told(seen, tail):
    trial = seen()
    loss = replace(trial.evidence.loss, tail=tail)
    verdict = decide([replace(trial, evidence=replace(trial.evidence, loss=loss))], Budget(max_accuracy_loss="0.5pt"))
    warning = (
        ", but 3 samples carry 61 % of all differences (tail index 1.2), so a bound may miss more often than it says"
    )
    assert (warning in verdict.settings[0].judgements[0].reason) == (tail is not None and tail.heavy)


def test_every_target_has_a_word_for_its_size():
    assert {target.size_word for target in TARGETS.values()} == {"gzipped", "on disk", "raw"}


def test_metrics_that_are_no_shares_are_those_whose_names_are_units():
    assert set(OWN_UNITS) == {metric.name for metric in PAIRED_METRICS.values() if metric.unit == ""}


@pytest.mark.parametrize(
    ("size_bytes", "limit", "reason"),
    [
        pytest.param(19_029, "19KB", "19,029 B gzipped, allowed 19,000 B", id="alike in KB"),
        pytest.param(19_060, "19KB", "19.1 KB gzipped, allowed 19.0 KB", id="different in KB"),
        pytest.param(11_000_000_000, "10GB", "11.00 GB gzipped, allowed 10.00 GB", id="GB"),
    ],
)
def test_a_broken_limit_of_the_size_shows(tmp_path, size_bytes, limit, reason):
    variant = a_variant(tmp_path, "tfjs-uint8", size_bytes=size_bytes, gzip_bytes=size_bytes)
    trial = a_trial(tmp_path, "tfjs-uint8", "python", variant=variant)
    (judged,) = decide([TrialEvidence(trial, None)], Budget(max_size=limit)).settings
    assert (judged.outcome, judged.reason) == ("breaks", reason)


@pytest.mark.parametrize(
    ("upper", "words"),
    [
        pytest.param(-0.0012, "gains at least 0.001 pt", id="less than two decimals"),
        pytest.param(-0.47, "gains at least 0.47 pt", id="two decimals"),
    ],
)
def test_a_gain_is_never_said_to_be_0(upper, words):
    loss = Loss("top1", "higher", "pt", 600, 90, 91, -1, -2, upper, 0.95, "exact")
    assert at_most(loss, 5.0) == words
    fits = SettingVerdict("tfjs-uint8", True, 10, (Judgement("tfjs-uint8", "python", "fits", "", 600, loss, 5.0),))
    assert bound_of(fits) == words.replace("gains", "a gain of")
