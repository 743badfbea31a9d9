"""`quantlab glossary`, and that it explains every heading that a table prints."""

import json
import re
from collections.abc import Iterable

import pytest

from quantlab.cli import run
from quantlab.glossary import GLOSSARY, HINT, SYNONYMS, explained
from quantlab.types.inspection import ContractPort, ContractSheet, TriedCall
from quantlab_reports import VIEWS
from quantlab_reports.inspected import call_table, port_table
from quantlab_reports.views import (
    calibration,
    candidates,
    changes,
    costs,
    duplicates,
    layers,
    ops,
    outputs,
    runtimes,
    samples,
    split,
    trial_columns,
    weights,
)

VIEW_COLUMNS = (
    calibration.CALIBRATION,
    *(candidates.CANDIDATES, changes.CHANGES, costs.COSTS, duplicates.DUPLICATES, layers.LAYERS, ops.OPS),
    *(outputs.OUTPUTS, runtimes.RUNTIMES, samples.SAMPLES, split.SPLIT, weights.WEIGHTS),
)


def headings() -> set[str]:
    """Every heading of every view."""
    return {column.heading for view in VIEW_COLUMNS for column in view.columns} | set(_of_trials())


def _of_trials() -> Iterable[str]:
    """The columns of trials depend on the task, so all that the module can make are collected."""
    import inspect

    source = inspect.getsource(trial_columns)
    yield from (re.findall(r'Column\(\s*"([^"]+)"', source))


def test_every_heading_of_a_table_is_explained():
    assert {heading for heading in headings() if explained(heading) is None} == set()
    assert len(VIEW_COLUMNS) + 1 == len(VIEWS)


def test_every_heading_of_a_contract_sheet_is_explained():
    port = ContractPort("m", "input", "x", "x:0", 0, (None, 2), "int8", 0.0, 1.0, 4, 0.5, 3, "code = …")
    call = TriedCall("m", "python", "ranks", "no batch dimension", "another answer", "shape", 0.5, 1, 2)
    sheet = ContractSheet("m", "samples", own_samples=True, artifacts=(), ports=(port,), calls=(call,))
    columns = [*port_table(sheet).headings, *call_table(sheet).headings]
    assert len(columns) == 15
    told = {*columns, call.outcome, "same answer", "refused", "right call", "contract sheet"}
    assert {name for name in told if explained(name) is None} == set()


def test_terms_are_in_alphabetical_order_and_short():
    assert list(GLOSSARY) == sorted(GLOSSARY, key=str.casefold)
    for text in GLOSSARY.values():
        assert text.endswith(".")
        assert len(re.findall(r"\.(?= [A-Z]|$)", text)) <= 2


def test_synonyms_lead_to_terms_and_hide_none():
    assert set(SYNONYMS.values()) <= set(GLOSSARY)
    assert not {name.casefold() for name in SYNONYMS} & {name.casefold() for name in GLOSSARY}


def test_one_term(capsys):
    assert run(["glossary", "gzip kb"]) == 0
    assert capsys.readouterr().out == f"gzip: {GLOSSARY['gzip']}\n"


def test_all_terms(capsys):
    assert run(["glossary"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n{term} " in printed for term in GLOSSARY)
    assert printed.splitlines()[-1] == HINT


def test_terms_for_programs(capsys):
    assert run(["glossary", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == GLOSSARY
    assert run(["glossary", "points", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["percentage point"]


@pytest.mark.parametrize(
    ("term", "message"),
    [
        pytest.param("topp-1", "the glossary has no term 'topp-1'; did you mean 'top-1' or 'top-1 %'?", id="near"),
        pytest.param("zebra", "the glossary has no term 'zebra'; 'quantlab glossary' lists all terms", id="far"),
    ],
)
def test_an_unknown_term(term, message, capsys):
    assert run(["glossary", term]) == 2
    assert capsys.readouterr() == ("", f"quantlab: {message}\n")
