"""What outputs and channels that became constant do to a gate, and `quantlab show outputs`, on studies by hand."""

import csv
import io
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from study_fixtures import a_trial, a_variant
from verdict_fixtures import answers, record_outputs, write_study

from quantlab.cli import run
from quantlab.errors import StudyError, UsageError
from quantlab.gate import judge
from quantlab.statistics import sum_channels
from quantlab.store import Store
from quantlab.study.outputs import ALL_CHANNELS, compare_outputs, output_rows
from quantlab.types import Budget, OutputRow
from quantlab_reports import RENDERINGS

N = 1_000
LABELS = np.arange(N) % 10
BUDGET = ("--max-accuracy-loss", "1pt")
BOXES = np.concatenate(
    [np.random.default_rng(0).uniform(0, 640, (N, 4)), np.random.default_rng(1).uniform(0, 1, (N, 2))], axis=1
)
DEAD_BOXES = BOXES * [1, 1, 1, 1, 0, 0]
MASK = np.random.default_rng(2).uniform(0.1, 0.9, (N, 8))
LOW, HIGH = BOXES[:, 4].min(), BOXES[:, 4].max()
CHANNELS = f"channels 4 and 5 of output 'boxes' are constant (channel 4: 0 for every sample, and {LOW:.3g} to "
WHOLE = f"output 'mask' is constant (0.5 for every sample, and {MASK.min():.3g} to {MASK.max():.3g} in the model)"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def study_of(folder, *, rows=None, reference=None, compared=True, **outputs):
    """A study whose scored output loses nothing, with other outputs: name → of the variant, or of several runtimes."""
    rows = {("tfjs-uint8", "python"): answers(LABELS)} if rows is None else rows
    study = write_study(folder, LABELS, answers(LABELS), rows)
    reference = {"boxes": BOXES, "mask": MASK, **(reference or {})}

    def with_others(trial, values):
        others = {name: saved(folder, f"{trial.setting}-{trial.runtime}", name, values[name]) for name in outputs}
        return replace(trial, outputs={**trial.outputs, **others})

    study = replace(
        study,
        reference=with_others(study.reference, reference),
        trials=tuple(with_others(trial, outputs) for trial in study.trials),
    )
    if compared:
        told = compare_outputs(study.reference.outputs, study.trials, study.scored_output, np.ones(N, bool))
        Store(folder).write_outputs(told.comparison)
        study = replace(study, trials=told.trials, warnings=told.warnings)
    Store(folder).write_study(study)
    return Store(folder).read_study()


def saved(folder, row, name, values):
    path = folder / "others" / row / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)
    record_outputs(folder, path, name=name)
    return path


def verdict_of(capsys, *arguments):
    status = run(["gate", "x.study", *BUDGET, *arguments])
    said = capsys.readouterr()
    return status, said.out + said.err


# What is said


def test_warnings_and_notes():
    study = study_of(Path("x.study"), boxes=DEAD_BOXES, mask=np.full_like(MASK, 0.5))
    assert study.warnings == (
        (
            f"tfjs-uint8 in python: {WHOLE}, so it tells nothing; 'quantlab show layers --setting tfjs-uint8' shows "
            f"where it is lost"
        ),
        (
            f"tfjs-uint8 in python: {CHANNELS}{HIGH:.3g} in the model), so what the model says there is lost; scale "
            f"all channels of the output to one range, or make them outputs of their own"
        ),
    )
    (trial,) = study.trials
    assert trial.notes[-2:] == (
        "channels 4 and 5 of output 'boxes' are constant",
        "output 'mask' is constant",
    )
    assert trial.constant_outputs == ("boxes[4]", "boxes[5]", "mask")


def test_runtimes_of_which_the_same_is_said_share_a_sentence():
    places = ("python", "node-wasm", "node-cpu")
    rows = {("tfjs-uint8", place): answers(LABELS) for place in places}
    study = study_of(Path("x.study"), rows=rows, mask=np.full_like(MASK, 0.5))
    (warning,) = study.warnings
    assert warning.startswith(f"tfjs-uint8 in python, node-wasm and node-cpu: {WHOLE}, so it tells nothing; ")


def test_a_variant_like_the_model_is_not_warned_of(capsys):
    study = study_of(Path("x.study"), boxes=BOXES + 0.01, mask=MASK)
    assert (study.warnings, study.trials[0].notes, study.trials[0].constant_outputs) == ((), (), ())
    assert verdict_of(capsys) == (
        0,
        (
            "x  tfjs-uint8  FITS  loses at most 0.30 pt, allowed 1.00\n"
            "FITS: 1 of 1 setting; one quantized setting that fits is enough\nTerms: quantlab glossary\n"
        ),
    )


def test_what_is_not_finite_in_an_output_that_is_not_scored(capsys):
    spoiled = MASK.copy()
    spoiled[3, :2] = np.nan
    study = study_of(Path("x.study"), mask=spoiled)
    clause = "2 values are NaN or infinite in output 'mask'"
    assert study.warnings == (f"tfjs-uint8 in python: {clause}",)
    assert study.trials[0].notes == (clause,)
    status, said = verdict_of(capsys, "--json", "figures.json")
    assert status == 1
    assert f"x  tfjs-uint8  BREAKS  {clause}\n" in said
    (figures,) = json.loads(Path("figures.json").read_text())["studies"][0]["judgements"]
    assert figures["non_finite_outputs"] == {"mask": 2}


def test_what_is_not_finite_in_the_scored_output():
    spoiled = answers(LABELS)
    spoiled[3] = np.nan
    study = study_of(Path("x.study"), rows={("tfjs-uint8", "python"): spoiled})
    clause = f"{spoiled.shape[1]} values are NaN or infinite in output '{study.scored_output}'"
    assert study.warnings == (f"tfjs-uint8 in python: {clause}",)
    assert study.trials[0].notes == (clause,)


def test_what_is_not_finite_in_the_model_itself_is_left_out(capsys):
    model = MASK.copy()
    model[3, :2] = np.inf
    candidate = MASK.copy()
    candidate[3, :2] = np.nan
    study = study_of(Path("x.study"), reference={"mask": model}, mask=candidate)
    assert study.warnings == ()
    assert verdict_of(capsys)[0] == 0
    whole = next(row for row in Store(Path("x.study")).read_outputs().rows if row.output == "mask")
    assert (whole.left_out, whole.count, whole.non_finite, whole.max_abs_error) == (2, N * 8 - 2, 0, 0.0)


# The gate


def test_a_constant_output_breaks_a_gate(capsys):
    study_of(Path("x.study"), mask=np.full_like(MASK, 0.5))
    status, said = verdict_of(capsys)
    assert status == 1
    assert said.splitlines()[1:] == [
        f"x  tfjs-uint8  BREAKS  {WHOLE}; to accept that, give --allow-constant 'mask'",
        "BREAKS: 1 of 1 setting",
        "Terms: quantlab glossary",
    ]


def test_constant_channels_break_a_gate(capsys):
    study_of(Path("x.study"), boxes=DEAD_BOXES)
    status, said = verdict_of(capsys)
    assert status == 1
    assert said.splitlines()[1] == (
        f"x  tfjs-uint8  BREAKS  {CHANNELS}{HIGH:.3g} in the model); to accept that, give "
        f"--allow-constant 'boxes[4]' --allow-constant 'boxes[5]'"
    )


def test_a_study_of_an_older_quantlab_is_judged_by_its_outputs_too(capsys):
    study_of(Path("x.study"), mask=np.full_like(MASK, 0.5), compared=False)
    status, said = verdict_of(capsys)
    assert (status, said.splitlines()[0]) == (
        1,
        f"x  tfjs-uint8  BREAKS  {WHOLE}; to accept that, give --allow-constant 'mask'",
    )


@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        pytest.param(["boxes", "mask"], 0, id="outputs"),
        pytest.param(["boxes[4]", "boxes[5]", "mask"], 0, id="channels"),
        pytest.param(["boxes[4]", "mask"], 1, id="a channel is left"),
        pytest.param(["boxes"], 1, id="an output is left"),
        pytest.param(["mask", "output_0"], 1, id="of another output"),
        pytest.param(["boxes", *(f"mask[{channel}]" for channel in range(8))], 0, id="every channel of an output"),
        pytest.param(["boxes", *(f"mask[{channel}]" for channel in range(7))], 1, id="all channels but one"),
    ],
)
def test_what_is_allowed_by_name(allowed, status, capsys):
    study_of(Path("x.study"), boxes=DEAD_BOXES, mask=np.full_like(MASK, 0.5))
    assert verdict_of(capsys, *(text for name in allowed for text in ("--allow-constant", name)))[0] == status
    Path("quantlab.toml").write_text(f"[budget]\nallow_constant = {json.dumps(allowed)}\n")
    assert verdict_of(capsys)[0] == status
    options = [text for name in allowed for text in ("--allow-constant", name)]
    assert run(["recommend", "x.study", *BUDGET, *options]) == status
    capsys.readouterr()
    budget = Budget(max_accuracy_loss="1pt", allow_constant=",".join(allowed))
    assert judge("x.study", budget).outcome == ("breaks" if status else "fits")


def test_a_setting_that_lost_an_output_is_not_on_the_front(capsys):
    rows = {("tfjs-uint8", "python"): answers(LABELS), ("tfjs-uint16", "python"): answers(LABELS)}
    study = study_of(Path("x.study"), rows=rows, mask=MASK)
    dead = saved(Path("x.study"), "dead", "mask", np.full_like(MASK, 0.5))
    smallest = replace(study.trials[0], outputs={**study.trials[0].outputs, "mask": dead})
    Store(Path("x.study")).write_study(replace(study, trials=(smallest, *study.trials[1:])))

    def on_front(*options):
        run(["recommend", "x.study", *BUDGET, *options, "--json"])
        return [row["setting"] for row in json.loads(capsys.readouterr().out) if row["on_front"]]

    assert on_front() == ["tfjs-uint16"]
    assert on_front("--allow-constant", "mask") == ["tfjs-uint8"]


def test_one_channel_that_is_left_is_named(capsys):
    study_of(Path("x.study"), boxes=DEAD_BOXES)
    assert (
        "channel 5 of output 'boxes' is constant (0 for every sample"
        in verdict_of(capsys, "--allow-constant", "boxes[4]")[1]
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            "bxes", "the model has no output 'bxes' to be allowed as constant; did you mean 'boxes'?", id="output"
        ),
        pytest.param(
            "boxes[6]",
            "the output 'boxes' has no channel '6' to be allowed as constant; its channels are boxes[0] to boxes[5]",
            id="channel",
        ),
        pytest.param(
            "boxes[x]",
            "the output 'boxes' has no channel 'x' to be allowed as constant; its channels are boxes[0] to boxes[5]",
            id="no number",
        ),
        pytest.param(
            "boxes[04]",
            "the output 'boxes' has no channel '04' to be allowed as constant; its channels are boxes[0] to boxes[5]",
            id="a number that no message names",
        ),
        pytest.param(
            "boxes[4",
            "the output 'boxes' has no channel '4' to be allowed as constant; its channels are boxes[0] to boxes[5]",
            id="no bracket at the end",
        ),
    ],
)
def test_a_name_that_there_is_not(name, message, capsys):
    study = study_of(Path("x.study"), boxes=DEAD_BOXES)
    assert verdict_of(capsys, "--allow-constant", name) == (2, f"quantlab: {message}\n")
    assert run(["accept", "x.study", *BUDGET, "--allow-constant", name]) == 2
    with pytest.raises(UsageError, match="to be allowed as constant"):
        judge(study, Budget(max_accuracy_loss="1pt", allow_constant=(name,)))


def test_a_single_channel_has_the_name_of_its_output(capsys):
    study_of(Path("x.study"), reference={"height": MASK[:, :1]}, height=MASK[:, :1])
    message = "the output 'height' has only one channel; allow it to be constant as 'height'"
    assert verdict_of(capsys, "--allow-constant", "height[0]") == (2, f"quantlab: {message}\n")


def test_a_policy_of_several_studies_allows_what_one_of_them_has(capsys):
    study_of(Path("x.study"), boxes=DEAD_BOXES)
    study_of(Path("other.study"))
    status, _ = verdict_of(capsys, "other.study", "--allow-constant", "boxes")
    assert status == 0


def test_what_was_accepted_with_it_is_judged_with_it(capsys):
    study_of(Path("x.study"), boxes=DEAD_BOXES)
    assert run(["accept", "x.study", *BUDGET]) == 2
    assert run(["accept", "x.study", *BUDGET, "--allow-constant", "boxes"]) == 0
    assert run(["gate", "x.study", "--lock", "quantlab.lock"]) == 0
    capsys.readouterr()


def test_figures_for_programs(capsys):
    study_of(Path("x.study"), boxes=DEAD_BOXES)
    verdict_of(capsys, "--json", "figures.json", "--allow-constant", "boxes")
    (study,) = json.loads(Path("figures.json").read_text())["studies"]
    assert study["budget"]["allow_constant"] == ["boxes"]
    (judgement,) = study["judgements"]
    assert judgement["constant_outputs"] == ["boxes[4]", "boxes[5]"]
    run(["show", "x.study", "--json"])
    _, row = json.loads(capsys.readouterr().out)
    assert row["constant_outputs"] == ["boxes[4]", "boxes[5]"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda study, trial: {**trial.outputs, "mask": study.reference.outputs["mask"]},
            "the record of the study cannot be true: the values of the output 'mask' of tfjs-uint8 in python are the "
            "file of the model's own outputs; run 'quantlab analyze' again",
            id="the model's own file",
        ),
        pytest.param(
            lambda _, trial: {"output_0": trial.outputs["output_0"]},
            "the record of the study cannot be true: tfjs-uint8 in python has no file for the output 'mask'; run "
            "'quantlab analyze' again",
            id="left out",
        ),
        pytest.param(
            lambda _, trial: {**trial.outputs, "mask": trial.outputs["output_0"]},
            "the record of the study cannot be true: the values of the output 'mask' of tfjs-uint8 in python are not "
            "those that were written; run 'quantlab analyze' again",
            id="another output",
        ),
    ],
)
def test_an_output_cannot_be_hidden(change, reason):
    study = study_of(Path("x.study"), mask=np.full_like(MASK, 0.5))
    (trial,) = study.trials
    crafted = replace(study, trials=(replace(trial, outputs=change(study, trial)),))
    with pytest.raises(StudyError) as refused:
        judge(crafted, Budget(max_accuracy_loss="1pt"))
    assert str(refused.value) == reason


# Rows


def rows_of(shape, *, dead=()):
    reference = np.random.default_rng(0).normal(size=(50, *shape))
    candidate = reference + 0.01
    candidate[..., list(dead)] = 1
    sums = sum_channels(reference, candidate)
    trial = a_trial(Path(), variant=a_variant(Path()))
    return output_rows(trial, "out", sums, scored=True, shape=shape)


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        pytest.param((), [], id="a value per sample"),
        pytest.param((5, 1), [], id="one channel is the output"),
        pytest.param((2, 3), [0, 1, 2], id="few"),
        pytest.param((ALL_CHANNELS,), list(range(64)), id="as many as few can be"),
    ],
)
def test_every_one_of_few_channels_has_a_row(shape, channels):
    whole, *rest = rows_of(shape)
    assert (whole.channel, whole.shape, whole.scored, whole.constant_channels) == (None, shape, True, ())
    assert [row.channel for row in rest] == channels
    assert whole.count == 50 * int(np.prod(shape))


def test_the_worst_of_many_channels_have_a_row():
    whole, *rest = rows_of((65,), dead=(40, 3))
    assert len(rest) == 10
    assert {row.channel for row in rest[:2]} == {3, 40}
    assert [row.constant for row in rest] == [True, True, *[False] * 8]
    assert whole.constant_channels == (3, 40)
    errors = [row.sqnr_db for row in rest[2:]]
    assert errors == sorted(errors)


# The view


def shown(capsys, *arguments):
    assert run(["show", "outputs", "x.study", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_every_rendering_shows_every_output_and_channel(rendering, capsys):
    study_of(Path("x.study"), boxes=DEAD_BOXES, mask=MASK)
    printed = shown(capsys, "--format", rendering)
    if rendering in {"json", "csv"}:
        rows = json.loads(printed) if rendering == "json" else list(csv.DictReader(io.StringIO(printed)))
        assert list(rows[0]) == [field.name for field in fields(OutputRow)]
        named = [(row["output"], str(row["channel"] or 0)) for row in rows if row["channel"] not in {None, ""}]
    else:
        named = [
            (name, channel)
            for name, count in (("output_0", 10), ("boxes", 6), ("mask", 8))
            for channel in map(str, range(count))
            if f"{name}[{channel}]".replace("_", r"\_" if rendering in {"latex", "markdown"} else "_") in printed
        ]
    assert len(named) == 10 + 6 + 8
    assert "NaN" in printed


def test_the_text(capsys):
    study_of(Path("x.study"), boxes=DEAD_BOXES)
    lines = shown(capsys).splitlines()
    assert lines[0].split("  ")[0] == "setting"
    (dead,) = [line for line in lines if "boxes[4]" in line]
    assert dead.split()[-1] == "yes"
    assert f"{LOW:.3g} to {HIGH:.3g}" in dead
    assert lines[-4:] == [
        "Compared with the model on 1,000 samples; output[3] is index 3 of the last axis of the output",
        "Scored: output_0",
        (
            "constant: the same for every sample, although the model's output varies; it breaks a gate unless "
            "--allow-constant names it"
        ),
        "Terms: quantlab glossary",
    ]


def test_worst_first_and_only_some(capsys):
    rows = {("tfjs-uint8", "python"): answers(LABELS), ("tfjs-uint16", "python"): answers(LABELS)}
    study_of(Path("x.study"), rows=rows, boxes=DEAD_BOXES)
    printed = json.loads(shown(capsys, "--setting", "tfjs-uint16", "--sort", "sqnr", "--top", "2", "--json"))
    assert [(row["setting"], row["output"], row["channel"], row["constant"]) for row in printed] == [
        ("tfjs-uint16", "boxes", 4, True),
        ("tfjs-uint16", "boxes", 5, True),
    ]


def test_a_study_of_an_older_quantlab(capsys):
    study_of(Path("x.study"), compared=False)
    assert run(["show", "x.study"]) == 0
    capsys.readouterr()
    assert run(["show", "outputs", "x.study"]) == 2
    assert capsys.readouterr().err == (
        "quantlab: the study 'x.study' has no figures of each output, because an older quantlab made it; run the same "
        "'quantlab analyze' command again, which reuses finished work\n"
    )
