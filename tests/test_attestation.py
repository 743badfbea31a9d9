"""`quantlab gate --attest` and `--attested`: in-toto statements about artifacts, written, read and checked."""

import contextlib
import copy
import hashlib
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_fixtures import answers, flipped, write_study

from quantlab.cli import run
from quantlab.errors import ArtifactError, StudyError, UsageError
from quantlab.formats import ArtifactFiles, artifact_files, artifact_sha256, files_not_served
from quantlab.gate import Attestation, budget_texts, read_attestation, refuse_other_files
from quantlab.gate.contradictions import told_by_figures
from quantlab.gate.statement import PREDICATE_TYPE, STATEMENT_TYPE
from quantlab.statistics import decide, loss_bounds
from quantlab.store import Store
from quantlab.types import SEVERITY, Budget, Judgement, Loss, SettingVerdict, Verdict
from quantlab_reports.attestation import render_attestation

MARGIN = ("--max-accuracy-loss", "0.5pt")
LABELS = np.arange(2_000) % 10
BYTES = {"graph.bin": b"a graph", "weights/one.bin": b"\0\1\2", "weights/two.bin": b""}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No policy file of another folder, and no summary of the continuous integration that runs this."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def artifact(folder: Path, files: dict[str, bytes] = BYTES) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


MODEL = {
    "format": "graph-model",
    "modelTopology": {"node": []},
    "weightsManifest": [{"paths": ["shards/group1.bin"], "weights": []}],
}
WEB = {"model.json": json.dumps(MODEL).encode(), "shards/group1.bin": b"\0\1\2"}
"""The files of a graph-model, of which quantlab knows which are served."""


def study_of(
    folder: Path, n: int = 2_000, *, lost: int = 0, more: tuple[str, ...] = (), files: dict[str, bytes] = BYTES
) -> Path:
    """A study of tfjs-uint8, which loses so many, and of others that lose nothing; each has an artifact on disk."""
    labels = LABELS[:n]
    outputs: dict[tuple[str, str], Any] = {("tfjs-uint8", "python"): answers(labels, flipped(n, range(lost)))}
    outputs |= {(name, "python"): answers(labels) for name in more}
    study = write_study(folder, labels, answers(labels), outputs)
    trials = []
    for trial in study.trials:
        assert trial.variant is not None
        own = {**files, "name.txt": trial.setting.encode()} if more else files
        sha256 = artifact_sha256(artifact(trial.variant.path, own))
        trials.append(replace(trial, variant=replace(trial.variant, sha256=sha256)))
    model = replace(study.model, sha256="a" * 64)
    Store(folder).write_study(replace(study, trials=tuple(trials), model=model))
    return folder


def gate(capsys, *arguments):
    status = run(["gate", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def statement(tmp_path, capsys) -> Path:
    """The statement of a setting that fits; its artifact is in `shipped`."""
    folder = study_of(tmp_path / "digits.study")
    assert gate(capsys, folder, *MARGIN, "--attest", "statement.json")[0] == 0
    artifact(tmp_path / "shipped")
    return tmp_path / "statement.json"


# Written


def test_the_whole_statement(statement):
    document = json.loads(statement.read_text())
    predicate = document["predicate"]
    figures = predicate.pop("quantlab")
    budget = {"confidence": "0.95", "max_accuracy_loss": "0.5pt", "target": "any"}
    compact = '{"confidence":"0.95","max_accuracy_loss":"0.5pt","target":"any"}'
    assert document == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}} for name, content in BYTES.items()
        ],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": "PASSED",
            "configuration": [
                {
                    "name": "budget",
                    "digest": {"sha256": hashlib.sha256(compact.encode()).hexdigest()},
                    "annotations": budget,
                },
                {"name": "model", "digest": {"sha256": "a" * 64}},
                {"name": "samples", "digest": {"sha256": "5" * 64}},
            ],
            "passedTests": ["digits.tfjs-uint8.python"],
            "warnedTests": [],
            "failedTests": [],
        },
    }
    (setting,) = figures.pop("settings")
    (judgement,) = setting.pop("judgements")
    loss = judgement.pop("loss")
    look = {"kind": "one", "number": 1, "planned_n": None, "n": None, "first_choice": None}
    assert figures == {
        "schema": 1,
        "study": "digits",
        "artifact_sha256": artifact_sha256(Path("shipped")),
        "plan": {
            "settings_judged": 1,
            "settings_of_study": 1,
            "tuning_candidates": None,
            "several": None,
            "look": look,
        },
        "untested": [],
    }
    assert (setting["setting"], setting["size_bytes"]) == ("tfjs-uint8", 10_000)
    assert judgement["reason"] == "loses at most 0.15 pt, allowed 0.50"
    assert (judgement["outcome"], judgement["n"], judgement["margin"]) == ("fits", 2_000, 0.5)
    assert (loss["lower"], loss["confidence"], loss["unit"]) == (-loss["upper"], 0.95, "pt")
    assert loss["upper"] == pytest.approx(100 * (1 - 0.05 ** (1 / 2_000)))


def test_the_same_bytes_every_time_and_no_folder_of_this_machine(statement, tmp_path, capsys):
    text = statement.read_bytes()
    assert gate(capsys, "digits.study", *MARGIN, "--attest", "again.json", "--artifact", "shipped")[0] == 0
    assert Path("again.json").read_bytes() == text
    assert str(tmp_path).encode() not in text
    assert text == text.strip() + b"\n"


@pytest.mark.parametrize(
    ("study", "more", "status", "result"),
    [
        pytest.param({}, (), 0, "PASSED", id="fits"),
        pytest.param({"lost": 200}, (), 1, "FAILED", id="breaks"),
        pytest.param({"n": 200}, (), 3, "FAILED", id="too few samples"),
        pytest.param({"n": 200}, ("--undecided", "warn"), 0, "WARNED", id="too few samples, and a warning"),
    ],
)
def test_results(study, more, status, result, tmp_path, capsys):
    """The gate's own status, and that of a later check of the artifact by the statement."""
    study_of(tmp_path / "digits.study", **study)
    assert gate(capsys, "digits.study", *MARGIN, *more, "--attest", "out/statement.json")[0] == status
    predicate = json.loads(Path("out/statement.json").read_text())["predicate"]
    assert predicate["result"] == result
    assert {key: predicate[key] for key in ("passedTests", "warnedTests", "failedTests") if predicate[key]} == {
        f"{result.lower()}Tests": ["digits.tfjs-uint8.python"]
    }
    shutil.move("digits.study", "gone")
    check = ("--artifact", artifact(tmp_path / "shipped"), "--attested", "out/statement.json")
    assert gate(capsys, *check, *more)[0] == status
    assert gate(capsys, *check)[0] == (3 if result == "WARNED" else status)


def test_a_warning_is_none_that_nobody_allowed(tmp_path, capsys):
    """A statement that failed stays one that failed, although a warning would be enough for whoever checks it."""
    study_of(tmp_path / "digits.study", 200)
    assert gate(capsys, "digits.study", *MARGIN, "--attest", "statement.json")[0] == 3
    check = ("--artifact", artifact(tmp_path / "shipped"), "--attested", "statement.json")
    assert gate(capsys, *check, "--undecided", "warn")[0] == 3


def test_one_of_several_settings_is_attested_by_name_or_files(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", more=("tfjs-uint16",))
    refused = gate(capsys, folder, *MARGIN, "--attest", "statement.json")
    assert refused == (
        2,
        "",
        (
            "quantlab: --attest is about one artifact, and 'tfjs-uint8', 'tfjs-uint16' are judged; name one with "
            "--setting, or the files that you ship with --artifact\n"
        ),
    )
    assert not Path("statement.json").exists()
    shipped = artifact(tmp_path / "shipped", {**BYTES, "name.txt": b"tfjs-uint16"})
    assert gate(capsys, folder, *MARGIN, "--attest", "files.json", "--artifact", shipped)[0] == 0
    assert gate(capsys, folder, *MARGIN, "--attest", "named.json", "--setting", "tfjs-uint16")[0] == 0
    assert Path("files.json").read_text() == Path("named.json").read_text()
    figures = json.loads(Path("named.json").read_text())["predicate"]["quantlab"]
    assert [setting["setting"] for setting in figures["settings"]] == ["tfjs-uint16"]
    assert figures["plan"]["settings_of_study"] == 2


@pytest.mark.parametrize(
    ("lost", "status"), [pytest.param(0, 2, id="fits"), pytest.param(200, 1, id="a verdict against it stays")]
)
def test_files_that_changed_since_are_not_attested(lost, status, tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", lost=lost)
    variant = Store(folder).read_study().trials[0].variant
    (variant.path / "graph.bin").write_bytes(b"a grapH")
    done, printed, error = gate(capsys, folder, *MARGIN, "--attest", "statement.json")
    assert (done, printed.split()[:2]) == (status, ["digits", "tfjs-uint8"])
    assert error.startswith("quantlab: 'statement.json' is not written: ")
    assert f"its SHA-256 is {artifact_sha256(variant.path)}, and the study has {variant.sha256}" in error
    assert not Path("statement.json").exists()


def test_a_conversion_that_failed_has_nothing_to_attest(tmp_path, capsys):
    write_study(tmp_path / "digits.study", LABELS, answers(LABELS), {("tfjs-uint8", "python"): "it crashed"})
    study = Store(tmp_path / "digits.study").read_study()
    trials = tuple(replace(trial, variant=None) for trial in study.trials)
    Store(tmp_path / "digits.study").write_study(replace(study, trials=trials))
    status, _, error = gate(capsys, "digits.study", *MARGIN, "--attest", "statement.json")
    assert (status, error) == (
        1,
        (
            "quantlab: 'statement.json' is not written: no artifact was made of the judged setting, so there is "
            "nothing to attest\n"
        ),
    )


def test_a_statement_that_cannot_be_written(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    Path("file").touch()
    status, printed, error = gate(capsys, folder, *MARGIN, "--attest", "file/statement.json")
    assert (status, error.endswith("name another file\n")) == (2, True)
    assert printed.startswith("digits  tfjs-uint8  FITS")


# Checked


def test_a_check_prints_the_verdict_and_needs_no_study(statement, capsys):
    shutil.rmtree("digits.study")
    row = "digits  tfjs-uint8  FITS  loses at most 0.15 pt, allowed 0.50\n"
    printed = f"{row}FITS: 1 of 1 setting\nTerms: quantlab glossary\n"
    assert gate(capsys, "--artifact", "shipped", "--attested", statement) == (0, printed, "")
    reports = ("--json", "verdict.json", "--junit", "verdict.xml", "--markdown", "verdict.md")
    assert gate(capsys, "--artifact", "shipped", "--attested", statement, *MARGIN, *reports) == (0, printed, "")
    assert json.loads(Path("verdict.json").read_text())["outcome"] == "fits"
    assert 'failures="0"' in Path("verdict.xml").read_text()
    assert "0.15" in Path("verdict.md").read_text()


def _swap(folder: Path) -> None:
    (folder / "weights/one.bin").rename(folder / "weights/x")
    (folder / "weights/two.bin").rename(folder / "weights/one.bin")
    (folder / "weights/x").rename(folder / "weights/two.bin")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            lambda folder: (folder / "graph.bin").write_bytes(b"A graph"),
            f"'graph.bin' has the SHA-256 {hashlib.sha256(b'A graph').hexdigest()}, and the statement has "
            f"{hashlib.sha256(b'a graph').hexdigest()}",
            id="one bit",
        ),
        pytest.param(
            lambda folder: (folder / "graph.bin").unlink(),
            f"'graph.bin' is missing, and the statement has {hashlib.sha256(b'a graph').hexdigest()}",
            id="a file less",
        ),
        pytest.param(
            lambda folder: (folder / "more.js").write_bytes(b""),
            f"'more.js' has the SHA-256 {hashlib.sha256(b'').hexdigest()}, and the statement has no such file",
            id="a file more",
        ),
        pytest.param(_swap, "'weights/one.bin' has the SHA-256", id="two files change places"),
        pytest.param(shutil.rmtree, "there is no artifact at 'shipped'", id="no files"),
    ],
)
def test_other_files_are_refused(change, says, statement, capsys):
    change(Path("shipped"))
    status, printed, error = gate(capsys, "--artifact", "shipped", "--attested", statement)
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert says in error


MORE = [
    pytest.param({"group2.bin": b"\0\1\2", "extra.txt": b""}, "'extra.txt', 'group2.bin'", id="a text and a copy"),
    pytest.param({".DS_Store": b"", "shards/.git/HEAD": b"x"}, "'.DS_Store', 'shards/.git/HEAD'", id="hidden files"),
]


@pytest.mark.parametrize(("more", "names"), MORE)
def test_files_that_are_not_served_are_no_part_of_what_is_attested(more, names, tmp_path, capsys):
    """Neither when the statement is written, nor when it is checked; a file by itself is shipped with its shards."""
    folder, shipped = study_of(tmp_path / "digits.study", files=WEB), artifact(tmp_path / "tam", WEB)
    says = (
        f"quantlab: 'tam' has files that do not belong to the artifact: {names}; remove them, or ship the artifact "
        f"from a folder of its own\n"
    )
    attest = (folder, *MARGIN, "--artifact", "tam", "--attest")
    assert gate(capsys, *attest, "statement.json")[0] == 0
    assert gate(capsys, "--artifact", "tam", "--attested", "statement.json")[0] == 0
    artifact(shipped, more)
    assert gate(capsys, *attest, "again.json") == (2, "", says)
    assert not Path("again.json").exists()
    assert gate(capsys, *attest[:-1]) == (2, "", says)
    assert gate(capsys, "--artifact", "tam", "--attested", "statement.json") == (2, "", says)
    assert gate(capsys, "--artifact", "tam/model.json", "--attested", "statement.json")[0] == 0


def test_linked_files_that_are_not_served(tmp_path):
    """A web server follows links; one that leads back ends, and one that leads nowhere is a file, too."""
    shipped, elsewhere = artifact(tmp_path / "tam", WEB), artifact(tmp_path / "elsewhere", {"secret.txt": b""})
    assert files_not_served(shipped) == ()
    (shipped / "again").symlink_to(shipped)
    (shipped / "more").symlink_to(elsewhere)
    (shipped / "copy.bin").symlink_to(shipped / "shards/group1.bin")
    (shipped / "nowhere").symlink_to(tmp_path / "gone")
    assert files_not_served(shipped) == ("copy.bin", "more/secret.txt", "nowhere")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        pytest.param(("tfjs-uint8",), None, id="the setting of the artifact"),
        pytest.param(("tfjs-*",), None, id="a glob, of which the artifact is one"),
        pytest.param(("all",), None, id="all, of which the artifact is one"),
        pytest.param(("tfjs-uint8", "tfjs-uint16"), "'tfjs-uint16'", id="another setting, too"),
        pytest.param(("tfjs-uint8,tfjs-uint16",), "'tfjs-uint16'", id="another setting behind a comma"),
    ],
)
def test_no_named_setting_is_dropped(asked, says, tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", more=("tfjs-uint16",))
    shipped = artifact(tmp_path / "shipped", {**BYTES, "name.txt": b"tfjs-uint8"})
    named = [word for name in asked for word in ("--setting", name)]
    status, _, error = gate(capsys, folder, *MARGIN, *named, "--artifact", "shipped")
    wanted = (
        ""
        if says is None
        else (
            f"quantlab: 'shipped' is the artifact of 'tfjs-uint8', and {says} must fit, too; leave that setting out, "
            f"or judge it without --artifact\n"
        )
    )
    assert (status, error) == (0 if says is None else 2, wanted)
    assert gate(capsys, folder, *MARGIN, "--artifact", shipped, "--attest", "statement.json")[0] == 0
    status, _, error = gate(capsys, "--artifact", "shipped", "--attested", "statement.json", *named)
    wanted = (
        ""
        if says is None
        else (
            "quantlab: 'statement.json' is about the setting tfjs-uint8, and tfjs-uint16 is asked; give the statement "
            "of such a setting\n"
        )
    )
    assert (status, error) == (0 if says is None else 2, wanted)


def test_a_single_file_may_be_renamed(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"weights")
    attestation = attested(artifact_files(tmp_path / "model.bin"))
    assert list(attestation.files) == ["model.bin"]
    (tmp_path / "model.bin").rename(tmp_path / "renamed.bin")
    refuse_other_files(attestation, tmp_path / "renamed.bin", Path("statement.json"))
    (tmp_path / "renamed.bin").write_bytes(b"Weights")
    with pytest.raises(ArtifactError, match=r"'renamed.bin' has the SHA-256 \w{64}, and the statement has \w{64}"):
        refuse_other_files(attestation, tmp_path / "renamed.bin", Path("statement.json"))


@pytest.mark.parametrize(
    ("options", "policy", "says"),
    [
        pytest.param(("--max-accuracy-loss", "1pt"), "", None, id="a larger loss"),
        pytest.param((), "", None, id="no budget"),
        pytest.param((), 'max_accuracy_loss = "0.5pt"\nsettings = ["tfjs-*"]', None, id="the same policy"),
        pytest.param(("--setting", "tfjs-uint8"), "", None, id="the setting alone"),
        pytest.param((), 'max_accuracy_loss = "1pt"\nstudies = ["elsewhere/digits.study"]', None, id="the same study"),
        pytest.param(
            ("--max-accuracy-loss", "0.4pt"),
            "",
            "'statement.json' was judged by another budget: max_accuracy_loss is 0.5pt there, and 0.4pt is asked; "
            "judge the study by this budget, and write the statement again with 'quantlab gate --attest'",
            id="a smaller loss",
        ),
        pytest.param(
            ("--max-accuracy-loss", "0.5pt", "--max-size", "1MB"),
            "",
            "max_size is not limited there, and 1000000 is asked",
            id="a limit more",
        ),
        pytest.param(
            (),
            'max_accuracy_loss = "0.5pt"\ntarget = "web"',
            "target is any there, and web is asked",
            id="another target in the policy",
        ),
        pytest.param(("--target", "web"), "", "the budget sets no limit", id="a target without a limit"),
        pytest.param(
            ("--setting", "tflite-*"),
            "",
            "'statement.json' is about the setting tfjs-uint8, and tflite-* is asked; give the statement of such a "
            "setting",
            id="another setting",
        ),
        pytest.param(
            (),
            'max_accuracy_loss = "0.5pt"\nstudies = ["easy.study"]',
            "'statement.json' is about the study 'digits', and the policy names easy; give the statement of such a "
            "study",
            id="another study",
        ),
        pytest.param(
            ("--lock", "quantlab.lock"),
            "",
            "--lock needs a study, and --attested reads none; leave one of them out",
            id="accepted figures",
        ),
        pytest.param(
            ("digits.study",),
            "",
            "--attested needs no study, and 'digits.study' is named; leave one of them out",
            id="a study",
        ),
        pytest.param(
            ("--attest", "again.json"),
            "",
            "--attest needs a study, and --attested reads none; leave one of them out",
            id="another statement",
        ),
    ],
)
def test_what_is_asked(options, policy, says, statement, capsys):
    Path("quantlab.toml").write_text(f"[budget]\n{policy}\n")
    status, printed, error = gate(capsys, "--artifact", "shipped", "--attested", statement.name, *options)
    assert (status, bool(printed), error.count("\n")) == ((0, True, 0) if says is None else (2, False, 1))
    assert (says or "") in error


RULES = {
    "looks": ("--looks", "any"),
    "a plan": ("--planned-n", "2000"),
    "an order": ("--order", "tfjs-uint8"),
    "no order": ("--order", "none"),
}


@pytest.mark.parametrize(
    ("judged", "asked", "says"),
    [
        *(pytest.param(rule, rule, None, id=f"{name}, as judged") for name, rule in RULES.items()),
        *(pytest.param(rule, (), None, id=f"{name} is not asked for") for name, rule in RULES.items()),
        pytest.param((), RULES["looks"], "looks is not set there, and any is asked", id="looks"),
        pytest.param((), RULES["a plan"], "planned_n is not set there, and 2000 is asked", id="a plan"),
        pytest.param((), RULES["an order"], "order is not set there, and tfjs-uint8 is asked", id="an order"),
        pytest.param((), RULES["no order"], "order is not set there, and none is asked", id="no order"),
        pytest.param(
            RULES["looks"],
            RULES["a plan"],
            "planned_n is not set there, and 2000 is asked",
            id="a plan, where it was judged for any look",
        ),
        pytest.param(
            RULES["a plan"], ("--planned-n", "3000"), "planned_n is 2000 there, and 3000 is asked", id="another plan"
        ),
        pytest.param(
            RULES["an order"], RULES["no order"], "order is tfjs-uint8 there, and none is asked", id="another order"
        ),
    ],
)
@pytest.mark.parametrize("margin", [MARGIN, ()], ids=["a limit, too", "the limit of the statement"])
def test_the_rules_that_are_asked_for(judged, asked, says, margin, tmp_path, capsys):
    study_of(tmp_path / "digits.study")
    assert gate(capsys, "digits.study", *MARGIN, *judged, "--attest", "statement.json")[0] == 0
    check = ("--artifact", artifact(tmp_path / "shipped"), "--attested", "statement.json", *margin)
    status, printed, error = gate(capsys, *check, *asked)
    wanted = f"quantlab: 'statement.json' was judged by another budget: {says}; judge the study by this budget, and "
    wanted += "write the statement again with 'quantlab gate --attest'\n"
    assert (status, bool(printed), error) == ((0, True, "") if says is None else (2, False, wanted))


def test_a_statement_without_files_is_no_check(statement, capsys):
    assert gate(capsys, "--attested", statement) == (
        2,
        "",
        "quantlab: --attested checks files to be shipped; name them with --artifact\n",
    )


def test_one_study_for_one_statement(tmp_path, capsys):
    one, two = study_of(tmp_path / "one.study"), study_of(tmp_path / "two.study")
    status, _, error = gate(capsys, one, two, *MARGIN, "--attest", "statement.json")
    assert (status, error.startswith("quantlab: --attest needs exactly one study, and ")) == (2, True)


# Malformed


def _subject(entry: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: {**document, "subject": entry}


def _predicate(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: {**document, "predicate": {**document["predicate"], **changed}}


def _figures(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: _predicate(quantlab={**document["predicate"]["quantlab"], **changed})(document)


def _budget(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    def change(document: dict[str, Any]) -> Any:
        budget, *others = document["predicate"]["configuration"]
        texts = {**budget["annotations"], **changed}
        compact = json.dumps(texts, sort_keys=True, separators=(",", ":")).encode()
        changed_budget = {**budget, "annotations": texts, "digest": {"sha256": hashlib.sha256(compact).hexdigest()}}
        return _predicate(configuration=[changed_budget, *others])(document)

    return change


def _untouched_digest(document: dict[str, Any]) -> Any:
    changed = copy.deepcopy(document)
    changed["predicate"]["configuration"][0]["annotations"]["max_accuracy_loss"] = "0.4pt"
    return changed


def _outcome(outcome: str) -> Callable[[dict[str, Any]], Any]:
    def change(document: dict[str, Any]) -> Any:
        changed = copy.deepcopy(document)
        changed["predicate"]["quantlab"]["settings"][0]["judgements"][0]["outcome"] = outcome
        return changed

    return change


DIGEST = {"sha256": "0" * 64}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(lambda _: [], "it is not a table of JSON", id="a list"),
        pytest.param(
            lambda document: {**document, "_type": "https://in-toto.io/Statement/v0.1"},
            "its _type is 'https://in-toto.io/Statement/v0.1' and must be https://in-toto.io/Statement/v1",
            id="another type",
        ),
        pytest.param(
            lambda document: {**document, "predicateType": "https://slsa.dev/provenance/v1"},
            f"its predicateType is 'https://slsa.dev/provenance/v1' and must be {PREDICATE_TYPE}",
            id="another predicate",
        ),
        pytest.param(
            lambda _: {"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": []},
            f"its _type is 'None' and must be {STATEMENT_TYPE}",
            id="an envelope",
        ),
        pytest.param(_subject([]), "its subject is empty", id="no files"),
        pytest.param(_subject({}), "its subject is not a list", id="a subject that is a table"),
        pytest.param(_subject([{"name": "a"}]), "a digest is not a table of JSON", id="no digest"),
        pytest.param(
            _subject([{"name": "a", "digest": {"sha512": "0" * 128}}]),
            "the SHA-256 of 'a' is missing or not 64 hexadecimal digits",
            id="another digest",
        ),
        pytest.param(
            _subject([{"name": "a", "digest": {"sha256": "0" * 63}}]),
            "the SHA-256 of 'a' is missing or not 64 hexadecimal digits",
            id="a digit less",
        ),
        pytest.param(
            _subject([{"name": "../../etc/passwd", "digest": DIGEST}]),
            "its subject has the name '../../etc/passwd', which is no file of an artifact",
            id="a name that leads out",
        ),
        pytest.param(
            _subject([{"name": "/etc/passwd", "digest": DIGEST}]),
            "its subject has the name '/etc/passwd', which is no file of an artifact",
            id="an absolute name",
        ),
        pytest.param(
            _subject([{"digest": DIGEST}]),
            "the name 'None', which is no file of an artifact",
            id="a file without a name",
        ),
        pytest.param(_subject([{"name": "a", "digest": DIGEST}] * 2), "its subject has 'a' twice", id="a file twice"),
        pytest.param(_predicate(result="passed"), "its result is 'passed' and must be PASSED", id="another result"),
        pytest.param(_predicate(result=["PASSED"]), "its result is '['PASSED']' and must be", id="a list of results"),
        pytest.param(
            _predicate(result="FAILED"),
            "it contradicts itself: its result is FAILED, and its settings are 'fits'",
            id="failed, and fits",
        ),
        pytest.param(
            _outcome("breaks"),
            "it contradicts itself: its result is PASSED, and its settings are 'breaks'",
            id="passed, and breaks",
        ),
        pytest.param(_outcome("perhaps"), "its settings are incomplete or damaged", id="no outcome"),
        pytest.param(
            _predicate(failedTests=["other"]),
            "it contradicts itself: its tests have other outcomes than its settings",
            id="a test that failed",
        ),
        pytest.param(_predicate(quantlab=None), "its predicate's 'quantlab' is not a table", id="of another tool"),
        pytest.param(_figures(schema=2), "it has schema 2, and this quantlab reads 1", id="of a later version"),
        pytest.param(_figures(settings=[]), "it judges no setting", id="no setting"),
        pytest.param(_figures(settings=[{"setting": "a"}]), "its settings are incomplete", id="half a setting"),
        pytest.param(
            _figures(settings=[{"setting": "a", "quantized": True, "size_bytes": 1, "judgements": []}]),
            "it judges no setting",
            id="a setting that was not judged",
        ),
        pytest.param(_predicate(configuration=[]), "its configuration has no 'model'", id="no configuration"),
        pytest.param(_untouched_digest, "its budget does not have the SHA-256 beside it", id="another budget"),
        pytest.param(_budget(max_loss="1pt"), "the budget's 'max_loss' is not known", id="a limit that is not known"),
        pytest.param(
            _budget(max_accuracy_loss="1"), "its budget is refused: max_accuracy_loss '1' has no unit", id="no unit"
        ),
        pytest.param(_budget(confidence="high"), "could not convert string to float", id="no confidence"),
    ],
)
def test_malformed(change, says, statement, capsys):
    statement.write_text(json.dumps(change(json.loads(statement.read_text()))))
    status, printed, error = gate(capsys, "--artifact", "shipped", "--attested", statement.name)
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert error.startswith("quantlab: 'statement.json' cannot be read (")
    assert error.endswith("; write it again with 'quantlab gate --attest'\n")
    assert says in error


# Figures that contradict each other


def _judged(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda figures: figures["settings"][0]["judgements"][0].update(changed)


def _lost(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda figures: figures["settings"][0]["judgements"][0]["loss"].update(changed)


def _set(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda figures: figures["settings"][0].update(changed)


def _planned(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda figures: figures["plan"].update(changed)


def _by_numbers(**changed: Any) -> Callable[[dict[str, Any]], None]:
    """Of a metric that counts no answers, so that nothing but the bounds says how far the loss may be."""
    return _lost(discordant=None, **changed)


def _in_another_runtime(figures: dict[str, Any]) -> None:
    figures["settings"][0]["judgements"].append({**figures["settings"][0]["judgements"][0], "runtime": "node-wasm"})
    figures["settings"][0]["judgements"][1]["loss"] = None
    figures["settings"][0]["judgements"][1].update(n=1_000, margin=None, outcome="inconclusive")


LOSS_OF_3 = {"loss": 3.0, "candidate": 97.0}
"""Of the reference's 100 %."""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            _by_numbers(**LOSS_OF_3, lower=2.0, upper=4.0),
            "the outcome is 'fits', and the loss 3 between 2 and 4, allowed 0.5, is 'breaks', of tfjs-uint8 in python",
            id="a loss beyond the margin",
        ),
        pytest.param(
            _by_numbers(upper=0.7),
            "the outcome is 'fits', and the loss 0 between -0.149674 and 0.7, allowed 0.5, is 'inconclusive', of "
            "tfjs-uint8 in python",
            id="an upper bound beyond the margin",
        ),
        pytest.param(
            _by_numbers(**LOSS_OF_3),
            "the loss is 3, and its bounds are -0.149674 and 0.149674, of tfjs-uint8 in python",
            id="a loss beyond its bounds",
        ),
        pytest.param(
            _by_numbers(lower=0.1),
            "the loss is 0, and its bounds are 0.1 and 0.149674, of tfjs-uint8 in python",
            id="a lower bound beyond the loss",
        ),
        pytest.param(
            _lost(loss=3.0),
            "the loss is 3, and the metric 100 before and 100 after, of tfjs-uint8 in python",
            id="a loss without its metric",
        ),
        pytest.param(
            _lost(upper=0.1),
            "the bounds are -0.149674 and 0.1, and 0 answers that became wrong and 0 right give -0.149674 and "
            "0.149674, of tfjs-uint8 in python",
            id="a bound that does not follow from the counts",
        ),
        pytest.param(
            _lost(discordant=3_000),
            "3000 of 2000 answers changed, and the loss is 0, of tfjs-uint8 in python",
            id="more changes than samples",
        ),
        pytest.param(
            _lost(discordant=1),
            "1 of 2000 answers changed, and the loss is 0, of tfjs-uint8 in python",
            id="an odd number of changes without a loss",
        ),
        pytest.param(
            _lost(confidence=0.9),
            "the confidence is 0.9, and that of the budget 0.95, of tfjs-uint8 in python",
            id="less confidence than the budget",
        ),
        pytest.param(
            _judged(margin=5.0),
            "the judgement has the margin 5, and the budget allows 0.5, of tfjs-uint8 in python",
            id="another margin than the budget's",
        ),
        pytest.param(
            _judged(margin=None),
            "the judgement has no margin, and the budget allows 0.5, of tfjs-uint8 in python",
            id="no margin",
        ),
        pytest.param(
            _judged(loss=None, margin=None),
            "the outcome is 'fits', and there is no loss, of tfjs-uint8 in python",
            id="no loss",
        ),
        pytest.param(
            _judged(n=100_000), "n is 100000, and 2000 of the loss, of tfjs-uint8 in python", id="more samples"
        ),
        pytest.param(
            _lost(n=100_000),
            "n is 2000, and 100000 of the loss, of tfjs-uint8 in python",
            id="more samples of the loss",
        ),
        pytest.param(
            _lost(groups=0), "n is 2000, and there are 0 groups, of tfjs-uint8 in python", id="groups without samples"
        ),
        pytest.param(
            _judged(missing=5),
            "5 samples are missing, and the outcome is 'fits', of tfjs-uint8 in python",
            id="missing",
        ),
        pytest.param(
            _judged(setting="tfjs-uint16"),
            "the setting tfjs-uint8 has a judgement of tfjs-uint16",
            id="a judgement of another setting",
        ),
        pytest.param(_planned(settings_judged=0), "0 settings were judged, and 1 are there", id="fewer settings"),
        pytest.param(
            _planned(look={"kind": "any", "number": 1, "planned_n": None}),
            "the look is 'any', and the bounds are of another",
            id="another look than that of the bounds",
        ),
    ],
)
def test_figures_that_contradict_each_other(change, says, statement, capsys):
    document = json.loads(statement.read_text())
    change(document["predicate"]["quantlab"])
    statement.write_text(json.dumps(document))
    assert gate(capsys, "--artifact", "shipped", "--attested", statement.name) == (
        2,
        "",
        (
            f"quantlab: 'statement.json' cannot be read (it contradicts itself: {says}); write it again with "
            f"'quantlab gate --attest'\n"
        ),
    )


def test_a_hash_of_the_artifact_that_is_not_that_of_its_files(statement, capsys):
    document = json.loads(statement.read_text())
    document["predicate"]["quantlab"]["artifact_sha256"] = "0" * 64
    statement.write_text(json.dumps(document))
    assert gate(capsys, "--artifact", "shipped", "--attested", statement.name) == (
        2,
        "",
        (
            f"quantlab: 'statement.json' contradicts itself: its files have the SHA-256 "
            f"{artifact_sha256(Path('shipped'))} together, and it names {'0' * 64}; write it again with 'quantlab gate "
            f"--attest'\n"
        ),
    )


@pytest.mark.parametrize(
    ("added", "says"),
    [
        pytest.param(lambda settings: settings.append(settings[0]), "a setting is there twice", id="a setting twice"),
        pytest.param(
            lambda settings: settings[0]["judgements"].append(settings[0]["judgements"][0]),
            "the setting tfjs-uint8 is judged twice in a runtime",
            id="a runtime twice",
        ),
    ],
)
def test_what_is_judged_twice(added, says, statement, capsys):
    document = json.loads(statement.read_text())
    added(document["predicate"]["quantlab"]["settings"])
    document["predicate"]["passedTests"] *= 2
    statement.write_text(json.dumps(document))
    status, _, error = gate(capsys, "--artifact", "shipped", "--attested", statement.name)
    assert (status, f"(it contradicts itself: {says}); " in error) == (2, True)


def test_numbers_of_samples_that_contradict_each_other(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study", 200)
    assert gate(capsys, folder, *MARGIN, "--attest", "statement.json")[0] == 3
    document = json.loads(Path("statement.json").read_text())
    _in_another_runtime(document["predicate"]["quantlab"])
    document["predicate"]["failedTests"].append("digits.tfjs-uint8.node-wasm")
    Path("statement.json").write_text(json.dumps(document))
    artifact(tmp_path / "shipped")
    status, _, error = gate(capsys, "--artifact", "shipped", "--attested", "statement.json")
    assert (status, "it contradicts itself: n is 1000 and 200" in error) == (2, True)


def test_a_size_beyond_the_budget(tmp_path, capsys):
    folder = study_of(tmp_path / "digits.study")
    assert gate(capsys, folder, *MARGIN, "--max-size", "20KB", "--attest", "statement.json")[0] == 0
    document = json.loads(Path("statement.json").read_text())
    _set(size_bytes=30_000)(document["predicate"]["quantlab"])
    Path("statement.json").write_text(json.dumps(document))
    artifact(tmp_path / "shipped")
    status, _, error = gate(capsys, "--artifact", "shipped", "--attested", "statement.json")
    says = "the outcome is 'fits', and the size is 30000 bytes, allowed 20000, of tfjs-uint8 in python"
    assert (status, says in error) == (2, True)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="counted answers"),
        pytest.param(("--looks", "any"), id="any number of looks"),
        pytest.param(("--planned-n", "5000"), id="a plan"),
        pytest.param(("--metric", "macro-f1"), id="a bootstrap"),
        pytest.param(("--metric", "auc"), id="ranks"),
        pytest.param(("--max-accuracy-loss", "2%"), id="a relative loss"),
        pytest.param(("--max-rmse", "1", "--max-class-loss", "5pt"), id="more limits"),
        pytest.param(("--confidence", "0.51"), id="little confidence"),
    ],
)
@pytest.mark.parametrize("lost", [0, 12, 400])
def test_no_figures_of_the_gate_contradict_each_other(options, lost, tmp_path, capsys):
    """A check has the status of the gate, and its line about the setting."""
    study_of(tmp_path / "digits.study", lost=lost)
    status, printed, _ = gate(capsys, "digits.study", *MARGIN, *options, "--attest", "statement.json")
    artifact(tmp_path / "shipped")
    checked, again, error = gate(capsys, "--artifact", "shipped", "--attested", "statement.json")
    assert (checked, again.splitlines()[0], error) == (status, printed.splitlines()[0], "")


@pytest.mark.parametrize(
    ("limits", "n", "shown"),
    [
        pytest.param(MARGIN, 2_000, "FITS  loses at most 0.15 pt, allowed 0.50\n", id="the loss"),
        pytest.param(("--max-size", "20KB"), 2_000, "FITS  10.0 KB gzipped, allowed 20.0 KB\n", id="the size"),
        pytest.param(
            MARGIN,
            200,
            "INCONCLUSIVE  too few samples: 200 of at least 598; loses at most 1.49 pt, allowed 0.50\n",
            id="too few samples",
        ),
        pytest.param(
            ("--min-agreement", "99%"),
            2_000,
            "FITS  keeps the budget; the statement has no figures of what decided it\n",
            id="a limit without figures",
        ),
    ],
)
def test_reasons_are_told_by_the_figures(limits, n, shown, tmp_path, capsys):
    """Not by the text of the statement, which may be another."""
    gate(capsys, study_of(tmp_path / "digits.study", n), *limits, "--attest", "statement.json")
    document = json.loads(Path("statement.json").read_text())
    _judged(reason="gains at least 3.00 pt")(document["predicate"]["quantlab"])
    Path("statement.json").write_text(json.dumps(document))
    artifact(tmp_path / "shipped")
    check = ("--artifact", "shipped", "--attested", "statement.json", "--markdown", "verdict.md")
    printed = gate(capsys, *check)[1]
    assert printed.splitlines(keepends=True)[0] == f"digits  tfjs-uint8  {shown}"
    assert "gains" not in printed + Path("verdict.md").read_text()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "Expecting value", id="empty"),
        pytest.param(b"\xff\xfe\xfa", "codec can't decode", id="no text"),
        pytest.param(b"[" * 100_000, "nested too deeply", id="nested deeply"),
        pytest.param(b'{"_type": "a", "_type": "b"}', "it holds a key twice", id="a key twice"),
        pytest.param(b'{"_type": NaN}', "it holds NaN, which is no JSON", id="NaN"),
        pytest.param(b" " * 4_000_001, "it has more than 4,000,000 bytes", id="too large"),
    ],
)
def test_bytes_that_are_no_statement(content, says, statement, capsys):
    statement.write_bytes(content)
    status, printed, error = gate(capsys, "--artifact", "shipped", "--attested", statement.name)
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert says in error


@pytest.mark.parametrize(
    ("path", "says"),
    [
        pytest.param("none.json", "there is no statement 'none.json'", id="not there"),
        pytest.param("shipped", "'shipped' cannot be read", id="a folder"),
        pytest.param("/dev/zero", "it has more than 4,000,000 bytes", id="endless"),
    ],
)
@pytest.mark.usefixtures("statement")
def test_no_file(path, says, capsys):
    status, printed, error = gate(capsys, "--artifact", "shipped", "--attested", path)
    assert (status, printed, error.count("\n")) == (2, "", 1)
    assert says in error


# Laws

few = settings(max_examples=20)
"""Each example writes and reads files."""

NAMES = st.text("abcdefgh-_. é", min_size=1, max_size=8).filter(lambda name: name not in {".", ".."})
HASHES = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
FLOATS = st.floats(allow_nan=False)


@st.composite
def losses(draw: st.DrawFn, n: int, confidence: float) -> Loss:
    """Of counted answers with their own bounds, or of numbers with bounds of any width around it."""
    metric: dict[str, Any] = {"metric": "top1", "direction": "higher", "n": n, "confidence": confidence}
    if draw(st.booleans()):
        wrong, right = draw(st.integers(0, n // 2)), draw(st.integers(0, n // 2))
        loss = 100 * (wrong - right) / n
        lower, upper = (100 * bound for bound in loss_bounds(wrong, right, n=n, confidence=confidence))
        counted = {"discordant": wrong + right, "p_mcnemar": draw(st.none() | st.floats(0, 1))}
        return Loss(
            **metric,
            unit="pt",
            reference=75.0,
            candidate=75 - loss,
            loss=loss,
            lower=lower,
            upper=upper,
            method="exact",
            **counted,
        )
    reference, candidate = draw(st.floats(1, 1e9)), draw(st.floats(-1e9, 1e9))
    loss, width = reference - candidate, st.floats(0, math.inf)
    return Loss(
        **metric,
        unit="pt",
        reference=reference,
        candidate=candidate,
        loss=loss,
        lower=loss - draw(width),
        upper=loss + draw(width),
        method=draw(NAMES),
    )


BUDGETS = st.builds(
    Budget,
    max_accuracy_loss=st.floats(0, 100).map(lambda loss: f"{loss:.9f}pt") | st.just("0.5%"),
    max_class_loss=st.none() | st.floats(0, 100).map(lambda loss: f"{loss:.9f}pt"),
    max_size=st.none() | st.integers(1, 2**53),
    min_agreement=st.none() | st.floats(1.5, 100),
    min_sqnr=st.none() | st.lists(st.floats(-300, 300), min_size=1, max_size=1),
    max_rmse=st.none() | st.floats(0, 1e300).map(lambda limit: [f"out[3]={limit!r}"]),
    confidence=st.floats(0.51, 0.99),
    target=st.sampled_from(["any", "web"]),
    planned_n=st.none() | st.integers(1, 10**6),
    runtimes=st.none() | st.lists(NAMES, min_size=1).map(tuple),
    leave_out_non_finite=st.booleans(),
    allow_poor_reference=st.booleans(),
    allow_constant=st.lists(NAMES).map(tuple),
)


def _judgement(draw: st.DrawFn, budget: Budget, setting: str, runtime: str, n: int) -> Judgement:
    loss = draw(st.none() | losses(n, budget.confidence))
    assert budget.margin is not None
    margin = None if loss is None else budget.margin.of(loss)
    by_loss = "inconclusive" if loss is None or margin is None else decide(loss, margin)
    as_severe = [outcome for outcome in SEVERITY if SEVERITY[outcome] >= SEVERITY[by_loss]]
    outcome = draw(st.sampled_from(as_severe))
    return Judgement(setting, runtime, outcome, draw(st.text()), n=n, loss=loss, margin=margin)


@st.composite
def attestations(draw: st.DrawFn) -> Attestation:
    budget, n, name = draw(BUDGETS), draw(st.integers(10, 300)), draw(NAMES)
    runtimes = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    judgements = tuple(_judgement(draw, budget, name, runtime, n) for runtime in runtimes)
    setting = SettingVerdict(name, draw(st.booleans()), draw(st.integers(0, budget.size_bytes or 10**9)), judgements)
    verdict = Verdict(draw(NAMES), budget, (setting,), named=True, untested=tuple(draw(st.lists(NAMES))))
    allowed = {"fits": ["PASSED"], "breaks": ["FAILED"], "inconclusive": ["WARNED", "FAILED"]}[verdict.outcome]
    return Attestation(
        files=draw(st.dictionaries(NAMES, HASHES, min_size=1)),
        artifact_sha256=draw(HASHES),
        model_sha256=draw(HASHES),
        samples_sha256=draw(HASHES),
        verdict=verdict,
        result=draw(st.sampled_from(allowed)),
        plan=draw(st.dictionaries(NAMES, st.none() | st.integers() | NAMES | st.lists(st.integers()))),
    )


def attested(hashed: ArtifactFiles) -> Attestation:
    """That tfjs-uint8 fits, and has these files."""
    judgement = Judgement("tfjs-uint8", "python", "fits", "same top-1", n=10)
    verdict = Verdict(
        "digits", Budget(min_agreement="99%"), (SettingVerdict("tfjs-uint8", True, 1, (judgement,)),), True
    )
    return Attestation(hashed.files, hashed.sha256, "b" * 64, "c" * 64, verdict, "PASSED", {})


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("statements")


@few
@given(attestation=attestations())
def test_a_statement_survives_writing_and_reading(place, attestation):
    path = place / "statement.json"
    path.write_text(render_attestation(attestation), encoding="utf-8")
    assert read_attestation(path) == attestation
    assert render_attestation(read_attestation(path)) == path.read_text(encoding="utf-8")


@few
@given(attestation=attestations())
def test_a_statement_survives_tools_that_write_its_numbers_in_another_way(place, attestation):
    """As jq does, which writes 99.0 as 99."""

    def written(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: written(one) for key, one in reversed(value.items())}
        if isinstance(value, list):
            return [written(one) for one in value]
        return int(value) if isinstance(value, float) and math.isfinite(value) and value.is_integer() else value

    path = place / "written.json"
    path.write_text(json.dumps(written(json.loads(render_attestation(attestation)))))
    assert read_attestation(path) == attestation


CONTENTS = st.dictionaries(st.text("abcd", min_size=1, max_size=3), st.binary(max_size=20), min_size=1, max_size=4)


@few
@given(files=CONTENTS, data=st.data())
def test_a_changed_byte_in_any_file_is_found(place, files, data):
    folder = place / "artifact"
    shutil.rmtree(folder, ignore_errors=True)
    hashes = artifact_files(artifact(folder, files))
    assert hashes.files == {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    assert hashes.sha256 == artifact_sha256(folder)
    statement = attested(hashes)
    refuse_other_files(statement, folder, Path("statement.json"))
    name = data.draw(st.sampled_from(sorted(files)))
    changed = bytearray(files[name] + b"\0") if data.draw(st.booleans()) else bytearray(files[name])
    if changed == files[name]:
        changed = bytearray(files[name][:-1]) if data.draw(st.booleans()) and files[name] else changed + b"x"
        if data.draw(st.booleans()) and files[name]:
            at = data.draw(st.integers(0, len(files[name]) - 1))
            changed = bytearray(files[name])
            changed[at] ^= data.draw(st.integers(1, 255))
    (folder / name).write_bytes(changed)
    with pytest.raises(ArtifactError, match=f"'{name}' has the SHA-256"):
        refuse_other_files(statement, folder, Path("statement.json"))
    (folder / name).unlink()
    with pytest.raises(ArtifactError):
        refuse_other_files(statement, folder, Path("statement.json"))


@few
@given(data=st.data())
def test_malformed_statements_cost_a_sentence(place, data):
    """Any part of the document, replaced by anything."""
    document = json.loads(render_attestation(data.draw(attestations())))
    holder, key, part = None, None, document
    for _ in range(data.draw(st.integers(1, 6))):
        if not part or not isinstance(part, dict | list):
            break
        holder = part
        key = data.draw(st.sampled_from(sorted(part))) if isinstance(part, dict) else 0
        part = holder[key]
    holder[key] = data.draw(st.recursive(st.none() | st.booleans() | st.integers() | FLOATS | st.text(), st.lists))
    path = place / "malformed.json"
    path.write_text(json.dumps(document).replace("Infinity", "NaN"))
    with contextlib.suppress(StudyError, UsageError):  # any other exception fails
        told_by_figures(read_attestation(path))


@few
@given(budget=BUDGETS)
def test_a_budget_as_text_is_the_same_budget(budget):
    texts = budget_texts(budget)
    flags = {key: texts.pop(key) == "true" for key in ("leave_out_non_finite", "allow_poor_reference") if key in texts}
    confidence = float(texts.pop("confidence"))
    flags |= {key: int(texts.pop(key)) for key in ("planned_n",) if key in texts}
    names = {key: tuple(texts.pop(key)) for key in ("runtimes", "allow_constant") if key in texts}
    assert Budget(**texts, **flags, **names, confidence=confidence) == budget
