"""Files with a verdict: JUnit, Markdown for a pull request, JSON; and the GitHub action that runs the gate."""

import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from junitparser import JUnitXml
from markdown_it import MarkdownIt
from study_fixtures import a_failure, a_trial
from typer.main import get_command

from quantlab.cli.app import app
from quantlab.glossary import HINT
from quantlab.types import (
    Budget,
    ClassLoss,
    Evidence,
    Judgement,
    LookRule,
    Loss,
    Recommendation,
    SettingVerdict,
    SeveralSettings,
    Spread,
    TrialEvidence,
    Verdict,
    WorstSample,
)
from quantlab_reports import RENDERINGS, verdict_document
from quantlab_reports.junit import render_junit
from quantlab_reports.markdown_text import as_text
from quantlab_reports.moved import MOVED_COLUMNS
from quantlab_reports.pull_request import render_pull_request
from quantlab_reports.verdict_document import most_severe, render_verdicts
from quantlab_reports.views.recommendation import RecommendationRow, recommendation_table
from quantlab_reports.views.verdict import KEYS, verdict_table

ROOT = Path(__file__).resolve().parents[1]
HERE = Path("/study")
COMMANDS: dict[str, Any] = get_command(app).commands
NASTY = "a|b `c` <b>d</b> *e* _f_ [g](h) \\ & @someone #12 $x$\nsecond\x00line"
"""A name or reason as somebody who wants to break a report would choose it."""


# Verdicts by hand


def loss(**changed: Any) -> Loss:
    """Of 1,000 samples two were lost and one gained."""
    known = Loss("top1", "higher", "pt", 1000, 97.4, 97.3, 0.1, -0.2512, 0.4481, 0.95, "Tango", 3, 1.0)
    return replace(known, **changed)


def fitting(setting: str = "tfjs-uint8", runtime: str = "python", **changed: Any) -> Judgement:
    reason = "loses at most 0.45 pt, allowed 0.50"
    return replace(Judgement(setting, runtime, "fits", reason, 1000, loss(), 0.5), **changed)


def breaking(setting: str = "tflite-int8", runtime: str = "python", **changed: Any) -> Judgement:
    lost = loss(candidate=95.4, loss=2.0, lower=1.1312, upper=2.9488, discordant=30, p_mcnemar=0.00001)
    reason = "loses at least 1.13 pt, allowed 0.50"
    return replace(Judgement(setting, runtime, "breaks", reason, 1000, lost, 0.5), **changed)


def undecided(setting: str = "tflite-dynamic", runtime: str = "python", **changed: Any) -> Judgement:
    reason = "too few samples: 1,000 of at least 2,040; loses at most 0.61 pt, allowed 0.50"
    known = Judgement(setting, runtime, "inconclusive", reason, 1000, loss(upper=0.6011), 0.5, 1040)
    return replace(known, **changed)


def failing(setting: str = "tfjs-float16", runtime: str = "node-wasm", **changed: Any) -> Judgement:
    return replace(Judgement(setting, runtime, "breaks", f"failed in {runtime}: it hangs", margin=None), **changed)


def judged(*judgements: Judgement, **changed: Any) -> SettingVerdict:
    known = SettingVerdict(judgements[0].setting, True, 7400, judgements)
    return replace(known, **changed)


def a_verdict(*settings: SettingVerdict, **changed: Any) -> Verdict:
    known = Verdict("digits", Budget(max_accuracy_loss="0.5pt"), settings, named=False)
    return replace(known, **changed)


def known_of(judgement: Judgement, **changed: Any) -> TrialEvidence:
    """A trial with its evidence, that of a class that loses among it."""
    if judgement.loss is None:
        return TrialEvidence(a_failure(HERE, "it hangs", setting=judgement.setting, runtime=judgement.runtime), None)
    evidence = Evidence(
        setting=judgement.setting,
        runtime=judgement.runtime,
        n=1000,
        loss=judgement.loss,
        right_to_wrong=(3, 14),
        wrong_to_right=(15,),
        same=990,
        classes=(
            ClassLoss(5, 100, 1, 1, 0.0, -2.0, 2.0, 0.95, 0.75, 1.0),
            ClassLoss(6, 100, 24, 3, 21.0, 13.568, 31.4227, 0.95, 2.46e-5, 2.46e-4),
        ),
        worst=tuple(WorstSample(index, 4, 4, None, math.inf, 0.30218) for index in range(100, 120)),
    )
    return TrialEvidence(a_trial(HERE, judgement.setting, judgement.runtime), replace(evidence, **changed))


def evidence_for(*verdicts: Verdict) -> list[list[TrialEvidence]]:
    return [
        [known_of(judgement) for setting in verdict.settings for judgement in setting.judgements]
        for verdict in verdicts
    ]


EVERYTHING = a_verdict(
    judged(fitting(), fitting(runtime="node-wasm")),
    judged(undecided(), undecided(runtime="node-wasm")),
    judged(breaking()),
    judged(fitting("tfjs-float16"), failing()),
    untested=("chromium-webgl", "a phone's GPU"),
)
NAMED = replace(EVERYTHING, named=True)
WAITING = a_verdict(judged(undecided()), judged(breaking()))
NUMBERS_THAT_ARE_NONE = a_verdict(
    judged(breaking(loss=loss(candidate=math.nan, loss=math.nan, lower=-math.inf, upper=math.inf, p_mcnemar=None)))
)
NO_LOSS = a_verdict(judged(fitting(loss=None, margin=None, reason="7.4 KB gzipped, allowed 500.0 KB")))
NASTY_NAMES = a_verdict(
    judged(
        breaking(NASTY, reason=NASTY), breaking(NASTY, "node-wasm", reason=NASTY + " elsewhere"), undecided(NASTY, "")
    ),
    study=NASTY,
)
VERDICTS = [
    pytest.param([EVERYTHING], id="every outcome"),
    pytest.param([NAMED, WAITING], id="two studies"),
    pytest.param([NUMBERS_THAT_ARE_NONE], id="numbers that are none"),
    pytest.param([NO_LOSS], id="no loss was asked for"),
    pytest.param([NASTY_NAMES], id="nasty names"),
    pytest.param([a_verdict()], id="nothing was judged"),
    pytest.param([], id="no study"),
]
RENDERERS = {"junit": render_junit, "pull request": render_pull_request, "json": render_verdicts}


@pytest.mark.parametrize("verdicts", VERDICTS)
@pytest.mark.parametrize("name", RENDERERS)
def test_every_report_is_text_that_can_be_written(name: str, verdicts: list[Verdict]) -> None:
    text = RENDERERS[name](verdicts)
    assert text == RENDERERS[name](verdicts)
    assert text == text.strip("\n") != ""
    assert text.encode("utf-8")
    assert not re.search(r"\bnan\b|\binf\b|\bNone\b", text)


@pytest.mark.parametrize("render", [render_pull_request, render_verdicts])
def test_evidence_of_another_number_of_studies_is_refused(render: Any) -> None:
    with pytest.raises(ValueError, match="there are 1 verdicts and the evidence of 2 studies; give one for each"):
        render([EVERYTHING], evidence=[[], []])


# The verdict and the recommendation as tables, in every rendering


def the_choice(verdict: Verdict, **changed: Any) -> Recommendation:
    reasons = {
        setting.setting: setting.reason for setting in verdict.settings if setting.setting != verdict.recommended
    }
    known = Recommendation(verdict, reasons, tuple(reasons)[:1], "gzipped")
    return replace(known, **changed)


COMMAND = "tensorflowjs_converter '--quantize_uint8=*' saved_model out"
TERMS = "- Terms: [docs/glossary.md](docs/glossary.md#glossary)"
PROGRAM = "import tensorflow as tf\n\nprint(tf.__version__)\n"
CHOICES = [
    pytest.param(the_choice(EVERYTHING, share_of_float32=0.266, reproduce=COMMAND), id="a command makes it"),
    pytest.param(the_choice(EVERYTHING, reproduce=PROGRAM, minimum_runtime="1.14.0"), id="a program makes it"),
    pytest.param(the_choice(WAITING), id="nothing fits yet"),
    pytest.param(the_choice(a_verdict()), id="nothing was judged"),
]


@pytest.mark.parametrize("verdicts", VERDICTS)
@pytest.mark.parametrize("name", RENDERINGS)
def test_every_rendering_prints_a_verdict(name: str, verdicts: list[Verdict]) -> None:
    text = RENDERINGS[name](verdict_table(verdicts, evidence=[evidence_for(verdict)[0] for verdict in verdicts]))
    assert text == text.rstrip("\n") == text.encode("utf-8").decode("utf-8")
    words = set(re.findall(r"[A-Za-z]+", text.replace("\\n", " ")))
    assert not {"nan", "inf", "None"} & words
    names = [f"{verdict.study} {setting.setting}" for verdict in verdicts for setting in verdict.settings]
    assert set(re.findall(r"[A-Za-z]+", " ".join(names))) <= words


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", RENDERINGS)
def test_every_rendering_prints_a_recommendation(name: str, choice: Recommendation) -> None:
    text = RENDERINGS[name](recommendation_table(choice))
    assert text == text.rstrip("\n") != ""
    assert not {"nan", "inf", "None"} & set(re.findall(r"[A-Za-z]+", text))
    for setting in choice.verdict.settings:
        assert setting.setting in text


def test_a_verdict_in_a_terminal() -> None:
    warned = replace(NAMED, warnings=("the model answers at random",))
    assert RENDERINGS["terminal"](verdict_table([warned, replace(WAITING, study="d")])) == (
        "! digits: the model answers at random\n"
        "digits  tfjs-uint8      FITS          loses at most 0.45 pt, allowed 0.50\n"
        f"digits  tflite-dynamic  INCONCLUSIVE  {undecided().reason}\n"
        "digits  tflite-int8     BREAKS        loses at least 1.13 pt, allowed 0.50\n"
        "digits  tfjs-float16    BREAKS        failed in node-wasm: it hangs\n"
        f"d       tflite-dynamic  INCONCLUSIVE  {undecided().reason}\n"
        "d       tflite-int8     BREAKS        loses at least 1.13 pt, allowed 0.50\n"
        "digits: BREAKS: 2 of 4 settings\n"
        "d: INCONCLUSIVE: 1 of 2 settings\n"
        "Terms: quantlab glossary"
    )


def test_a_verdict_in_markdown() -> None:
    lines = RENDERINGS["markdown"](verdict_table([a_verdict(judged(fitting()), warnings=("it strays",))])).split("\n")
    assert lines[:2] == ["- ! digits: it strays", ""]
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in (lines[2], lines[4])] == [
        ["study", "setting", "verdict", "reason"],
        ["digits", "tfjs-uint8", "FITS", "loses at most 0.45 pt, allowed 0.50"],
    ]
    assert lines[5:] == ["", "- FITS: 1 of 1 setting; one quantized setting that fits is enough", TERMS]


def test_rows_of_a_verdict_are_the_judgements_of_the_document() -> None:
    rows = json.loads(RENDERINGS["json"](verdict_table([EVERYTHING], evidence=evidence_for(EVERYTHING))))
    (study,) = json.loads(render_verdicts([EVERYTHING], evidence=evidence_for(EVERYTHING)))["studies"]
    assert rows == [{"study": "digits", **judgement} for judgement in study["judgements"]]
    assert {tuple(row) for row in rows} == {KEYS}


def test_a_recommendation_in_a_terminal() -> None:
    choice = the_choice(
        EVERYTHING,
        share_of_float32=0.266,
        front=("tfjs-uint8", "tfjs-float16"),
        losing_classes={"tflite-int8": (ClassLoss(6, 100, 24, 3, 21.0, 13.5, 31.4, 0.95, 0.001, 0.01),)},
        no_faster="it is no faster",
        minimum_runtime="1.14.0",
        reproduce=COMMAND,
    )
    assert RENDERINGS["terminal"](recommendation_table(choice)) == (
        "Ship tfjs-uint8: 7.4 KB gzipped (−73 % against float32), loses at most 0.45 pt of 97.4 % (95 % confidence, "
        "n = 1,000) in python and node-wasm\n"
        f"Not chosen      tflite-dynamic  {undecided().reason}\n"
        "                tflite-int8     loses at least 1.13 pt, allowed 0.50\n"
        "                tfjs-float16    failed in node-wasm: it hangs\n"
        "Pareto front    tfjs-uint8 7.4 KB, at most 0.45 pt · tfjs-float16 7.4 KB, at most ∞\n"
        "Class losses    tflite-int8: class 6 loses 21.0 pt (24 of 100 samples became wrong, 3 became right; "
        "p = 0.01 by Holm)\n"
        "Speed           it is no faster\n"
        "Requires        TFLite 1.14.0 or newer\n"
        "Not tested      chromium-webgl, a phone's GPU\n"
        f"Terms: quantlab glossary\nReproduce with this command:\n\n{COMMAND}"
    )


FLOAT32 = judged(fitting("tfjs-float32"), quantized=False, size_bytes=27_800)


def test_float32_that_fits_is_said_to_where_nothing_quantized_does() -> None:
    choice = the_choice(
        a_verdict(judged(breaking())), baselines=(FLOAT32,), try_next=("tfjs-float16", "tfjs-uint16"), front=()
    )
    assert RENDERINGS["terminal"](recommendation_table(choice)) == (
        "No quantized setting fits the budget; tfjs-float32 fits: 27.8 KB gzipped, loses at most 0.45 pt of 97.4 % "
        "(95 % confidence, n = 1,000) in python\n"
        "Try next        tfjs-float16 and tfjs-uint16, with more bits for each weight; add tfjs-float16,tfjs-uint16 to "
        "the --settings of 'quantlab analyze'\n"
        "Not chosen      tflite-int8  loses at least 1.13 pt, allowed 0.50\n"
        "Terms: quantlab glossary"
    )
    rows = json.loads(RENDERINGS["json"](recommendation_table(choice)))
    assert [(row["setting"], row["recommended"], row["verdict"]) for row in rows] == [
        ("tflite-int8", False, "breaks"),
        ("tfjs-float32", False, "fits"),
    ]
    assert {tuple(row["try_next"]) for row in rows} == {("tfjs-float16", "tfjs-uint16")}


def test_float32_that_was_asked_for_is_shipped_alone() -> None:
    choice = the_choice(a_verdict(judged(breaking()), FLOAT32), try_next=("tfjs-float16",), front=())
    assert RENDERINGS["terminal"](recommendation_table(choice)).split("\n")[:2] == [
        (
            "Ship tfjs-float32: 27.8 KB gzipped, loses at most 0.45 pt of 97.4 % (95 % confidence, n = 1,000) in "
            "python; no quantized setting fits"
        ),
        (
            "Try next        tfjs-float16, with more bits for each weight; add tfjs-float16 to the --settings of "
            "'quantlab analyze'"
        ),
    ]


def test_too_few_samples_and_float32_that_fits() -> None:
    choice = the_choice(WAITING, baselines=(FLOAT32,))
    assert RENDERINGS["terminal"](recommendation_table(choice)).split("\n")[0] == (
        "No quantized setting fits yet: too few samples, at least 2,040 are needed (1,040 more); tfjs-float32 fits: "
        "27.8 KB gzipped, loses at most 0.45 pt of 97.4 % (95 % confidence, n = 1,000) in python"
    )


SIMILAR = a_verdict(judged(fitting()), judged(fitting("tfjs-uint16", loss=loss(upper=0.1)), size_bytes=7500))


def test_a_setting_that_is_recommended_for_its_bound_says_so() -> None:
    lines = RENDERINGS["terminal"](recommendation_table(the_choice(SIMILAR))).split("\n")
    assert lines[0] == (
        "Ship tfjs-uint16: 7.5 KB gzipped, loses at most 0.10 pt of 97.4 % (95 % confidence, n = 1,000) in python; of "
        "settings whose sizes differ by less than 5 %, it has the lowest bound of the loss"
    )
    assert (
        "Smallest setting that fits in every runtime that counts (with the lowest bound of similar sizes): "
        "**tfjs-uint16**, 7.5 KB gzipped." in render_pull_request([SIMILAR])
    )


def test_a_program_is_printed_as_it_is() -> None:
    table = recommendation_table(the_choice(EVERYTHING, reproduce=PROGRAM))
    program = PROGRAM.rstrip("\n")
    assert RENDERINGS["terminal"](table).endswith(f"a phone's GPU\n{HINT}\nReproduce in Python:\n\n{program}")
    assert RENDERINGS["markdown"](table).endswith(f"\n\n- Reproduce in Python:\n\n```\n{program}\n```\n\n{TERMS}")
    assert json.loads(RENDERINGS["json"](table))[0]["reproduce"] == PROGRAM


def test_rows_of_a_recommendation() -> None:
    choice = the_choice(EVERYTHING, share_of_float32=0.266, reproduce=COMMAND, front=("tfjs-uint8",))
    rows = json.loads(RENDERINGS["json"](recommendation_table(choice)))
    assert {tuple(row) for row in rows} == {tuple(field.name for field in fields(RecommendationRow))}
    assert rows[0] == {
        "study": "digits",
        "setting": "tfjs-uint8",
        "recommended": True,
        "verdict": "fits",
        "reason": "loses at most 0.45 pt, allowed 0.50",
        "size_bytes": 7400,
        "upper": 0.4481,
        "on_front": True,
        "share_of_float32": 0.266,
        "minimum_runtime": None,
        "no_faster": None,
        "reproduce": COMMAND,
        "try_next": [],
        "several": None,
        "look": None,
    }
    last = rows[-1]
    assert (last["recommended"], last["on_front"], last["upper"], last["reproduce"]) == (False, False, "Infinity", None)


def test_every_row_of_a_recommendation_says_how_several_settings_were_judged() -> None:
    several = SeveralSettings(("tfjs-uint16", "tfjs-uint8"), 0.95, stopped_at="tfjs-uint8")
    verdict = replace(EVERYTHING, several=several, look=LookRule("further", 2))
    rows = json.loads(RENDERINGS["json"](recommendation_table(the_choice(verdict))))
    document = json.loads(render_verdicts([verdict]))["studies"][0]
    assert [row["several"] for row in rows] == [document["several"]] * len(rows)
    assert [row["look"] for row in rows] == [document["look"]] * len(rows)
    assert rows[0]["several"]["stopped_at"] == "tfjs-uint8"
    assert rows[0]["look"]["number"] == 2


def test_the_headline_counts_groups_where_groups_are_missing() -> None:
    reason = "too few groups: 20 of at least 99; loses at most 14.00 pt, allowed 3.00"
    grouped = undecided(loss=loss(groups=20, discordant=None), reason=reason, missing=3950, missing_groups=79)
    lines = RENDERINGS["terminal"](recommendation_table(the_choice(a_verdict(judged(grouped))))).split("\n")
    assert lines[0] == "No setting fits yet: too few groups of samples, at least 99 are needed (79 more)"


# JUnit


def cases(verdict: Verdict, **options: Any) -> dict[str, str]:
    """Of each testcase, by its name, what a reader of JUnit files says of it."""
    told = {}
    for suite in JUnitXml.fromstring(render_junit([verdict], **options)):
        for case in suite:
            results = [f"{type(result).__name__} {result.type or ''}".strip() for result in case.result]
            told[f"{case.classname} {case.name}"] = ", ".join(results) or "passed"
    return told


@pytest.mark.parametrize(
    ("verdict", "options", "expected"),
    [
        pytest.param(
            a_verdict(judged(fitting()), judged(breaking()), judged(undecided()), judged(failing()), named=True),
            {},
            {
                "digits.tfjs-uint8 python": "passed",
                "digits.tflite-int8 python": "Failure breaks",
                "digits.tflite-dynamic python": "Failure inconclusive",
                "digits.tfjs-float16 node-wasm": "Error failed",
            },
            id="settings that were named must fit",
        ),
        pytest.param(
            a_verdict(judged(breaking()), judged(undecided()), named=True),
            {"undecided": "warn"},
            {"digits.tflite-int8 python": "Failure breaks", "digits.tflite-dynamic python": "Skipped"},
            id="the undecided only warn",
        ),
        pytest.param(
            a_verdict(judged(fitting()), judged(breaking()), judged(undecided()), judged(failing())),
            {},
            {
                "digits.tfjs-uint8 python": "passed",
                "digits.tflite-int8 python": "Skipped",
                "digits.tflite-dynamic python": "Skipped",
                "digits.tfjs-float16 node-wasm": "Skipped",
            },
            id="one that fits is enough, and the file is as green as the gate",
        ),
        pytest.param(
            WAITING,
            {"undecided": "warn"},
            {"digits.tflite-dynamic python": "Skipped", "digits.tflite-int8 python": "Skipped"},
            id="a study that passes with a warning has no failure",
        ),
        pytest.param(
            a_verdict(judged(undecided(runtime=""))),
            {},
            {"digits.tflite-dynamic no runtime": "Failure inconclusive"},
            id="run in no runtime that counts",
        ),
    ],
)
def test_testcases(verdict: Verdict, options: dict[str, str], expected: dict[str, str]) -> None:
    assert cases(verdict, **options) == expected


def test_a_failure_has_the_clause_and_the_figures() -> None:
    (suite,) = JUnitXml.fromstring(render_junit([a_verdict(judged(breaking()))]))
    (result,) = next(iter(suite)).result
    assert result.message == "loses at least 1.13 pt, allowed 0.50"
    assert result.text == (
        "loses at least 1.13 pt, allowed 0.50\nmetric: top1\nreference: 97.4\ncandidate: 95.4\nloss: 2 pt\n"
        "lower: 1.1312 pt\nupper: 2.9488 pt\nmargin: 0.5 pt\nconfidence: 0.95, one-sided, for each bound (Tango)\n"
        "n: 1000\nMcNemar p-value: 1e-05"
    )


def test_what_is_skipped_says_what_it_is() -> None:
    (suite,) = JUnitXml.fromstring(render_junit([EVERYTHING]))
    skipped = [result.message for case in suite for result in case.result]
    assert skipped[-1] == "breaks: failed in node-wasm: it hangs"
    assert skipped[0].startswith("inconclusive: too few samples: 1,000 of at least 2,040")


def test_junit_counts_are_those_of_its_cases() -> None:
    written = JUnitXml.fromstring(render_junit([NAMED, WAITING]))
    told = [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in (written, *written)]
    assert told == [(9, 5, 1, 0), (7, 3, 1, 0), (2, 2, 0, 0)]
    written.update_statistics()
    assert (written.tests, written.failures, written.errors, written.skipped) == told[0]


def test_junit_invents_no_time() -> None:
    assert all("time" not in element.attrib for element in ET.fromstring(render_junit([EVERYTHING])).iter())  # noqa: S314 our own text


def test_junit_keeps_names_as_they_are_but_for_what_xml_cannot_hold() -> None:
    (suite,) = JUnitXml.fromstring(render_junit([NASTY_NAMES]))
    kept = NASTY.replace("\x00", "\ufffd")
    assert suite.name == kept
    case = next(iter(suite))
    assert case.classname == f"{kept}.{kept}"
    assert case.result[0].message == kept


# JSON


def documented(part: str) -> list[str]:
    """Keys of one of the tables in the module's docstring."""
    table = (verdict_document.__doc__ or "").partition(part)[2].strip().partition("\n\n")[0]
    return [key for names in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for key in re.findall(r"`(.+?)`", names)]


def test_every_key_is_documented_and_no_other() -> None:
    document = json.loads(render_verdicts([EVERYTHING]))
    (study,) = document["studies"]
    assert documented("writes.") == list(document)
    assert documented("Of a study:") == list(study)
    assert documented("Of a budget:") == list(study["budget"]) == [limit.name for limit in fields(Budget)]
    assert [documented("Of a judgement:")] * 7 == [list(judgement) for judgement in study["judgements"]]


def test_a_study_in_full() -> None:
    budget = Budget(max_accuracy_loss="0.5%", max_class_loss="2pt", max_size="500KB", min_agreement="99%", target="web")
    verdict = a_verdict(judged(breaking()), budget=budget, untested=("chromium-webgl",))
    document = json.loads(render_verdicts([verdict], evidence=evidence_for(verdict)))
    row = document["studies"][0]["judgements"][0]
    told = {key: row.pop(key) for key in ("classes", "worst")}
    assert [(lost["label"], lost["right_to_wrong"], lost["p_holm"]) for lost in told["classes"]] == [
        (5, 1, 1.0),
        (6, 24, 2.46e-4),
    ]
    assert [(sample["index"], sample["divergence"]) for sample in told["worst"][:2]] == [
        (100, "Infinity"),
        (101, "Infinity"),
    ]
    assert document == {
        "schema": 1,
        "outcome": "breaks",
        "studies": [
            {
                "name": "digits",
                "outcome": "breaks",
                "named": False,
                "recommended": None,
                "budget": {
                    "max_accuracy_loss": "0.5%",
                    "max_class_loss": "2pt",
                    "max_slice_loss": None,
                    "max_size": 500_000,
                    "min_agreement": 99.0,
                    "min_sqnr": None,
                    "min_cosine": None,
                    "max_abs_error": None,
                    "max_rmse": None,
                    "confidence": 0.95,
                    "metric": None,
                    "target": "web",
                    "runtimes": None,
                    "order": None,
                    "planned_n": None,
                    "looks": None,
                    "leave_out_non_finite": False,
                    "allow_poor_reference": False,
                    "allow_constant": [],
                },
                "several": None,
                "look": None,
                "warnings": [],
                "untested": ["chromium-webgl"],
                "judgements": [
                    {
                        "setting": "tflite-int8",
                        "runtime": "python",
                        "verdict": "breaks",
                        "reason": "loses at least 1.13 pt, allowed 0.50",
                        "metric": "top1",
                        "unit": "pt",
                        "reference": 97.4,
                        "candidate": 95.4,
                        "loss": 2.0,
                        "lower": 1.1312,
                        "upper": 2.9488,
                        "confidence": 0.95,
                        "interval_confidence": 0.9,
                        "method": "Tango",
                        "p_mcnemar": 0.00001,
                        "tail": None,
                        "margin": 0.5,
                        "n": 1000,
                        "groups": None,
                        "missing": None,
                        "right_to_wrong": 25,
                        "wrong_to_right": 5,
                        "right_to_wrong_indices": [3, 14],
                        "wrong_to_right_indices": [15],
                        "size_bytes": 7400,
                        "others": [],
                        "agreement": None,
                        "unscored_classes": [],
                        "slices": [],
                        "divergence": None,
                        "total_variation": None,
                        "jensen_shannon": None,
                        "true_class": None,
                        "calibration_error": None,
                        "calibration_error_reference": None,
                        "non_finite": 0,
                        "left_out": 0,
                        "non_finite_outputs": {},
                        "figures": [],
                        "constant_outputs": [],
                    }
                ],
            }
        ],
    }


def test_how_far_predictions_moved() -> None:
    spread = Spread(9744, 2, 0, None, None, 1e-5, {"90": 1e-3, "95": 2e-3, "99": 0.01, "99.9": math.inf}, math.inf)
    fall = Spread(50, mean=0.001, standard_error=1e-4, maximum=0.13)
    moved = {"divergence": spread, "true_class": fall, "calibration_error": 0.011, "calibration_error_reference": 0.009}
    evidence = replace(known_of(breaking()).evidence or Evidence("", "", 0, None), **moved)
    bounded = {
        "total_variation": Spread(9744, mean=0.0123, standard_error=0.0004, maximum=0.25),
        "jensen_shannon": Spread(9744, mean=0.0021, standard_error=0.00012, maximum=0.1),
    }
    evidence = replace(evidence, **bounded)
    kl = ["–", "1e−5", "0.001 / 0.002 / 0.01 / ∞", "∞", "2"]
    told = [*kl, "0.012 ± 0.0004", "0.25", "0.0021 ± 0.00012", "–", "0.13", "0.009 → 0.011"]
    finite = replace(evidence, divergence=replace(spread, infinite=0))
    assert [column.cell(finite) for column in MOVED_COLUMNS][5:8] == ["–"] * 3  # KL says it already
    assert [column.cell(evidence) for column in MOVED_COLUMNS] == told
    same = replace(evidence, divergence=None, true_class=None, calibration_error=None)
    assert {column.cell(same) for column in MOVED_COLUMNS} == {"–"}


def row_of(judgement: Judgement, evidence: Sequence[Sequence[TrialEvidence]] = ()) -> dict[str, Any]:
    document = json.loads(render_verdicts([a_verdict(judged(judgement))], evidence=evidence))
    row: dict[str, Any] = document["studies"][0]["judgements"][0]
    return row


def test_what_failed_has_no_figures() -> None:
    row = row_of(failing())
    told = {key: value for key, value in row.items() if value is not None}
    assert told == {
        "setting": "tfjs-float16",
        "runtime": "node-wasm",
        "verdict": "breaks",
        "reason": "failed in node-wasm: it hangs",
        "n": 0,
        "size_bytes": 7400,
    }


def test_numbers_that_json_lacks_are_strings() -> None:
    row = json.loads(render_verdicts([NUMBERS_THAT_ARE_NONE]))["studies"][0]["judgements"][0]
    assert [row[key] for key in ("candidate", "loss", "lower", "upper")] == ["NaN", "NaN", "-Infinity", "Infinity"]


def test_counts_of_samples_in_groups_come_from_the_evidence() -> None:
    grouped = fitting(loss=loss(groups=50, discordant=None, p_mcnemar=None))
    keys = ("n", "groups", "right_to_wrong", "wrong_to_right", "p_mcnemar")
    assert [row_of(grouped, [[known_of(grouped)]])[key] for key in keys] == [1000, 50, 2, 1, None]
    assert [row_of(grouped)[key] for key in keys] == [1000, 50, None, None, None]
    other = fitting(loss=loss(metric="top5", groups=50, discordant=None, p_mcnemar=None))
    assert [row_of(other, [[known_of(other)]])[key] for key in keys] == [1000, 50, None, None, None]


def test_indices_of_flips_are_left_out_where_no_classes_are_compared() -> None:
    known = known_of(fitting(), same=None, right_to_wrong=(), wrong_to_right=())
    assert row_of(fitting(), [[known]])["right_to_wrong_indices"] is None


def test_two_studies_keep_their_own_evidence() -> None:
    first, second = a_verdict(judged(fitting())), a_verdict(judged(fitting()), study="words")
    evidence = [[known_of(fitting())], [known_of(fitting(), right_to_wrong=(7,))]]
    document = json.loads(render_verdicts([first, second], evidence=evidence))
    assert [study["judgements"][0]["right_to_wrong_indices"] for study in document["studies"]] == [[3, 14], [7]]


@pytest.mark.parametrize(
    ("known", "flips"),
    [
        pytest.param(loss(), (2, 1), id="lost and gained"),
        pytest.param(loss(n=9744, loss=-0.05131362889984059, discordant=13), (4, 9), id="more gained"),
        pytest.param(loss(loss=0.0, discordant=0), (0, 0), id="none"),
        pytest.param(loss(discordant=None), None, id="a metric that counts none"),
        pytest.param(loss(loss=math.nan), None, id="a loss that is none"),
    ],
)
def test_changed_answers(known: Loss, flips: tuple[int, int] | None) -> None:
    assert known.changed == flips


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        pytest.param([a_verdict(judged(fitting()))], "fits", id="one fits"),
        pytest.param([a_verdict(judged(fitting())), WAITING], "inconclusive", id="one is not decided"),
        pytest.param([NAMED, a_verdict(judged(fitting()))], "breaks", id="one is enough to object"),
        pytest.param([], "inconclusive", id="none"),
    ],
)
def test_the_outcome_of_all(verdicts: list[Verdict], outcome: str) -> None:
    assert most_severe(verdicts) == outcome
    assert json.loads(render_verdicts(verdicts))["outcome"] == outcome


# Markdown


class Page(HTMLParser):
    """The tables, other text, and tags of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: list[str] = []
        self.text = ""
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        del attrs
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[-1][-1][-1] += data.replace("\u00a0", " ")
        else:
            self.text += data


def html(verdicts: Sequence[Verdict], **options: Any) -> str:
    """As a renderer of GitHub's Markdown sees it."""
    return str(
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(render_pull_request(verdicts, **options))
    )


def page(*verdicts: Verdict, evidence: Sequence[Sequence[TrialEvidence]] = ()) -> Page:
    return Page(html(verdicts, evidence=evidence))


def test_the_table_as_it_renders() -> None:
    assert page(EVERYTHING).tables == [
        [
            ["setting", "runtime", "size", "loss", "allowed", "became wrong / right", "verdict"],
            ["tfjs-uint8", "python, node-wasm", "7.4 KB", "0.10 [−0.26, 0.45] pt", "0.5 pt", "2/1", "✅ fits"],
            [
                "tflite-dynamic",
                "python, node-wasm",
                "7.4 KB",
                "0.10 [−0.26, 0.61] pt",
                "0.5 pt",
                "2/1",
                "❓ inconclusive",
            ],
            ["tflite-int8", "python", "7.4 KB", "2.00 [1.13, 2.95] pt", "0.5 pt", "25/5", "❌ breaks"],
            ["tfjs-float16", "python", "7.4 KB", "0.10 [−0.26, 0.45] pt", "0.5 pt", "2/1", "✅ fits"],
            ["tfjs-float16", "node-wasm", "7.4 KB", "–", "–", "–", "❌ breaks"],
        ]
    ]


@pytest.mark.parametrize(
    ("known", "margin", "cell"),
    [
        pytest.param(
            loss(upper=0.4981), 0.5, "0.10 [−0.26, 0.499] pt", id="a bound under the margin is shown under it"
        ),
        pytest.param(loss(loss=-0.001), 0.5, "0.00 [−0.26, 0.45] pt", id="no negative zero"),
        pytest.param(
            loss(metric="mae", unit="", loss=0.012341, lower=-0.000129, upper=0.49961, discordant=None),
            0.5,
            "0.0123 [−0.000129, 0.4997] mae",
            id="a metric with its own unit",
        ),
        pytest.param(
            loss(loss=math.nan, lower=-math.inf, upper=math.inf), 0.5, "NaN [−∞, ∞] pt", id="numbers that are none"
        ),
        pytest.param(loss(), None, "0.10 [−0.26, 0.45] pt", id="no margin"),
    ],
)
def test_losses(known: Loss, margin: float | None, cell: str) -> None:
    (table,) = page(a_verdict(judged(fitting(loss=known, margin=margin)))).tables
    assert dict(zip(*table, strict=True))["loss"] == cell


def test_a_loss_that_was_not_asked_for_has_no_column() -> None:
    (table,) = page(NO_LOSS).tables
    assert table[0] == ["setting", "runtime", "size", "verdict"]


def test_runtimes_with_other_figures_have_rows_of_their_own() -> None:
    other = fitting(runtime="node-wasm", loss=loss(loss=0.2, discordant=4))
    (table,) = page(a_verdict(judged(fitting(), other, fitting(runtime="node-cpu")))).tables
    assert [row[1] for row in table] == ["runtime", "python, node-cpu", "node-wasm"]


@pytest.mark.parametrize(
    ("verdicts", "heading"),
    [
        pytest.param([EVERYTHING], "### ✅ digits fits the budget", id="one fits"),
        pytest.param([NAMED], "### ❌ digits breaks the budget", id="one breaks"),
        pytest.param([WAITING], "### ❓ digits has too few samples to decide", id="one is not decided"),
        pytest.param([EVERYTHING, EVERYTHING], "### ✅ All 2 studies fit the budget", id="all fit"),
        pytest.param([EVERYTHING, NAMED, WAITING], "### ❌ 1 of 3 studies breaks the budget", id="one of three breaks"),
        pytest.param([NAMED, EVERYTHING, NAMED], "### ❌ 2 of 3 studies break the budget", id="two of three break"),
    ],
)
def test_headings(verdicts: list[Verdict], heading: str) -> None:
    assert render_pull_request(verdicts).partition("\n")[0] == heading


def test_what_is_said_around_the_table() -> None:
    text = page(EVERYTHING).text
    assert (
        "Smallest setting that fits in every runtime that counts: tfjs-uint8, 7.4 KB gzipped. Budget: "
        "a loss of at most 0.5pt. "
        "One quantized setting that fits is enough." in text
    )
    assert text.endswith(
        "n = 1,000 samples. The verdict uses one-sided 95 % bounds; the table shows the matching two-sided 90 % "
        "interval. loss: how much worse the variant is than the model in top1 (points). became wrong / right: samples "
        "whose top-1 went from right to wrong, and from wrong to right. Sizes are gzipped. Not tested: chromium-webgl, "
        "a phone's GPU. Terms: quantlab glossary.\n"
    )


def test_reasons_come_gravest_first_and_name_their_runtime_where_another_says_otherwise() -> None:
    lines = [line for line in render_pull_request([EVERYTHING]).split("\n") if line.startswith("- ")]
    assert lines == [
        "- ❌ **tflite-int8**: loses at least 1.13 pt, allowed 0.50",
        "- ❌ **tfjs-float16** in node-wasm: failed in node-wasm: it hangs",
        f"- ❓ **tflite-dynamic**: {undecided().reason}",
        "- ✅ **tfjs-uint8**, **tfjs-float16** in python: loses at most 0.45 pt, allowed 0.50",
    ]


def test_classes_that_lose_are_named_with_what_became_wrong_and_right() -> None:
    verdict = a_verdict(judged(breaking()), judged(fitting()))
    _, classes, _ = page(verdict, evidence=evidence_for(verdict)).tables
    assert classes == [
        ["setting", "runtime", "class", "samples", "became wrong / right", "loss", "p (Holm)"],
        ["tflite-int8", "python", "6", "100", "24/3", "21.00 [13.56, 31.43] pt", "0.00025"],
        ["tfjs-uint8", "python", "6", "100", "24/3", "21.00 [13.56, 31.43] pt", "0.00025"],
    ]


def test_classes_of_which_it_is_not_sure_are_not_named() -> None:
    verdict = a_verdict(judged(fitting()))
    known = known_of(fitting(), classes=(ClassLoss(6, 100, 5, 3, 2.0, -3.0, 7.0, 0.95, 0.3, 1.0),), worst=())
    assert "Classes that lose" not in page(verdict, evidence=[[known]]).text


def test_more_classes_than_are_read_are_counted() -> None:
    lost = ClassLoss(0, 100, 24, 3, 21.0, 13.5, 31.4, 0.95, 2.46e-5, 2.46e-4)
    known = known_of(fitting(), classes=tuple(replace(lost, label=label) for label in range(12)), worst=())
    shown = page(a_verdict(judged(fitting())), evidence=[[known]])
    assert len(shown.tables[1]) == 11
    assert "tfjs-uint8: 2 more classes lose accuracy." in shown.text


def test_the_worst_samples_are_folded_away() -> None:
    verdict = a_verdict(judged(fitting()))
    shown = page(verdict, evidence=evidence_for(verdict))
    assert shown.tags.count("details") == shown.tags.count("summary") == 1
    worst = shown.tables[-1]
    assert worst[0] == ["setting", "runtime", "sample", "label", "model's top-1", "KL, nats", "largest difference"]
    assert [row[2] for row in worst[1:]] == ["100", "101", "102", "103", "104"]
    assert worst[1] == ["tfjs-uint8", "python", "100", "4", "4", "∞", "0.302"]


def test_names_and_reasons_are_text_and_not_markup() -> None:
    shown = page(NASTY_NAMES)
    told = "a|b `c` <b>d</b> *e* _f_ [g](h) \\ & @\u200bsomeone #\u200b12 $x$ second line"
    assert {len(row) for row in shown.tables[0]} == {7}
    assert [row[0] for row in shown.tables[0][1:]] == [told] * 3
    assert [row[1] for row in shown.tables[0][1:]] == ["python", "node-wasm", "–"]
    assert f"{told} breaks the budget" in shown.text
    assert f"{told} elsewhere" in shown.text
    plain = {"h3", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "sub"}
    assert set(shown.tags) == plain


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        pytest.param("tfjs-uint8", "tfjs-uint8", id="a plain name"),
        pytest.param("a\u202eb\ud800", "a\ufffdb\ufffd", id="what turns the text, and what cannot be written"),
        pytest.param(" \n ", "", id="nothing"),
    ],
)
def test_text(text: str, markdown: str) -> None:
    assert as_text(text) == markdown


def test_a_comment_stays_within_what_github_takes() -> None:
    many = [
        replace(a_verdict(judged(breaking("x" * 60, reason=f"{place} {'r' * 5000}"))), study=f"s{place}")
        for place in range(150)
    ]
    text = render_pull_request(many)
    assert len(text) <= 65_000
    assert "This comment is too long for GitHub and was shortened; the JSON file has the rest." in text
    assert text.count("❌ breaks") == 0
    assert text.count("❌\u00a0breaks") == 150
    assert "This comment is too long" not in render_pull_request([EVERYTHING], evidence=evidence_for(EVERYTHING))


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new --no-sandbox --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=900,1200 --dump-dom"
)
LOOK = """<script>
document.body.dataset.found = JSON.stringify({
  rows: document.querySelectorAll("table")[0].rows.length,
  hidden: !document.querySelectorAll("table")[2].checkVisibility(),
  overflow: document.documentElement.scrollWidth > window.innerWidth,
  heading: document.querySelector("h3").innerText,
  cell: document.querySelectorAll("td")[3].innerText.replace(/\\u00a0/g, " "),
});
</script>"""


@pytest.mark.starts_children
def test_the_markdown_in_a_browser(tmp_path: Path) -> None:
    browser = next((program for name in BROWSERS if (program := shutil.which(name))), None)
    if browser is None:
        pytest.skip("needs Chromium to open the Markdown in; install it with 'apt-get install chromium'")
    body = html([EVERYTHING], evidence=evidence_for(EVERYTHING))
    style = "<style>body{font:14px sans-serif}td,th{padding:6px 13px;border:1px solid}</style>"
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{style}<body>{body}{LOOK}", "utf-8")
    command = [browser, *FLAGS.split(), f"--user-data-dir={tmp_path / 'user'}", (tmp_path / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    seen = re.search(r'data-found="([^"]*)"', done.stdout)
    assert seen is not None
    assert json.loads(seen[1].replace("&quot;", '"')) == {
        "rows": 6,
        "hidden": True,
        "overflow": False,
        "heading": "✅ digits fits the budget",
        "cell": "0.10 [−0.26, 0.45] pt",
    }


# The action


ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
EXAMPLE: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "examples" / "quantlab.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
JUDGE = next(step for step in STEPS if step.get("id") == "gate")
JOB: dict[str, Any] = EXAMPLE["jobs"]["gate"]


def options_of(command: str) -> set[str]:
    return {name for parameter in COMMANDS[command].params for name in parameter.opts}


def test_every_input_is_used() -> None:
    used = re.findall(r"\binputs\.([\w-]+)", yaml.safe_dump(STEPS))
    assert set(used) == set(ACTION["inputs"])
    for step in STEPS:
        named = set(step.get("env", {})) - {"GH_TOKEN"}  # which gh itself reads
        assert all(re.search(rf"\${{?{name}\b", step["run"]) for name in named)


def test_every_option_that_the_action_gives_exists() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", JUDGE["run"]))
    assert named
    assert named <= options_of("gate") | options_of("check")


def test_no_expression_stands_in_a_script() -> None:
    scripts = [step["run"] for step in [*STEPS, *JOB["steps"]] if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


def test_outputs_are_those_that_the_script_writes() -> None:
    written = set(re.findall(r'echo "([\w-]+)=', JUDGE["run"]))
    assert written == set(ACTION["outputs"])
    assert {output["value"] for output in ACTION["outputs"].values()} == {
        f"${{{{ steps.gate.outputs.{name} }}}}" for name in written
    }


def test_the_example_uses_the_action_as_it_is() -> None:
    (step,) = [step for step in JOB["steps"] if step.get("uses", "").startswith("OWNER/quantlab@")]
    assert set(step["with"]) <= set(ACTION["inputs"])
    named = re.findall(rf"steps\.{step['id']}\.outputs\.([\w-]+)", yaml.safe_dump(JOB))
    assert named
    assert set(named) <= set(ACTION["outputs"])


def test_the_commands_of_the_example_parse() -> None:
    commands = [shlex.split(step["run"]) for step in JOB["steps"] if step.get("run", "").startswith("quantlab ")]
    assert [words[1] for words in commands] == ["analyze"]
    for _, name, *rest in commands:
        assert COMMANDS[name].make_context(name, rest)


def test_the_action_and_the_example_pass_a_linter(tmp_path: Path) -> None:
    linter = shutil.which("zizmor", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if linter is None:
        pytest.skip("needs zizmor to lint the action; install it with 'pip install zizmor'")
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "examples" / "quantlab.yml", tmp_path / ".github" / "workflows")
    shutil.copy(ROOT / ".github" / "workflows" / "ci.yml", tmp_path / ".github" / "workflows")
    shutil.copy(ROOT / "action.yml", tmp_path)
    command = [linter, "--offline", "--no-progress", "--persona=pedantic", "--strict-collection", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


FAKE = """#!/usr/bin/env bash
echo "$1" > "$RUNNER_TEMP/command"
shift
printf '%s\\n' "$@" > "$RUNNER_TEMP/arguments"
[[ -z $OUTCOME ]] || for word; do
  case $word in --json=*|--junit=*|--markdown=*|--html=*) echo "{\\"outcome\\": \\"$OUTCOME\\"}" > "${word#*=}";; esac
done
exit "$STATUS"
"""


def run_action(folder: Path, *, outcome: str, status: int, **inputs: str) -> tuple[int, list[str], dict[str, str]]:
    """Run the step that judges, with a quantlab that only notes what it is given: its status, arguments, outputs."""
    place = folder / "quantlab"
    place.write_text(FAKE, encoding="utf-8")
    place.chmod(0o755)
    (folder / "python").symlink_to(sys.executable)
    defaults = {key: ACTION["inputs"][key]["default"] for key in ACTION["inputs"]}
    given = {key: inputs.get(key.replace("-", "_"), default) for key, default in defaults.items()}
    environment = {
        name: re.sub(r"\${{ inputs\.([\w-]+) }}", lambda match: given[match[1]], value)
        for name, value in JUDGE["env"].items()
    }
    environment |= {"RUNNER_TEMP": str(folder), "GITHUB_OUTPUT": str(folder / "outputs")}
    environment |= {"PATH": f"{folder}:/usr/bin:/bin", "OUTCOME": outcome, "STATUS": str(status)}
    # As the runner starts 'shell: bash'.
    command = ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", JUDGE["run"]]
    done = subprocess.run(command, env=environment, cwd=folder, timeout=60, check=False)
    arguments = (folder / "arguments").read_text(encoding="utf-8").splitlines()
    lines = (folder / "outputs").read_text(encoding="utf-8").splitlines()
    return done.returncode, arguments, dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize(
    ("outcome", "status", "told"),
    [
        pytest.param("fits", 0, "fits", id="fits"),
        pytest.param("breaks", 1, "breaks", id="breaks"),
        pytest.param("", 2, "could-not-run", id="could not run"),
        pytest.param("inconclusive", 3, "inconclusive", id="inconclusive"),
        pytest.param("inconclusive", 0, "inconclusive", id="inconclusive, and that only warns"),
    ],
)
def test_the_action_ends_as_the_gate_does(tmp_path: Path, outcome: str, status: int, told: str) -> None:
    ended, arguments, outputs = run_action(tmp_path, outcome=outcome, status=status)
    assert (ended, outputs.pop("exit-code"), outputs.pop("outcome")) == (status, str(status), told)
    files = [argument for argument in arguments if re.match("--(junit|json|markdown)=", argument)]
    assert arguments == ["--undecided=fail", *files, "--"]
    # A path is told where there is a file.
    assert sorted(files if outcome else []) == sorted(f"--{name}={path}" for name, path in outputs.items())


def test_the_action_checks_a_model_if_it_is_asked_to(tmp_path: Path) -> None:
    ended, arguments, outputs = run_action(tmp_path, outcome="breaks", status=1, check="true", policy="own.toml")
    assert (tmp_path / "command").read_text() == "check\n"
    assert (ended, outputs["outcome"], outputs["html"]) == (1, "breaks", arguments[-1].removeprefix("--html="))
    assert "--policy=own.toml" in arguments
    assert "--" not in arguments


FAKE_GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$RUNNER_TEMP/calls"
for word; do [[ $word != body=@* ]] || cp "${word#body=@}" "$RUNNER_TEMP/body"; done
[[ $* != *--paginate* ]] || printf '%s' "$OWN"
"""


@pytest.mark.parametrize(
    ("own", "call"),
    [
        pytest.param("", "--method POST repos/o/r/issues/7/comments", id="the first comment"),
        pytest.param("11\n12\n", "--method PATCH repos/o/r/issues/comments/11", id="one that is there"),
    ],
)
def test_the_action_keeps_one_comment_up_to_date(tmp_path: Path, own: str, call: str) -> None:
    (tmp_path / "gh").write_text(FAKE_GH, encoding="utf-8")
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "told.md").write_text("### fits\n", encoding="utf-8")
    (step,) = [step for step in STEPS if step.get("name") == "Comment"]
    environment = {"GH_TOKEN": "t", "MARKDOWN": str(tmp_path / "told.md"), "REPOSITORY": "o/r", "NUMBER": "7"}
    assert set(environment) == set(step["env"])
    environment |= {"RUNNER_TEMP": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin", "OWN": own}
    command = ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    subprocess.run(command, env=environment, cwd=tmp_path, timeout=60, check=True)
    _, last = (tmp_path / "calls").read_text().splitlines()
    assert call in last
    assert (tmp_path / "body").read_text() == "<!-- quantlab -->\n### fits\n"


def test_the_action_gives_what_it_is_given_and_runs_none_of_it(tmp_path: Path) -> None:
    evil = '"; touch pwned; $(touch pwned) `touch pwned` #'
    _, arguments, _ = run_action(
        tmp_path,
        outcome="fits",
        status=0,
        study=f"a b.study\n--help\n\n{evil}\n",
        settings="tfjs-uint8\ntflite-*",
        policy=evil,
        runtimes="python,node-wasm",
        max_accuracy_loss="0.5pt",
        undecided="warn",
        lock="quantlab.lock",
        artifact="dist folder",
    )
    assert not (tmp_path / "pwned").exists()
    assert arguments[0] == "--undecided=warn"
    assert arguments[4:] == [
        f"--policy={evil}",
        "--runtimes=python,node-wasm",
        "--max-accuracy-loss=0.5pt",
        "--lock=quantlab.lock",
        "--artifact=dist folder",
        "--setting=tfjs-uint8",
        "--setting=tflite-*",
        "--",
        "a b.study",
        "--help",
        evil,
    ]
    assert list(COMMANDS["gate"].make_context("gate", arguments).params["setting"]) == ["tfjs-uint8", "tflite-*"]
