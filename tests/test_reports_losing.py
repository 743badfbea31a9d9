"""Classes and slices that lose significantly, in a comment on a pull request."""

from pathlib import Path

import pytest
from study_fixtures import a_trial

from quantlab.types import (
    Budget,
    ClassLoss,
    Evidence,
    Judgement,
    SettingVerdict,
    SliceLosses,
    TrialEvidence,
    Verdict,
)
from quantlab_reports.pull_request import render_pull_request


def lost(label, p, name=""):
    return ClassLoss(label, 100, 24, 4, 20.0, 12.111, 27.111, 0.95, p / 2, p, name)


def comment(**known):
    judgement = Judgement("tflite-int8", "python", "breaks", "loses too much", 1000)
    verdict = Verdict(
        "digits",
        Budget(max_slice_loss="2pt"),
        (SettingVerdict("tflite-int8", True, 7400, (judgement,)),),
        named=False,
    )
    trial = a_trial(Path("x.study"), "tflite-int8", "python")
    evidence = Evidence("tflite-int8", "python", 1000, None, **known)
    return render_pull_request([verdict], evidence=[[TrialEvidence(trial, evidence)]])


@pytest.mark.parametrize(
    ("known", "title", "cells"),
    [
        pytest.param(
            {"classes": (lost(3, 0.001, "boots"), lost(4, 0.2))},
            "**Classes that lose accuracy** (significant after Holm's correction for the number of classes)",
            "3 (boots) | 100 | 24/4 | 20.00 [12.11, 27.12] pt | 0.001",
            id="a class with its name",
        ),
        pytest.param(
            {"slices": (SliceLosses("site", (lost(0, 0.001, "A"), lost(1, 0.2, "B"))),)},
            "**Slices that lose accuracy** (significant after Holm's correction for the slices of one attribute)",
            "site=A | 100 | 24/4 | 20.00 [12.11, 27.12] pt | 0.001",
            id="a slice",
        ),
    ],
)
def test_what_loses_is_listed(known, title, cells):
    text = comment(**known)
    assert title in text
    (row,) = [line for line in text.splitlines() if "24/4" in line]
    assert row.replace("\u00a0", " ").removesuffix(" |").endswith(cells)  # spaces within a cell do not break


def test_nothing_is_listed_that_does_not_lose():
    assert "accuracy**" not in comment(classes=(lost(4, 0.2),), slices=(SliceLosses("site", (lost(0, 0.2, "A"),)),))


def test_the_limit_is_told():
    assert "a loss of at most 2pt in any slice" in comment()
