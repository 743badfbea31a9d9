"""`quantlab gate`, `recommend` and `accept`: exit statuses, whole messages, files, locks and artifacts."""

import fcntl
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from verdict_fixtures import answers, flipped, write_study

import quantlab
from quantlab.cli import run
from quantlab.formats import artifact_sha256
from quantlab.store import Store
from quantlab.types import ClassOrder, ReferenceCheck
from quantlab_reports import RENDERINGS

MARGIN = ("--max-accuracy-loss", "0.5pt")
LABELS = np.arange(10_000) % 10


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No policy file of another folder, and no summary of the continuous integration that runs this."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def study_of(folder, n=10_000, *, lost=0, **candidates):
    """A study of tfjs-uint8, which loses so many, and of what else is given."""
    labels = LABELS[:n]
    outputs = {("tfjs-uint8", "python"): answers(labels, flipped(n, range(lost)))}
    outputs |= {(name.replace("_", "-"), "python"): value for name, value in candidates.items()}
    write_study(folder, labels, answers(labels), outputs)
    return folder


def gate(capsys, *arguments):
    status = run(["gate", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize(
    ("n", "lost", "status", "printed"),
    [
        pytest.param(
            10_000,
            0,
            0,
            "digits  tfjs-uint8  FITS  loses at most 0.03 pt, allowed 0.50\n"
            "FITS: 1 of 1 setting; one quantized setting that fits is enough\nTerms: quantlab glossary\n",
            id="fits",
        ),
        pytest.param(
            10_000,
            200,
            1,
            "digits  tfjs-uint8  BREAKS  loses at least 1.77 pt, allowed 0.50\nBREAKS: 1 of 1 setting\n"
            "Terms: quantlab glossary\n",
            id="breaks",
        ),
        pytest.param(
            200,
            0,
            3,
            "digits  tfjs-uint8  INCONCLUSIVE  too few samples: 200 of at least 598; "
            "loses at most 1.49 pt, allowed 0.50\nINCONCLUSIVE: 1 of 1 setting\nTerms: quantlab glossary\n",
            id="too few samples",
        ),
    ],
)
def test_exit_statuses(n, lost, status, printed, tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", n, lost=lost)
    assert gate(capsys, folder, *MARGIN) == (status, printed, "")


@pytest.mark.parametrize(
    ("gained", "reason"),
    [
        pytest.param(
            0, "too few samples: 300 of at least 598; loses at most 1.00 pt, allowed 0.50", id="nothing changed"
        ),
    ],
)
def test_too_few_samples_are_said_alike_in_every_report(gained, reason, tmp_path, capsys):
    """And none of them says that a setting gains; one that surely gains fits, see `test_verdict.py`."""
    labels = LABELS[:300]
    outputs = {("tfjs-uint8", "python"): answers(labels)}
    write_study(tmp_path / "digits.study", labels, answers(labels, flipped(300, range(gained))), outputs)
    written = {"--json": "verdict.json", "--junit": "verdict.xml", "--markdown": "verdict.md"}
    files = [word for option, name in written.items() for word in (option, name)]
    status, printed, _ = gate(capsys, "digits.study", *MARGIN, *files)
    assert (status, printed.splitlines()[0]) == (3, f"digits  tfjs-uint8  INCONCLUSIVE  {reason}")
    texts = {name: Path(name).read_text() for name in written.values()}
    (judgement,) = json.loads(texts["verdict.json"])["studies"][0]["judgements"]
    assert (judgement["reason"], judgement["missing"]) == (reason, 298)
    assert f'message="{reason}"' in texts["verdict.xml"]
    for form in ("csv", "markdown", "latex", "json"):
        texts[form] = gate(capsys, "digits.study", *MARGIN, "--format", form)[1]
    for text in texts.values():
        assert reason in text
        assert "gains" not in text
    assert run(["recommend", "digits.study", *MARGIN]) == 3
    assert capsys.readouterr().out.splitlines()[:2] == [
        "No setting fits yet: too few samples, at least 598 are needed (298 more)",
        f"Not chosen      tfjs-uint8  inconclusive: {reason}",
    ]


def test_undecided_warn_lets_pass(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", 200)
    status, _, warned = gate(capsys, folder, *MARGIN, "--undecided", "warn")
    assert (status, warned) == (0, "warning: too few samples to decide; --undecided warn lets this pass\n")


def test_named_settings_must_all_fit(tmp_path, capsys):
    broken = answers(LABELS, flipped(10_000, range(300)))
    folder = study_of(tmp_path / "digits.study", tfjs_uint16=broken)
    assert gate(capsys, folder, *MARGIN)[0] == 0
    status, printed, _ = gate(capsys, folder, *MARGIN, "--setting", "tfjs-uint8", "--setting", "tfjs-uint16")
    assert (status, printed.splitlines()[-2]) == (1, "BREAKS: 1 of 2 settings")


def test_all_nan_breaks(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", tfjs_uint16=np.full((10_000, 10), np.nan, np.float32))
    status, printed, _ = gate(capsys, folder, *MARGIN, "--setting", "tfjs-uint16")
    assert status == 1
    assert "100,000 output values are NaN or infinite" in printed


def test_several_studies_of_a_policy(tmp_path, capsys):
    study_of(tmp_path / "one.study")
    study_of(tmp_path / "two.study", lost=200)
    Path("quantlab.toml").write_text(
        '[budget]\nmax_accuracy_loss = "0.5pt"\nstudies = ["one.study", "two.study"]\nsettings = ["tfjs-uint8"]\n'
    )
    assert gate(capsys) == (
        1,
        (
            "one  tfjs-uint8  FITS    loses at most 0.03 pt, allowed 0.50\n"
            "two  tfjs-uint8  BREAKS  loses at least 1.77 pt, allowed 0.50\n"
            "one: FITS: 1 of 1 setting\ntwo: BREAKS: 1 of 1 setting\nTerms: quantlab glossary\n"
        ),
        "",
    )


def test_an_option_goes_before_the_policy(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", lost=200)
    Path("strict.toml").write_text('[budget]\nmax_accuracy_loss = "0.1pt"\n')
    assert gate(capsys, folder, "--policy", "strict.toml")[0] == 1
    assert gate(capsys, folder, "--policy", "strict.toml", "--max-accuracy-loss", "3pt")[0] == 0


@pytest.mark.parametrize("name", RENDERINGS)
def test_every_format_of_the_other_views(name, tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", lost=10)
    status, printed, said = gate(capsys, folder, *MARGIN, "--format", name)
    assert (status, said) == (0, "")
    assert "tfjs-uint8" in printed
    assert run(["recommend", str(folder), *MARGIN, "--format", name]) == 0
    assert "tfjs-uint8" in capsys.readouterr().out


def test_rows_for_programs(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", lost=10)
    (row,) = json.loads(gate(capsys, folder, *MARGIN, "--format", "json")[1])
    assert (row["study"], row["setting"], row["verdict"], row["right_to_wrong"]) == ("digits", "tfjs-uint8", "fits", 10)
    run(["recommend", str(folder), *MARGIN, "--format", "json"])
    printed = capsys.readouterr().out
    (row,) = json.loads(printed)
    assert (row["study"], row["setting"], row["recommended"]) == ("digits", "tfjs-uint8", True)
    run(["recommend", str(folder), *MARGIN, "--json"])
    assert capsys.readouterr().out == printed
    run(["accept", str(folder), *MARGIN, "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["study"], row["setting"], row["verdict"]) == ("digits", "tfjs-uint8", "fits")


@pytest.mark.parametrize("command", ["gate", "recommend"])
def test_a_format_that_there_is_not(command, tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    assert run([command, str(folder), *MARGIN, "--format", "jsn"]) == 2
    assert capsys.readouterr().err == "quantlab: there is no format 'jsn'; did you mean 'json'?\n"


# Files


def test_files_for_continuous_integration(tmp_path, capsys, monkeypatch):
    import junitparser

    folder = study_of(tmp_path / "digits.study", tfjs_uint16=answers(LABELS, flipped(10_000, range(300))))
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    files = {name: tmp_path / "out" / name for name in ("junit", "markdown", "json")}
    options = [text for name, path in files.items() for text in (f"--{name}", path)]
    assert gate(capsys, folder, *MARGIN, *options, "--setting", "tfjs-*")[0] == 1
    suites = junitparser.JUnitXml.fromfile(str(files["junit"]))
    assert (suites.tests, suites.failures) == (2, 1)
    assert "tfjs-uint16" in files["markdown"].read_text()
    assert summary.read_text() == f"before\n{files['markdown'].read_text()}"
    (document,) = json.loads(files["json"].read_text())["studies"]
    assert document["outcome"] == "breaks"


def test_a_file_that_cannot_be_written(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    (tmp_path / "file").touch()
    status, _, error = gate(capsys, folder, *MARGIN, "--json", tmp_path / "file" / "x.json")
    assert status == 2
    assert error.endswith("name another file\n")


# What was accepted


def test_a_lock_compares_with_what_was_accepted(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", lost=10)
    assert run(["accept", str(folder), *MARGIN]) == 0
    assert capsys.readouterr().err == "Accepted figures written to 'quantlab.lock': tfjs-uint8\n"
    lock = json.loads(Path("quantlab.lock").read_text())
    assert (lock["schema"], lock["budget"]) == (1, {"max_accuracy_loss": "0.5pt"})
    accepted = lock["studies"]["digits"]["settings"]["tfjs-uint8"]["losses"]["python"]
    assert (accepted["n"], accepted["loss"]) == (10_000, pytest.approx(0.1))
    assert gate(capsys, folder, "--lock", "quantlab.lock")[0] == 0
    shutil.rmtree(folder)
    study_of(folder, lost=40)
    assert gate(capsys, folder, "--lock", "quantlab.lock") == (
        1,
        (
            "digits  tfjs-uint8  BREAKS  loses at least 0.30 pt; the accepted loss is at most 0.17 pt\n"
            "BREAKS: 1 of 1 setting\nTerms: quantlab glossary\n"
        ),
        "",
    )


def test_a_setting_selected_by_name_must_have_been_accepted(tmp_path, capsys):
    """Otherwise the budget alone would judge it, as if there were no lock."""
    right = answers(LABELS)
    folder = study_of(tmp_path / "digits.study", tfjs_uint16=right)
    assert run(["accept", str(folder), *MARGIN, "--setting", "tfjs-uint8"]) == 0
    capsys.readouterr()
    assert gate(capsys, folder, "--lock", "quantlab.lock", "--setting", "tfjs-uint16") == (
        2,
        "",
        (
            "quantlab: there are no accepted figures for 'tfjs-uint16' of 'digits' (accepted: tfjs-uint8); accept them "
            "with 'quantlab accept', or select other settings\n"
        ),
    )


def test_a_lock_of_another_metric(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    run(["accept", str(folder), *MARGIN])
    capsys.readouterr()
    assert gate(capsys, folder, "--metric", "macro-f1", *MARGIN, "--lock", "quantlab.lock") == (
        2,
        "",
        (
            "quantlab: tfjs-uint8 was accepted with the metric 'top1' and is judged by 'macro-f1'; leave --metric out, "
            "or accept it again with 'quantlab accept'\n"
        ),
    )


def test_two_studies_of_one_name_are_not_accepted(tmp_path, capsys):
    one, two = (study_of(tmp_path / name / "x.study") for name in ("a", "b"))
    assert run(["accept", str(one), str(two), *MARGIN]) == 2
    assert capsys.readouterr().err == (
        "quantlab: two studies have the name 'x', and accepted figures are stored by name; rename one of the folders\n"
    )


def test_what_is_recommended_is_judged_with_the_lock(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    run(["accept", str(folder), *MARGIN])
    shutil.rmtree(folder)
    study_of(folder, lost=30)
    capsys.readouterr()
    assert gate(capsys, folder, *MARGIN, "--lock", "quantlab.lock", "--markdown", "out.md")[0] == 1
    assert "No judged setting fits" in Path("out.md").read_text()


def test_a_broken_conversion_is_said_above_the_verdict(tmp_path, capsys):
    labels = LABELS[:1000]
    warning = "float32 check failed: tfjs differs from the model in float32, before any quantization"
    candidates = {("tfjs-uint8", "python"): answers(labels)}
    write_study(tmp_path / "digits.study", labels, answers(labels), candidates, warnings=(warning,))
    _, printed, _ = gate(capsys, tmp_path / "digits.study", *MARGIN, "--markdown", "out.md")
    assert printed.splitlines()[0] == f"! digits: {warning}"
    assert "float32 check failed" in Path("out.md").read_text()
    assert run(["recommend", str(tmp_path / "digits.study"), *MARGIN]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"! {warning}"


def changed(lock, **values):
    document = json.loads(Path(lock).read_text())
    study = document["studies"]["digits"]
    study.update({key: value for key, value in values.items() if key in study})
    document.update({key: value for key, value in values.items() if key in document})
    Path(lock).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"model_sha256": "b" * 64},
            "the accepted figures of 'digits' belong to another model: SHA-256 bbbbbbbbbbbb…, and the model of the "
            "study has aaaaaaaaaaaa…; check the new figures and accept them with 'quantlab accept'",
            id="another model",
        ),
        pytest.param(
            {"schema": 9},
            "the accepted figures 'quantlab.lock' have the schema 9, and this quantlab reads 1; write them again with "
            "'quantlab accept'",
            id="another schema",
        ),
        pytest.param(
            {"schema": "9" * 5000},
            f"the accepted figures 'quantlab.lock' have the schema {'9' * 80}…, and this quantlab reads 1; write them "
            f"again with 'quantlab accept'",
            id="an endless schema",
        ),
        pytest.param(
            {"studies": {}},
            "the accepted figures 'quantlab.lock' name no setting; write them again with 'quantlab accept'",
            id="no study",
        ),
    ],
)
def test_a_lock_of_something_else(change, message, tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    run(["accept", str(folder), *MARGIN])
    capsys.readouterr()
    changed("quantlab.lock", **change)
    assert gate(capsys, folder, *MARGIN, "--lock", "quantlab.lock") == (2, "", f"quantlab: {message}\n")


def test_a_lock_that_is_not_there(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    assert gate(capsys, folder, *MARGIN, "--lock", "other.lock") == (
        2,
        "",
        (
            "quantlab: there is no file of accepted figures 'other.lock'; write it with 'quantlab accept --lock "
            "other.lock'\n"
        ),
    )


def test_other_artifacts_and_samples_than_accepted_are_said(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    run(["accept", str(folder), *MARGIN])
    capsys.readouterr()
    changed("quantlab.lock", samples_sha256="0" * 64)
    document = json.loads(Path("quantlab.lock").read_text())
    document["studies"]["digits"]["settings"]["tfjs-uint8"]["sha256"] = "1" * 64
    Path("quantlab.lock").write_text(json.dumps(document))
    status, _, said = gate(capsys, folder, *MARGIN, "--lock", "quantlab.lock")
    assert status == 0
    assert said == (
        "! digits: the artifact of tfjs-uint8 is not the accepted one: SHA-256 74666a732d75…, accepted 111111111111…\n"
        "! digits: the scored samples are not those of the accepted figures\n"
    )


def test_what_does_not_fit_is_accepted_only_by_name(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", lost=200)
    assert run(["accept", str(folder), *MARGIN]) == 2
    assert capsys.readouterr().err == (
        "quantlab: no setting of 'digits' fits the budget, so none is accepted; to accept a setting anyway, name it "
        "with --setting\n"
    )
    assert run(["accept", str(folder), *MARGIN, "--setting", "tfjs-uint8"]) == 0


# What is about to be shipped


def test_one_byte_in_a_shard_is_refused_with_both_hashes(place, capsys):
    """On a real study with real artifacts."""
    folder = place / "digits.study"
    record = Store(folder).read_study()
    variant = next(trial.variant for trial in record.trials if trial.setting == "tfjs-uint8")
    shipped = shutil.copytree(variant.path, place / "shipped")
    loose = ("--max-accuracy-loss", "5pt")
    status, printed, _ = gate(capsys, folder, *loose, "--artifact", shipped)
    assert status == 0
    assert [line.split()[1] for line in printed.splitlines()[:-2]] == ["tfjs-uint8"]
    (shard,) = shipped.glob("*.bin")
    shard.write_bytes(shard.read_bytes()[:-1] + bytes([shard.read_bytes()[-1] ^ 1]))
    status, printed, error = gate(capsys, folder, *loose, "--artifact", shipped)
    assert (status, printed) == (2, "")
    assert f"its SHA-256 is {artifact_sha256(shipped)}" in error
    assert f"tfjs-uint8 {variant.sha256}" in error


def test_an_artifact_among_settings_by_a_glob(place, capsys):
    folder = place / "digits.study"
    variant = next(trial.variant for trial in Store(folder).read_study().trials if trial.setting == "tfjs-uint8")
    loose = ("--max-accuracy-loss", "5pt")
    assert gate(capsys, folder, *loose, "--artifact", variant.path, "--setting", "tfjs-*")[0] == 0


def test_an_artifact_of_two_studies(tmp_path, capsys):
    one, two = study_of(tmp_path / "one.study"), study_of(tmp_path / "two.study")
    assert gate(capsys, one, two, *MARGIN, "--artifact", tmp_path)[::2] == (
        2,
        (
            f"quantlab: --artifact needs exactly one study, and '{one}' and '{two}' are named; name the study of the "
            "artifact\n"
        ),
    )


# What cannot be judged


def test_a_study_that_is_being_analyzed(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert gate(capsys, folder, *MARGIN) == (
            2,
            "",
            f"quantlab: the study '{folder}' is being analyzed right now; wait until that ends\n",
        )


def test_outputs_that_are_gone(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    shutil.rmtree(folder / "outputs" / "tfjs-uint8")
    status, _, error = gate(capsys, folder, *MARGIN)
    assert status == 2
    assert error.endswith("run 'quantlab analyze' again, which runs only what is missing\n")


def test_an_output_file_that_is_empty(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    (folder / "outputs" / "tfjs-uint8" / "python" / "key" / "output_0.npy").write_bytes(b"")
    status, _, error = gate(capsys, folder, *MARGIN)
    assert status == 2
    assert error.endswith("run 'quantlab analyze' again, which runs only what is missing\n")


def test_a_figure_in_the_lock_that_is_none(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    run(["accept", str(folder), *MARGIN])
    capsys.readouterr()
    for value in ("NaN", True, None):
        document = json.loads(Path("quantlab.lock").read_text())
        document["studies"]["digits"]["settings"]["tfjs-uint8"]["losses"]["python"]["upper"] = value
        Path("broken.lock").write_text(json.dumps(document))
        assert gate(capsys, folder, *MARGIN, "--lock", "broken.lock") == (
            2,
            "",
            (
                "quantlab: the accepted figures 'broken.lock' are incomplete or damaged; write them again with "
                "'quantlab accept'\n"
            ),
        )


def test_what_gave_nan_is_never_accepted(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", tfjs_uint16=np.full((10_000, 10), np.nan, np.float32))
    assert run(["accept", str(folder), *MARGIN, "--setting", "tfjs-uint16"]) == 2
    assert capsys.readouterr().err == (
        "quantlab: 'tfjs-uint16' cannot be accepted: 100,000 output values are NaN or infinite in python; accept only "
        "settings with finite outputs\n"
    )


def test_the_api_refuses_a_study_that_is_being_analyzed(tmp_path):
    folder = study_of(tmp_path / "digits.study")
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(quantlab.QuantlabError, match="is being analyzed right now"):
            quantlab.judge(folder, quantlab.Budget(max_accuracy_loss="1pt"))


def test_one_class_only(tmp_path, capsys):
    labels = np.full(1000, 3)
    write_study(tmp_path / "digits.study", labels, answers(labels), {("tfjs-uint8", "python"): answers(labels)})
    assert gate(capsys, tmp_path / "digits.study", *MARGIN)[::2] == (
        2,
        (
            "quantlab: all 1,000 samples are of class 3, so nothing is known about the other classes; analyze samples "
            "of every class\n"
        ),
    )


def test_a_loss_without_labels(tmp_path, capsys):
    outputs = answers(LABELS)
    write_study(
        tmp_path / "digits.study", None, outputs, {("tfjs-uint8", "python"): outputs}, task="similarity", classes=True
    )
    assert gate(capsys, tmp_path / "digits.study", *MARGIN)[::2] == (
        2,
        (
            "quantlab: the budget limits the loss to 0.5pt, and the samples have no labels; give samples with labels, "
            "or use min_agreement instead\n"
        ),
    )
    assert gate(capsys, tmp_path / "digits.study", "--min-agreement", "99%")[0] == 0


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        pytest.param(
            "max_acuracy_loss = '0.5pt'",
            "[budget] has no key 'max_acuracy_loss'; did you mean 'max_accuracy_loss' or 'max_class_loss'?",
            id="a key that there is not",
        ),
        pytest.param(
            f"max_accuracy_loss = '{'(' * 5000}'",
            f"max_accuracy_loss is '{'(' * 79}…, and no value has over 1,000 characters; correct it in [budget]",
            id="an endless value",
        ),
        pytest.param(
            "max_accuracy_loss = 0.5",
            "max_accuracy_loss '0.5' has no unit; write 0.5pt for 0.5 percentage points, 0.5% for a "
            "loss relative to the reference, or the name of a metric that is no share, for example 0.5mae",
            id="no unit",
        ),
        pytest.param(
            "max_accuracy_loss = '0.5pt'\nconfidence = 'high'",
            "confidence 'high' is not a number; write for example 0.95",
            id="no confidence",
        ),
        pytest.param(
            "max_accuracy_loss = '0.5pt'\nruntimes = 3",
            'runtimes is 3 and must be a list of names: runtimes = ["…"]',
            id="no list",
        ),
        pytest.param(
            "confidence = 0.9",
            "the budget sets no limit; give at least one of max_accuracy_loss (0.5pt), "
            "max_class_loss (2pt), max_slice_loss (2pt), max_size (500KB), min_agreement (99%), min_sqnr (40dB), "
            "min_cosine (0.999), "
            "max_abs_error (0.05) and max_rmse (0.01)",
            id="no limit",
        ),
        pytest.param(
            "max_accuracy_loss = '0.5pt'\nmetric = 'recall'",
            "there is no metric 'recall'; choose from top1, top5, macro-f1, auc, mae, rmse, mean-iou, "
            "position-accuracy, sequence-accuracy, micro-f1, multilabel-macro-f1, map, angular-error, topK, "
            "cer[:blank=B|:plain], wer[:space=S,…], coco-map:module:function, pck@T; one of your own is "
            "'module:function:higher' or '…:lower'",
            id="a metric that there is not",
        ),
    ],
)
def test_a_policy_that_cannot_be(policy, message, tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    Path("quantlab.toml").write_text(f"[budget]\n{policy}\n")
    assert gate(capsys, folder) == (2, "", f"quantlab: {message}\n")


@pytest.mark.starts_children
def test_a_metric_of_ones_own(tmp_path, capsys, monkeypatch):
    folder = study_of(tmp_path / "digits.study", 500)
    Path("own_metric.py").write_text(
        "def right(outputs, labels):\n    return (outputs.argmax(1) == labels).mean()\n"
        "def raises(outputs, labels):\n    raise RuntimeError('no')\n"
        "def several(outputs, labels):\n    return outputs.mean(0)\n"
        "def leaves(outputs, labels):\n    raise SystemExit(0)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    loose = ("--max-accuracy-loss", "5%")
    assert gate(capsys, folder, *loose, "--metric", "own_metric:right:higher")[0] == 0
    status, _, error = gate(capsys, folder, *loose, "--metric", "own_metric:leaves:higher")
    assert (status, "raised SystemExit (0)" in error) == (2, True)
    assert "raised RuntimeError (no)" in gate(capsys, folder, *loose, "--metric", "own_metric:raises:higher")[2]
    assert gate(capsys, folder, *loose, "--metric", "own_metric:several:higher")[::2] == (
        2,
        (
            "quantlab: the metric 'own_metric:several' returned an array of shape (10,); it must return one number for "
            "the set, or one or two for each of its 500 samples\n"
        ),
    )


# Recommend, and the Python API


def test_recommend(place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    assert run(["recommend", "digits.study", "--max-accuracy-loss", "5pt", "--target", "web"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Ship tfjs-uint8: ")
    assert lines[-4:-1] == ["Terms: quantlab glossary", "Reproduce with this command:", ""]
    (saved_model,) = Path("digits.study", "model").glob("*/saved_model")
    assert lines[-1] == (
        "folder=$(mktemp -d tfjs-uint8-XXXXXX) && TF_ENABLE_ONEDNN_OPTS=0 tensorflowjs_converter "
        f'--input_format=tf_saved_model \'--quantize_uint8=*\' {saved_model} "$folder" && echo "$folder"'
    )
    assert run(["recommend", "digits.study", "--max-accuracy-loss", "0.01pt", "--target", "web"]) == 3
    assert capsys.readouterr().out.startswith("No setting fits yet: too few samples, at least ")


def test_the_api_reads_well_in_pytest(tmp_path):
    folder = study_of(tmp_path / "digits.study", lost=200)
    verdict = quantlab.judge(folder, quantlab.Budget(max_accuracy_loss="3pt"), settings=["tfjs-uint8"])
    assert verdict.fits, verdict.explain()
    verdict = quantlab.judge(quantlab.load_study(folder), quantlab.Budget(max_accuracy_loss="0.5pt"))
    assert not verdict.fits
    assert "BREAKS" in verdict.explain()
    assert quantlab.recommend(folder, quantlab.Budget(max_accuracy_loss="3pt")).setting == "tfjs-uint8"


# A model that is no better than guessing


POOR = (
    "quantlab: the model itself is right on 10.0 % of 1,000 samples (95 % interval 8.3 to 12.0), which is not shown to "
    "be better than chance: always answering class 0, the most frequent, is right on 10.0 %. Nothing can be judged "
    "against it; check the preprocessing and the order of the labels, or insist with --allow-poor-reference\n"
)


def poor_study(folder):
    """A study of a model that always answers class 3, and of a variant that does so too."""
    labels = LABELS[:1000]
    outputs = answers(np.full(1000, 3))
    write_study(folder, labels, outputs, {("tfjs-uint8", "python"): outputs})
    return folder


def test_a_model_no_better_than_guessing_is_refused(tmp_path, capsys):
    folder = poor_study(tmp_path / "digits.study")
    assert gate(capsys, folder, *MARGIN) == (2, "", POOR)
    for command in ("recommend", "accept"):
        assert run([command, str(folder), *MARGIN]) == 2
        assert capsys.readouterr().err == POOR
    assert gate(capsys, folder, *MARGIN, "--allow-poor-reference")[0] == 0
    Path("quantlab.toml").write_text('[budget]\nmax_accuracy_loss = "0.5pt"\nallow_poor_reference = true\n')
    assert gate(capsys, folder)[0] == 0
    Path("quantlab.toml").write_text('[budget]\nmax_accuracy_loss = "0.5pt"\nallow_poor_reference = "yes"\n')
    assert gate(capsys, folder) == (2, "", "quantlab: allow_poor_reference is 'yes' and must be true or false\n")


def test_what_was_accepted_of_such_a_model_is_judged_so_again(tmp_path, capsys):
    folder = poor_study(tmp_path / "digits.study")
    assert run(["accept", str(folder), *MARGIN, "--allow-poor-reference"]) == 0
    capsys.readouterr()
    assert gate(capsys, folder, "--lock", "quantlab.lock")[0] == 0


def test_another_order_of_the_classes_is_told_of(tmp_path, capsys):
    folder = poor_study(tmp_path / "digits.study")
    store = Store(folder)
    order = ClassOrder((1, 0, *range(2, 10)), 10.0, 93.25)
    store.write_study(replace(store.read_study(), reference_check=ReferenceCheck(0.0, 0.0, class_order=order)))
    told = "it would be right on 93.2 % if the classes were in another order, see the warning of 'quantlab show'"
    assert gate(capsys, folder, *MARGIN)[2] == POOR.replace("check the preprocessing and the order of the labels", told)


def test_numbers_and_samples_without_labels_have_no_chance(tmp_path, capsys):
    outputs = answers(np.full(1000, 3))
    write_study(tmp_path / "similar.study", None, outputs, {("tfjs-uint8", "python"): outputs}, task="similarity")
    assert gate(capsys, tmp_path / "similar.study", "--min-agreement", "99%")[0] == 0
