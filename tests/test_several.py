"""What keeps the confidence of a verdict although one of several settings is chosen."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_fixtures import a_failure, a_trial, a_variant

from quantlab.errors import UsageError
from quantlab.gate import decide, rounded_up
from quantlab.gate.several import confidence_of_each, in_sequence, safest_first
from quantlab.registries import REAL
from quantlab.statistics import at_confidence, loss_bounds
from quantlab.types import Budget, Evidence, Judgement, Loss, SettingVerdict, SeveralSettings, TrialEvidence

POINT = Budget(max_accuracy_loss="1pt")


def a_loss(lost, gained=0, *, n=1000, confidence=0.95):
    lower, upper = (100 * bound for bound in loss_bounds(lost, gained, n=n, confidence=confidence))
    right = 100 - 100 * (lost - gained) / n
    return Loss(
        "top1", "higher", "pt", n, 100, right, 100 - right, lower, upper, confidence, "Tango", discordant=lost + gained
    )


@pytest.fixture
def row(tmp_path):
    """Makes a trial of 1,000 samples, of which some became wrong."""

    def make(setting, lost=0, *, size=20_000, confidence=0.95):
        evidence = Evidence(setting, "python", 1000, a_loss(lost, confidence=confidence), same=1000 - lost)
        return TrialEvidence(
            a_trial(tmp_path, setting, "python", variant=a_variant(tmp_path, setting, gzip_bytes=size)), evidence
        )

    return make


FITS, CLOSE, FAR = 1, 9, 60
"""Samples of 1,000 that became wrong: a point is kept surely, is neither kept nor exceeded, is exceeded by far."""


@pytest.mark.parametrize(
    ("lost", "outcomes", "several"),
    [
        pytest.param((FITS, FITS, FITS), ("fits", "fits", "fits"), (None, ()), id="all fit"),
        pytest.param((FITS, CLOSE, FITS), ("fits", "inconclusive", "inconclusive"), (1, ()), id="it stops"),
        pytest.param((CLOSE, FITS, FITS), ("inconclusive",) * 3, (0, ()), id="it stops at the first"),
        pytest.param(
            (FITS, FAR, FITS), ("fits", "breaks", "fits"), (None, (1,)), id="what breaks by far is passed over"
        ),
        pytest.param(
            (CLOSE, FITS, FAR), ("inconclusive", "inconclusive", "breaks"), (0, ()), id="what breaks stays so"
        ),
        pytest.param((FITS, 18, FITS), ("fits", "breaks", "inconclusive"), (1, ()), id="what breaks narrowly stops it"),
    ],
)
def test_the_sequence(row, lost, outcomes, several):
    names = ("tfjs-float16", "tfjs-uint8-per-channel", "tfjs-uint8")
    sizes = (30_000, 20_000, 10_000)
    rows = [row(name, many, size=size) for name, many, size in zip(names, lost, sizes, strict=True)]
    verdict = decide(reversed(rows), POINT)
    assert tuple(verdict.of(name).outcome for name in names) == outcomes
    stopped_at, passed_over = several
    assert verdict.several == SeveralSettings(
        names,
        0.95,
        stopped_at=None if stopped_at is None else names[stopped_at],
        passed_over=tuple(names[place] for place in passed_over),
    )


def test_a_setting_that_is_not_reached_says_why_and_what_would_decide(row):
    verdict = decide([row("tfjs-uint16", CLOSE), row("tfjs-uint8", FITS)], POINT)
    assert verdict.of("tfjs-uint8").reason == (
        "not reached, because tfjs-uint16 before it in the order does not fit; by itself it loses at most "
        f"{rounded_up(a_loss(FITS).upper)} pt, allowed 1.00"
    )
    assert verdict.of("tfjs-uint8").deciding.missing == verdict.of("tfjs-uint16").deciding.missing is not None
    assert (verdict.outcome, verdict.lacks_samples, verdict.recommended) == ("inconclusive", True, None)


def test_what_failed_to_run_or_is_too_large_does_not_stop_the_sequence(row, tmp_path):
    failed = TrialEvidence(a_failure(tmp_path, "it hangs", setting="tfjs-float16"), None)
    large = row("tfjs-uint16", FITS, size=600_000)
    verdict = decide([failed, large, row("tfjs-uint8", FITS)], replace(POINT, max_size="500KB"))
    assert verdict.several is not None
    assert verdict.several.passed_over == ("tfjs-uint16", "tfjs-float16")
    assert verdict.recommended == "tfjs-uint8"


def test_settings_that_must_all_fit_need_no_correction(row):
    rows = [row("tfjs-uint16", CLOSE), row("tfjs-uint8", FITS)]
    named = decide(rows, replace(POINT, order=("none",)), settings=("tfjs-*",))
    assert (named.several, named.of("tfjs-uint8").outcome) == (None, "fits")
    assert decide(rows[1:], POINT).several is None


def test_facts_need_no_correction(row):
    assert decide([row("tfjs-uint16"), row("tfjs-uint8")], Budget(max_size="500KB")).several is None


ORDERED = ("tfjs-float32", "tfjs-float16", "tflite-dynamic", "tfjs-uint8", "tflite-int8+float", "tflite-int8", "mine")


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        pytest.param(None, ORDERED, id="from most bits to fewest"),
        pytest.param(
            ("mine", "tflite-*"),
            (
                "mine",
                "tflite-dynamic",
                "tflite-int8",
                "tflite-int8+float",
                "tfjs-float32",
                "tfjs-float16",
                "tfjs-uint8",
            ),
            id="declared ones first",
        ),
        pytest.param(("none",), ORDERED, id="no order: named all the same"),
    ],
)
def test_the_order(order, expected):
    sizes = dict(zip(ORDERED, (80, 40, 35, 20, 30, 25, 90), strict=True))
    known = {**REAL.settings, "tflite-int8+float": REAL.settings["tflite-int8"].keeping_float()}
    verdicts = [a_verdict(name, "fits", size=sizes[name]) for name in sorted(sizes)]
    assert safest_first(verdicts, known, replace(POINT, order=order)) == expected


@pytest.mark.parametrize(
    ("order", "message"),
    [
        pytest.param(
            "none,tfjs-uint8",
            "the order 'none,tfjs-uint8' names settings and says that there is no order; leave 'none' out, or give it "
            "alone",
            id="both",
        ),
        pytest.param(
            "tfjs-uint88",
            "there is no judged setting 'tfjs-uint88'; did you mean 'tfjs-uint8' or 'tfjs-uint16'?",
            id="a name that is none",
        ),
    ],
)
def test_an_order_that_cannot_be(row, order, message):
    with pytest.raises(UsageError) as caught:
        decide([row("tfjs-uint16"), row("tfjs-uint8")], replace(POINT, order=order))
    assert str(caught.value) == message


def test_without_an_order_each_bound_is_wider(row):
    """A loss that fits at 95 % does not at 1 − 0.05 / 9; K and the confidence are in the result."""
    budget = replace(POINT, order="none")
    each = confidence_of_each(budget, 9, named=False)
    assert each == pytest.approx(1 - 0.05 / 9)
    names = [setting.name for setting in REAL.formats["tflite"].settings][:9]
    verdict = decide([row(name, 4, confidence=each) for name in names], budget)
    assert {judged.outcome for judged in verdict.settings} == {"inconclusive"}
    assert verdict.several is not None
    assert (verdict.several.rule, len(verdict.several.order)) == ("Bonferroni", 9)
    assert verdict.several.confidence == pytest.approx(each)
    assert decide([row(name, 4) for name in names], POINT).recommended is not None


def a_verdict(name, outcome, *, size=1, n=1000):
    return SettingVerdict(name, True, size, (Judgement(name, "python", outcome, outcome, n=n),))


@given(st.lists(st.sampled_from(["fits", "inconclusive", "breaks", "breaks by far", "not run"]), max_size=12))
def test_nothing_fits_behind_the_first_that_may_not(kinds):
    names = [f"setting-{place}" for place in range(len(kinds))]
    outcome = {"breaks by far": "breaks", "not run": "inconclusive"}
    verdicts = [
        a_verdict(name, outcome.get(kind, kind), n=0 if kind == "not run" else 1000)
        for name, kind in zip(names, kinds, strict=True)
    ]
    far = {name for name, kind in zip(names, kinds, strict=True) if kind == "breaks by far"}
    judged, several = in_sequence(verdicts, names, far.__contains__, 0.95)
    stop = next((place for place, kind in enumerate(kinds) if kind in {"inconclusive", "breaks"}), len(kinds))
    assert several.stopped_at == (names[stop] if stop < len(kinds) else None)
    for place, (one, kind) in enumerate(zip(judged, kinds, strict=True)):
        assert (one.outcome == "fits") == (kind == "fits" and place < stop)


@pytest.mark.parametrize("share", [0.0, 0.9], ids=["independent settings", "settings that share most of their errors"])
def test_the_best_of_nine_settings_at_the_margin_seldom_fits(row, share):
    """All nine lose a point in truth; with one look at each, a third of all draws would pass one of them."""
    draws, passed = 200, 0
    names = [setting.name for setting in REAL.formats["tflite"].settings][:9]
    random = np.random.default_rng(0)
    for _ in range(draws):
        common = random.binomial(1000, 0.01 * share)
        rows = [row(name, int(common + random.binomial(1000, 0.01 * (1 - share)))) for name in names]
        passed += decide(rows, POINT).outcome == "fits"
    # 5.4 % are promised, and 200 draws tell the share to 3.2 points (two standard errors).
    assert passed / draws <= 0.054 + 0.032


def test_evidence_at_another_confidence():
    loss, mean = (
        a_loss(12, 4),
        replace(a_loss(0), metric="mae", unit="", loss=1.0, lower=0.5, upper=2.0, discordant=None),
    )
    stricter = at_confidence(Evidence("a", "python", 1000, loss, agreement=mean), 0.9995)
    expected = [100 * bound for bound in loss_bounds(12, 4, n=1000, confidence=0.9995)]
    assert stricter.loss is not None
    assert stricter.agreement is not None
    assert [stricter.loss.lower, stricter.loss.upper] == expected
    ratio = 3.2905 / 1.6449  # quantiles of the normal distribution
    assert stricter.agreement.lower == pytest.approx(1 - 0.5 * ratio, abs=1e-3)
    assert stricter.agreement.upper == pytest.approx(1 + 1.0 * ratio, abs=1e-3)
    unknown = replace(mean, lower=-np.inf, upper=np.inf)
    kept = at_confidence(Evidence("a", "python", 1000, unknown), 0.9995).loss
    assert kept is not None
    assert (kept.lower, kept.upper) == (-np.inf, np.inf)
