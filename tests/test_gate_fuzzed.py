"""Locks and policies that somebody mangled: the gate refuses them or judges by them, and none makes a study fit."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from mutations import changed_document, mutated
from verdict_fixtures import answers, flipped, write_study

from quantlab.cli import run
from quantlab.errors import QuantlabError
from quantlab.gate import read_lock

COUNT = 40
"""Mangled files of each kind."""

LABELS = np.arange(2_000) % 10
POLICY = {
    "max_accuracy_loss": "5pt",
    "max_size": 50_000,
    "min_agreement": "90%",
    "min_sqnr": ["1dB", "output_0[3]=0dB"],
    "max_rmse": 0.5,
    "confidence": 0.95,
    "runtimes": ["python", "node-wasm"],
    "settings": ["tfjs-uint8"],
    "studies": ["digits.study"],
}


def write(folder, n, lost):
    labels = LABELS[:n]
    outputs = answers(labels, flipped(n, range(lost)))
    runs = {("tfjs-uint8", "python"): outputs, ("tfjs-uint8", "node-wasm"): outputs}
    write_study(folder / "digits.study", labels, answers(labels), runs)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders with a study, a lock and what the gate says of both together."""
    root = tmp_path_factory.mktemp("fuzzed")
    for name, n, lost in (("fits", 2_000, 0), ("breaks", 2_000, 400), ("inconclusive", 45, 0), ("worse", 2_000, 40)):
        (root / name).mkdir()
        write(root / name, 2_000, 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root / name)
            assert run(["accept", "digits.study", "--max-accuracy-loss", "5pt", "--max-size", "50KB"]) == 0
        shutil.rmtree(root / name / "digits.study")
        write(root / name, n, lost)
    return root


STATUSES = {"fits": 0, "breaks": 1, "inconclusive": 3, "worse": 1}
"""Of the gate with the unmangled lock. `worse` keeps the budget, and loses more than was accepted."""


def gate(capsys, *arguments):
    status = run(["gate", *map(str, arguments)])
    said = capsys.readouterr()
    for sign in ("Traceback", "internal error"):
        assert sign not in said.out + said.err
    assert status in {0, 1, 2, 3}
    assert status != 2 or said.err.startswith("quantlab: ")
    return status, said


def mangled(document, seed):
    for number in range(COUNT):
        chance = random.Random(f"{seed} {number}")  # noqa: S311 (the same in every run)
        yield number, changed_document(document, chance, 1 if number % 5 else 3)


def accepted_upper(path):
    """The largest accepted loss of the setting in any runtime, as the gate reads the lock."""
    try:
        study = read_lock(path).studies["digits"]
        return max(loss.upper for loss in study.settings["tfjs-uint8"].losses.values())
    except (QuantlabError, KeyError, ValueError):
        return -np.inf


@pytest.mark.parametrize("name", STATUSES)
def test_locks(name, places, capsys, monkeypatch):
    monkeypatch.chdir(places / name)
    assert gate(capsys, "digits.study", "--lock", "quantlab.lock")[0] == STATUSES[name]
    statuses = []
    for number, document in mangled(json.loads(Path("quantlab.lock").read_text()), name):
        Path("mangled.lock").write_text(json.dumps(document))
        status, said = gate(capsys, "digits.study", "--lock", "mangled.lock")
        statuses.append(status)
        if name == "worse":  # it fits where more loss was accepted, and only there
            assert status != 0 or accepted_upper(Path("mangled.lock")) > 1, (number, said)
        elif name == "fits":  # it breaks where less than nothing was accepted, or a smaller artifact
            assert status in {0, 2, 3}, (number, said)
        else:
            assert status != 0, (number, said)
    assert statuses.count(2) > COUNT / 4  # most are refused
    assert len(set(statuses)) > 1


def test_locks_that_are_damaged_bytes(places, capsys, monkeypatch):
    monkeypatch.chdir(places / "breaks")
    for number, content in mutated(Path("quantlab.lock").read_bytes(), 1, COUNT):
        Path("mangled.lock").write_bytes(content)
        status, said = gate(capsys, "digits.study", "--lock", "mangled.lock")
        assert status in {1, 2}, (number, said)


def test_a_lock_with_a_key_twice(places, capsys, monkeypatch):
    """As after a merge by hand; whichever figure were taken, it might be the wrong one."""
    monkeypatch.chdir(places / "worse")
    text = Path("quantlab.lock").read_text()
    line = next(line for line in text.splitlines() if '"upper"' in line)
    Path("mangled.lock").write_text(text.replace(line, f'{line}\n"upper": 50.0,', 1))
    status, said = gate(capsys, "digits.study", "--lock", "mangled.lock")
    assert status == 2
    assert said.err == (
        "quantlab: the accepted figures 'mangled.lock' cannot be read (it holds a key twice); write them again with "
        "'quantlab accept'\n"
    )


def toml_value(value):
    """A value as TOML; what it has no way to write is as JSON has it, and so broken."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, float):
        return str(value)
    return json.dumps(value)


def toml(table):
    lines = ["[budget]", *(f"{json.dumps(key)} = {toml_value(value)}" for key, value in table.items())]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", ["fits", "breaks", "inconclusive"])
def test_policies(name, places, capsys, monkeypatch):
    monkeypatch.chdir(places / name)
    Path("policy.toml").write_bytes(toml(POLICY))
    assert gate(capsys, "--policy", "policy.toml")[0] == STATUSES[name]
    statuses = []
    for number, document in mangled(POLICY, f"policy {name}"):
        Path("policy.toml").write_bytes(toml(document) if isinstance(document, dict) else b"")
        status, said = gate(capsys, "--policy", "policy.toml")
        statuses.append(status)
        if status == 0 and name != "fits":  # without a limit that it breaks, which was removed with its line
            assert "max_accuracy_loss" not in document or "min_agreement" not in document, (number, said)
    assert statuses.count(2) > COUNT / 4
    assert len(set(statuses)) > 1
