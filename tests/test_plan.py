"""`quantlab plan`: how many samples decide about a margin."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from verdict_fixtures import answers, flipped, write_study

from quantlab.errors import UsageError
from quantlab.gate.plan import refuse_uncounted
from quantlab.types import Judgement, Loss

HERE = Path(__file__).parent


def quantlab(*arguments):
    return quantlab_in_process(*arguments, cwd=HERE)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned") / "digits.study"
    labels = np.arange(500) % 10
    write_study(
        folder,
        labels,
        answers(labels),
        {
            ("tfjs-uint8", "python"): answers(labels, flipped(500, [3, 4])),
            ("tfjs-uint8", "node-wasm"): answers(labels, flipped(500, [3, 4, 5])),
            ("tfjs-uint16", "python"): answers(labels),
            ("tfjs-uint16", "node-wasm"): answers(labels),
        },
    )
    return folder


def test_a_study_is_a_pilot(study):
    before = sorted(path.name for path in study.iterdir())
    ran = quantlab("plan", study, "--margin", "0.5pt")
    assert ran.status == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[2].startswith("tfjs-uint8   3/0 of 500 became wrong/right in node-wasm")
    assert lines[3].startswith("tfjs-uint16  0/0 of 500 became wrong/right in ")
    assert lines[5] == (
        "samples: size of a study of new samples, judged once at 95 % confidence, that decides in at least 80 % of "
        "cases"
    )
    assert sorted(path.name for path in study.iterdir()) == before  # planning is no look


def test_the_rows_for_programs(study):
    ran = quantlab("plan", study, "--margin", "0.5pt", "--setting", "tfjs-uint16", "--samples", "900", "--json")
    (row,) = json.loads(ran.stdout)
    assert (row["setting"], row["pilot_n"], row["became_wrong"], row["margin"]) == ("tfjs-uint16", 500, 0, 0.5)
    assert row["asked_samples"] == 900
    assert row["samples"] > 900
    assert 0.5 < row["asked_fits"] < row["fits"] < 1


@pytest.mark.parametrize(
    ("known", "least", "most"),
    [
        pytest.param(["--discordance", "1%"], 2600, 3000, id="a known share"),
        pytest.param(["--discordance", "1%", "--looks", "any"], 5000, 8000, id="any number of looks"),
        pytest.param(["--pilot", "0,0,300"], 1500, 6000, id="a pilot without a change"),
        pytest.param(["--discordance", "2%", "--expected-loss", "1pt"], 3000, 6000, id="a loss above the margin"),
        pytest.param(["--discordance", "2%", "--expected-loss=-1pt"], 400, 800, id="a gain"),
    ],
)
def test_without_a_study(known, least, most):
    ran = quantlab("plan", "--margin", "0.5pt", *known, "--json")
    (row,) = json.loads(ran.stdout)
    assert least <= row["samples"] <= most
    assert row["setting"] is None


def test_what_cannot_be_decided_is_said():
    ran = quantlab("plan", "--margin", "0.5pt", "--discordance", "1%", "--expected-loss", "0.5pt")
    assert "over 10,000,000" in ran.stdout


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param(
            ["--pilot", "3,2"],
            "--pilot '3,2' is not of the form WRONG,RIGHT,N; write 3,2,500 for 500 samples of which 3 became wrong and "
            "2 became right",
            id="no pilot",
        ),
        pytest.param(
            ["--pilot", "3,2,4"],
            "--pilot '3,2,4': a pilot of 4 samples cannot have 3 that became wrong and 2 that became right",
            id="a pilot that cannot be",
        ),
        pytest.param(
            ["--pilot", "3,2,400", "--discordance", "1%"],
            "give one of a study, --pilot and --discordance, since each says what is known",
            id="both",
        ),
        pytest.param(
            ["--discordance", "1"],
            "--discordance '1' is not a share of samples; write a percentage, for example 1%",
            id="no unit",
        ),
        pytest.param(
            ["--discordance", "1%", "--expected-loss", "2pt"],
            "a loss of 2 points needs a share of changed answers from 2 % to 100 %, not 1 %; correct --discordance or "
            "--expected-loss",
            id="a loss without changes",
        ),
        pytest.param(
            ["--discordance", "1%", "--expected-loss", "2%"],
            "--expected-loss '2%' must be in points, for example 0.1pt",
            id="a relative loss",
        ),
        pytest.param(
            ["--discordance", "1%", "--looks", "two"],
            "--looks 'two' is not known; write any, or leave it out",
            id="no such looks",
        ),
        pytest.param(
            ["--discordance", "1%", "--power", "100%"],
            "--power '100%' is not a probability between 0% and 100%; write for example 80%",
            id="certainty",
        ),
        pytest.param(
            ["--discordance", "1%", "--power", "120%"],
            "--power '120%' is not a probability between 0% and 100%; write for example 80%",
            id="more than certainty",
        ),
        pytest.param(
            ["--pilot", "0,0,0"],
            "--pilot '0,0,0': a pilot of 0 samples says nothing; give the counts of at least one sample",
            id="a pilot of nothing",
        ),
        pytest.param(
            ["--pilot", "3,2,500", "--expected-loss", "0pt"],
            "--expected-loss has no effect with --pilot; give it with --discordance, or leave it out",
            id="an expected loss beside a pilot",
        ),
        pytest.param(
            ["--expected-loss", "1pt"],
            "--expected-loss has no effect with a study; give it with --discordance, or leave it out",
            id="an expected loss beside a study",
        ),
        pytest.param(
            ["--pilot", "3,2,500", "--setting", "tfjs-uint8"],
            "--setting has no effect with --pilot; give it with a study, or leave it out",
            id="a setting beside a pilot",
        ),
        pytest.param(
            ["--discordance", "1%", "--metric", "top1"],
            "--metric has no effect with --discordance; give it with a study, or leave it out",
            id="a metric beside a share",
        ),
        pytest.param(
            ["--discordance", "1%", "--confidence", "0.4"],
            "the one-sided confidence is 0.4; it must be between 0.5 and 1, for example 0.95; correct --margin or "
            "--confidence",
            id="no confidence",
        ),
    ],
)
def test_what_cannot_be_planned(asked, message):
    ran = quantlab("plan", "--margin", "0.5pt", *asked)
    assert (ran.status, ran.stdout) == (2, "")
    assert ran.stderr.strip() == f"quantlab: {message}"


def test_a_relative_margin_needs_a_study(study):
    ran = quantlab("plan", "--margin", "0.5%", "--discordance", "1%")
    assert ran.status == 2
    assert "a margin of 0.5% is relative to the reference, which is unknown here" in ran.stderr
    assert quantlab("plan", study, "--margin", "0.5%").status == 0


def test_a_margin_in_the_unit_of_a_metric_is_not_relative():
    ran = quantlab("plan", "--margin", "0.2mae", "--pilot", "3,2,500")
    assert ran.status == 2
    assert ran.stderr == (
        "quantlab: a margin of 0.2mae is in the unit of a metric that counts no right and wrong answers, and a plan is "
        "made from such counts; write points, for example 0.5pt\n"
    )


@pytest.mark.parametrize(
    ("pilot", "told"),
    [
        pytest.param("0,0,1", "1 sample leaves", id="a single sample"),
        pytest.param("0,0,99", "99 samples leaves", id="few"),
        pytest.param("0,0,100", None, id="more, from where the number falls"),
    ],
)
def test_a_small_pilot_says_why_it_asks_for_few_samples(pilot, told):
    lines = quantlab("plan", "--margin", "0.5pt", "--pilot", pilot).stdout.splitlines()
    expected = (
        f"a pilot of {told} large losses plausible, which few samples decide, so a larger pilot may ask for more "
        f"samples"
    )
    assert [line for line in lines if line.startswith("a pilot")] == ([expected] if told else [])


def test_a_metric_without_right_and_wrong_is_planned_by_another_one_only_if_there_is_one(tmp_path):
    labels = np.arange(200) % 10
    folder = tmp_path / "digits.study"
    write_study(folder, labels, answers(labels), {("tfjs-uint8", "python"): answers(labels, flipped(200, [3]))})
    ran = quantlab("plan", folder, "--margin", "1pt", "--metric", "macro-f1")
    assert ran.stderr == (
        "quantlab: the metric 'macro-f1' counts no right and wrong answers, so its loss cannot be planned for; use "
        "--metric top1, or follow the number of samples that 'quantlab gate' prints\n"
    )


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        pytest.param(
            Loss("top1", "higher", "pt", 200, 90, 89, 1, 0, 2, 0.95, "Tango", groups=40),
            "the samples of the study are in 40 groups, and a plan is made from counts of independent samples, so it "
            "is not offered for groups; follow the number of groups that 'quantlab gate' prints",
            id="groups",
        ),
        pytest.param(
            Loss("mae", "lower", "", 200, 1, 1.1, 0.1, 0, 0.2, 0.95, "studentized bootstrap"),
            "the metric 'mae' counts no right and wrong answers, so its loss cannot be planned for; follow the number "
            "of samples that 'quantlab gate' prints",
            id="a regression",
        ),
    ],
)
def test_a_loss_without_counts(loss, message):
    with pytest.raises(UsageError) as caught:
        refuse_uncounted(Judgement("tfjs-uint8", "python", "inconclusive", "", 200, loss, 1.0), with_classes=False)
    assert str(caught.value) == message
