"""A model that is itself NaN or infinite: what is said about it, and what a gate does with such samples."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from study_fixtures import a_study, a_trial, scores
from verdict_fixtures import answers, flipped, write_study

import quantlab
from quantlab.cli import run
from quantlab.errors import StudyError
from quantlab.gate import judge
from quantlab.samples import names_of
from quantlab.store import Store
from quantlab.study.non_finite_words import calibration_warning, explained_failure, left_out_note, output_warning
from quantlab.types import Budget, NonFinite, SampleNames
from quantlab_reports import RENDERINGS, trial_table
from quantlab_reports.views.trial_records import rows
from quantlab_reports.views.trials import footer

# Sentences


def finding(**changed):
    values = {"among": "scored", "output": "y", "samples": 2, "of": 10, "names": SampleNames("x.npz", (40, 80))}
    return NonFinite(**{**values, **changed})


SILENT = {"first_tensor": "StatefulPartitionedCall/model/log_1/Log", "first_layer": "log"}


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        pytest.param(
            finding(weights=("norm/moving_variance: 1 of 8 NaN",), samples=10),
            "the model itself is not finite: its output 'y' is NaN or infinite on all 10 samples of 'x.npz', because "
            "of its weight 'norm/moving_variance' (1 of 8 values is NaN); nothing can be compared with "
            "that, so correct the model",
            id="a weight, on every sample",
        ),
        pytest.param(
            finding(**SILENT),
            "the model itself is not finite: its output 'y' is NaN or infinite on 2 of 10 samples (samples 40 and 80 "
            "of 'x.npz', counted from 0), first in the tensor 'model/log_1/Log' of the layer 'log'; no score includes "
            "these samples, so correct the model, or remove the samples",
            id="a tensor, on some samples",
        ),
        pytest.param(
            finding(output="other", names=SampleNames("shots", (3, 4), ("a/1.png", "b/2.png"))),
            "the model itself is not finite: its output 'other' is NaN or infinite on 2 of 10 samples ('a/1.png' and "
            "'b/2.png' in 'shots'); correct the model, or remove the samples",
            id="an output that is not scored, files, an unknown cause",
        ),
        pytest.param(
            finding(output="", samples=7, names=SampleNames("x.npz", tuple(range(7))), **SILENT),
            "the model itself is NaN inside on 7 of 10 samples (samples 0, 1, 2, 3, 4 and 2 more of 'x.npz', counted "
            "from 0), though its output is not, first in the tensor 'model/log_1/Log' of the layer 'log'; no score "
            "includes these samples, so correct the model, or remove the samples",
            id="NaN behind a finite output",
        ),
        pytest.param(
            finding(
                samples=1,
                names=SampleNames("x.npz", (7,)),
                weights=("a: 1 of 2 NaN", "b: 2 of 2 infinite", "c: 3 of 9 NaN or infinite", "d: 1 of 1 NaN"),
            ),
            "the model itself is not finite: its output 'y' is NaN or infinite on 1 of 10 samples (sample 7 of "
            "'x.npz', counted from 0), because of its weights 'a' (1 of 2 values is NaN), 'b' (2 of 2 values are "
            "infinite), 'c' (3 of 9 values are NaN or infinite) and 1 more; no score includes these samples, so "
            "correct the model, or remove the samples",
            id="more weights than are named",
        ),
    ],
)
def test_what_is_said_of_an_output(known, sentence):
    assert output_warning(known, "y") == sentence


CALIBRATION = finding(among="calibration", output="", **SILENT)
INSIDE = (
    "the model itself is NaN or infinite inside on 2 of 10 calibration samples (samples 40 and 80 of 'x.npz', counted "
    "from 0), first in the tensor 'model/log_1/Log' of the layer 'log', so static quantization finds no finite range"
)


def test_what_is_said_of_calibration_samples():
    assert calibration_warning(CALIBRATION) == f"{INSIDE}; remove these samples, or correct the model"
    everywhere = replace(CALIBRATION, samples=10)
    assert calibration_warning(everywhere).endswith("finds no finite range; correct the model")


@pytest.mark.parametrize(
    ("died", "reason"),
    [
        pytest.param(
            True,
            f"{INSIDE}, and the converter died of it: the process was ended by SIGSEGV; remove these samples, or "
            f"correct the model",
            id="a converter that died",
        ),
        pytest.param(
            False,
            f"the process was ended by SIGSEGV; besides, {INSIDE}; remove these samples, or correct the model",
            id="a converter that told a reason of its own",
        ),
    ],
)
def test_the_reason_of_a_failed_conversion(died, reason):
    assert explained_failure(CALIBRATION, "the process was ended by SIGSEGV", died=died) == reason


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        pytest.param({}, [], id="nothing is left out"),
        pytest.param({"left_out": 4, "left_out_equal": 4}, [], id="not finite in the same places"),
        pytest.param(
            {"left_out": 4, "left_out_equal": 1},
            ["NaN or infinite in other places than the model's output on 3 of 4 samples that are left out"],
            id="other places",
        ),
    ],
)
def test_the_note_of_a_row(changed, note):
    assert left_out_note(a_trial(Path(), scores=scores(**changed))) == note


# Names of samples


def test_samples_are_named_by_place_and_file(tmp_path):
    samples = replace(a_study(tmp_path).samples, folder=tmp_path, source="shots", n=3)
    assert names_of(samples, np.array([0, 2])) == SampleNames("shots", (0, 2))  # nothing is recorded
    np.save(tmp_path / "indices.npy", np.array([5, 6, 9]))
    assert names_of(samples, np.array([0, 2])) == SampleNames("shots", (5, 9))
    (tmp_path / "files.json").write_text('["a.png", "b.png", "c\\udcff.png"]')
    assert names_of(samples, np.array([0, 2])) == SampleNames("shots", (5, 9), ("a.png", "c?.png"))


# Tables


def partly_finite(folder, **changed):
    """A study whose model is not finite on 4 of 1,000 samples."""
    study = a_study(folder)
    reference = replace(study.reference, scores=replace(study.reference.scores, n=996, left_out=4, non_finite=40))
    known = finding(output="output_0", samples=4, of=1000, names=SampleNames("x.npz", (1, 5, 7, 8)), **SILENT)
    rows = tuple(
        replace(trial, scores=replace(trial.scores, n=996, left_out=4, left_out_equal=3)) if trial.scores else trial
        for trial in study.trials
    )
    warning = (output_warning(known, "output_0"),)
    return replace(study, reference=reference, trials=rows, non_finite=(known,), warnings=warning, **changed)


def test_the_line_below_the_table_states_n(tmp_path):
    assert footer(partly_finite(tmp_path))[0].startswith(
        "n = 996 (4 left out: the model itself is NaN or infinite there) of 1,000 samples of x.npz"
    )
    assert footer(a_study(tmp_path))[0].startswith("n = 1,000 samples of x.npz")


@pytest.mark.parametrize("name", [name for name in RENDERINGS if name not in {"csv", "json"}])
def test_it_is_said_above_the_table_in_every_rendering_for_people(name, tmp_path):
    text = RENDERINGS[name](trial_table(partly_finite(tmp_path), wide=False))
    words = " ".join(text.replace("\\", "").split())
    assert words.index("the model itself is not finite") < words.index("tfjs-uint8")


def test_rows_for_programs_tell_it_under_stable_keys(tmp_path):
    reference, row, *_ = json.loads(RENDERINGS["json"](trial_table(partly_finite(tmp_path), wide=False)))
    told = {key: value for key, value in reference.items() if key.startswith("left_out")}
    assert told == {
        "left_out": 4,
        "left_out_equal": None,
        "left_out_indices": [1, 5, 7, 8],
        "left_out_files": None,
        "left_out_weights": None,
        "left_out_tensor": "StatefulPartitionedCall/model/log_1/Log",
        "left_out_layer": "log",
    }
    assert (reference["n"], reference["non_finite"]) == (996, 40)
    assert (row["n"], row["left_out"], row["left_out_equal"], row["left_out_indices"]) == (996, 4, 3, None)


def test_a_sample_that_two_findings_name_is_told_once_and_files_stand_in_the_order_of_their_samples(tmp_path):
    study = partly_finite(tmp_path)
    of_output = finding(output="output_0", samples=2, names=SampleNames("shots", (5, 9), ("z.png", "a.png")))
    inside = finding(output="", samples=3, names=SampleNames("shots", (2, 5, 9), ("m.png", "z.png", "a.png")))
    reference, *_ = rows(replace(study, non_finite=(of_output, inside)))
    assert reference["left_out_indices"] == [2, 5, 9]
    assert reference["left_out_files"] == ["m.png", "z.png", "a.png"]


# The gate


LABELS = np.arange(1000) % 10
NAN_AT = [0, 10, 20, 990]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study whose model is NaN on four samples, where tfjs-uint8 is right; tfjs-uint16 is NaN there as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    reference = answers(LABELS)
    reference[NAN_AT] = np.nan
    lossy, exact = answers(LABELS, flipped(1000, [30, 31])), reference.copy()
    candidates = {("tfjs-uint8", "python"): lossy, ("tfjs-uint16", "python"): exact}
    write_study(tmp_path / "digits.study", LABELS, reference, candidates)
    return tmp_path / "digits.study"


MARGIN = ("--max-accuracy-loss", "2pt")
REFUSED = (
    "quantlab: the model itself is NaN or infinite on 4 of 1,000 samples (samples 0, 10, 20 and 990 of 'x.npz', "
    "counted from 0), so nothing can be judged against it there; correct the model or remove the samples, or judge the "
    "others with --leave-out-non-finite\n"
)
LEFT_OUT = (
    "4 of 1,000 samples are left out of this verdict, because the model itself is NaN or infinite there "
    "(--leave-out-non-finite), so n = 996"
)


@pytest.mark.parametrize("command", ["gate", "recommend", "accept"])
def test_a_model_that_is_not_finite_is_not_judged(command, folder, capsys):
    assert run([command, str(folder), *MARGIN]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", REFUSED)


@pytest.mark.parametrize("command", ["gate", "recommend", "accept"])
def test_its_samples_are_left_out_if_asked_for(command, folder, capsys):
    assert run([command, str(folder), *MARGIN, "--leave-out-non-finite"]) == 0
    assert LEFT_OUT in " ".join(capsys.readouterr().out.split())


def test_the_key_of_a_policy(folder, capsys):
    Path("quantlab.toml").write_text('[budget]\nmax_accuracy_loss = "2pt"\nleave_out_non_finite = true\n')
    assert run(["gate", str(folder)]) == 0
    assert LEFT_OUT in " ".join(capsys.readouterr().out.split())
    Path("quantlab.toml").write_text('[budget]\nmax_accuracy_loss = "2pt"\nleave_out_non_finite = false\n')
    assert run(["gate", str(folder)]) == 2
    Path("quantlab.toml").write_text('[budget]\nmax_accuracy_loss = "2pt"\nleave_out_non_finite = 1\n')
    capsys.readouterr()
    assert run(["gate", str(folder)]) == 2
    assert capsys.readouterr().err == "quantlab: leave_out_non_finite is 1 and must be true or false\n"


def test_accepted_figures_remember_it(folder, capsys):
    assert run(["accept", str(folder), *MARGIN, "--leave-out-non-finite"]) == 0
    assert json.loads(Path("quantlab.lock").read_text())["budget"] == {
        "max_accuracy_loss": "2pt",
        "leave_out_non_finite": "true",
    }
    assert run(["gate", str(folder), "--lock", "quantlab.lock"]) == 0
    assert LEFT_OUT in " ".join(capsys.readouterr().out.split())


def test_nothing_is_gained_where_the_model_is_nan(folder):
    run(["gate", str(folder), *MARGIN, "--leave-out-non-finite", "--json", "verdict.json"])
    (study,) = json.loads(Path("verdict.json").read_text())["studies"]
    assert study["budget"]["leave_out_non_finite"] is True
    assert study["warnings"][0] == LEFT_OUT
    lossy, exact = study["judgements"]
    assert [lossy[key] for key in ("n", "left_out", "reference", "right_to_wrong", "wrong_to_right", "non_finite")] == [
        996, 4, 100.0, 2, 0, 0,
    ]  # fmt: skip
    assert lossy["right_to_wrong_indices"] == [30, 31]  # among all scored samples, not among those that are judged
    assert {sample["index"] for sample in lossy["worst"][:2]} == {30, 31}
    assert [exact[key] for key in ("verdict", "n", "left_out", "loss", "non_finite")] == ["fits", 996, 4, 0.0, 0]
    assert sum(kind["n"] for kind in lossy["classes"]) == 996


def test_a_model_that_is_finite_has_nothing_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    outputs = answers(LABELS)
    write_study(tmp_path / "digits.study", LABELS, outputs, {("tfjs-uint8", "python"): outputs})
    printed = []
    for more in ((), ("--leave-out-non-finite",)):
        assert run(["gate", "digits.study", *MARGIN, *more]) == 0
        printed.append(capsys.readouterr())
    assert printed[0] == printed[1]
    assert "left out" not in printed[0].out


def test_a_model_that_is_never_finite_is_never_judged(tmp_path):
    nothing = np.full((1000, 10), np.nan, np.float32)
    write_study(tmp_path / "digits.study", LABELS, nothing, {("tfjs-uint8", "python"): answers(LABELS)})
    with pytest.raises(StudyError, match="the model itself is NaN or infinite on all 1,000 samples, so nothing can be"):
        judge(tmp_path / "digits.study", Budget(max_accuracy_loss="2pt", leave_out_non_finite=True))


def test_samples_with_nan_inside_are_left_out_too(tmp_path):
    outputs = answers(LABELS)
    known = finding(output="", samples=2, of=1000, names=SampleNames("x.npz", (30, 31)), ranges=((30, 32),))
    lossy = {("tfjs-uint8", "python"): answers(LABELS, flipped(1000, [30, 31]))}
    write_study(tmp_path / "digits.study", LABELS, outputs, lossy, non_finite=(known,))
    with pytest.raises(StudyError, match="the model itself is NaN or infinite on 2 of 1,000 samples"):
        judge(tmp_path / "digits.study", Budget(max_accuracy_loss="2pt"))
    verdict = quantlab.judge(tmp_path / "digits.study", Budget(max_accuracy_loss="2pt", leave_out_non_finite=True))
    (judgement,) = verdict.settings[0].judgements
    assert (judgement.n, judgement.loss.discordant) == (998, 0)
    assert Store(tmp_path / "digits.study").read_study().non_finite == (known,)
