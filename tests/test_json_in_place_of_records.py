"""Any JSON value in place of a record of a study, or of a part of one, is read, or refused with a sentence.

The files of `test_mutations.py` differ from good ones in some bytes or values. Here whole documents have another shape,
such as a list, a number of 400 digits, or fifty thousand brackets.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import foreign_files as files
import pytest
from command_line import quantlab_in_process
from foreign_readers import READERS, Reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantlab.errors import QuantlabError, StudyError
from quantlab.gate import read_lock
from quantlab.seals import SEAL, sealed
from quantlab.store import Store
from quantlab.study import read_tuning
from quantlab.study.non_finite import KnownCause, SearchedCalibration, SpoiledRows
from quantlab.study.sensitivity_results import PartResult
from quantlab.study.tuning.acceptance import Measured
from quantlab.study.tuning.activations import SumsFile
from quantlab.types import OutputComparison, Study, Tuning

NO_RECORDS = {
    "a list": "[]",
    "a list with an object": "[{}]",
    "a number": "7",
    "a text": '"tune"',
    "null": "null",
    "true": "true",
    "an empty object": "{}",
    "lists in lists": "[" * 50_000 + "]" * 50_000,
    "objects in objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "a number of 400 digits": "9" * 400,
    "a number of 5,000 digits": "9" * 5_000,
    "half a pair of surrogates": '"\\ud800"',
    "two documents": "{} {}",
    "an empty file": "",
    "a part of an object": '{"schema": 1, "for',
}
"""Name → a file that holds no record of any kind."""

RECORDS = {
    reader: (name, READERS[reader])
    for reader, name in {
        "study": "study.json",
        "lock": "quantlab.lock",
        "decisions of a search": "tune.json",
        "record of outputs": "outputs.json of a run",
        "progress.json": "progress.json",
        **{name: f"{name}, alone" for name in files.RECORDS},
    }.items()
}
"""Reader → what it reads, and how."""

KINDS = [
    *{Study, OutputComparison, Tuning, Measured, SumsFile, PartResult, KnownCause, SearchedCalibration, SpoiledRows}
]
"""Kinds of record of which a study holds more than those above."""


@pytest.mark.parametrize("kind", sorted(KINDS, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in NO_RECORDS.items() if text != "{}"])
def test_no_record_is_damaged(kind, text, tmp_path):
    (tmp_path / "it.json").write_text(text)
    assert Store(tmp_path).read(tmp_path / "it.json", kind) is None
    assert Store(tmp_path).state(tmp_path / "it.json", kind) == "damaged"


DAMAGED = "is damaged, or another version of quantlab wrote it; run the same"
AGAIN = "command again, which reuses finished work"
NONE = (
    "is no file that 'quantlab tune' wrote, or it was changed, or another version wrote it; give the tune.json of a "
    "study"
)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in NO_RECORDS.items()])
def test_no_record_is_refused_with_the_same_sentence(text, tmp_path):
    """Whatever a file of a study holds, the sentence is that of a file that was cut short."""
    store = Store(tmp_path)
    readers = {
        "tune.json": (store.read_tuning, f"'{tmp_path / 'tune.json'}' {DAMAGED} 'quantlab tune' {AGAIN}"),
        "costs.json": (store.read_costs, f"'{tmp_path / 'costs.json'}' {DAMAGED} 'quantlab analyze' {AGAIN}"),
        "inside.json": (store.read_inside, f"'{tmp_path / 'inside.json'}' {DAMAGED} 'quantlab analyze' {AGAIN}"),
        "output_figures.json": (
            store.read_outputs,
            f"'{tmp_path / 'output_figures.json'}' {DAMAGED} 'quantlab analyze' {AGAIN}",
        ),
        "given.json": (
            lambda: read_tuning(tmp_path / "given.json"),
            f"'{tmp_path / 'given.json'}' {NONE}",
        ),
    }
    for name, (read, said) in readers.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(StudyError) as refused:
            read()
        assert str(refused.value) == said


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in NO_RECORDS.items()])
def test_no_study_and_no_accepted_figures(text, tmp_path):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(StudyError, match="run 'quantlab analyze' again"):
        Store(tmp_path).read_study()
    (tmp_path / "quantlab.lock").write_text(text)
    with pytest.raises(StudyError, match="write them again with 'quantlab accept'"):
        read_lock(tmp_path / "quantlab.lock")


@pytest.mark.parametrize("text", ["[]", "null", '{"formats": []}'])
def test_the_commands_that_read_decisions(text, tmp_path):
    files.study(tmp_path)
    (tmp_path / "tune.json").write_text(text)
    shutil.copy(tmp_path / "tune.json", tmp_path / "list.json")
    shown = quantlab_in_process("show", "candidates", ".", cwd=tmp_path)
    assert (shown.status, shown.stderr) == (2, f"quantlab: 'tune.json' {DAMAGED} 'quantlab tune' {AGAIN}\n")
    asked = ("convert", "none.keras", "--tuned", "list.json", "--setting", "tfjs-tuned", "--out", "made")
    made = quantlab_in_process(*asked, cwd=tmp_path)
    assert (made.status, made.stderr) == (
        2,
        f"quantlab: 'list.json' {NONE}\n",
    )


# Parts of records


KEYS = st.text(max_size=3) | st.sampled_from(["schema", "NaN", SEAL, "\x00", "\ud800"])
NUMBERS = st.integers(-2, 2) | st.sampled_from([10**400, -(10**20), 2**63, 0.5, 1e308])
TEXTS = st.text(max_size=4) | st.sampled_from(["NaN", "-Infinity", "top1", "../x", "\x00", "\ud800", "float32"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
"""JSON values."""


def places(document: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys and positions that lead to each value of a document; the document itself comes first."""
    yield before
    items = (
        document.items() if isinstance(document, dict) else enumerate(document if isinstance(document, list) else ())
    )
    for key, value in items:
        yield from places(value, (*before, key))


def exchanged(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The document with another value at a place."""
    if not place:
        return value
    changed = document.copy()
    changed[place[0]] = exchanged(document[place[0]], place[1:], value)
    return changed


def test_a_value_is_exchanged():
    document = {"a": [1, {"b": 2}], "c": 3}
    assert list(places(document)) == [(), ("a",), ("a", 0), ("a", 1), ("a", 1, "b"), ("c",)]
    assert exchanged(document, ("a", 1, "b"), []) == {"a": [1, {"b": []}], "c": 3}
    assert document == {"a": [1, {"b": 2}], "c": 3}


@pytest.fixture(scope="module", params=RECORDS)
def record(request, tmp_path_factory) -> tuple[Reader, Path, Any]:
    """A reader, a good file, and what that holds."""
    reader = RECORDS[request.param][1]
    file = reader.make(tmp_path_factory.mktemp("record"))
    return reader, file, json.loads(file.read_text())


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_another_value_in_place_of_a_part(record, data):
    """Half of the values take the place of the whole document, or of one of its parts with parts of their own."""
    reader, file, document = record
    every = list(places(document))
    place = data.draw(st.sampled_from(every) | st.sampled_from([one for one in every if len(one) < 2]))
    changed = exchanged(document, place, data.draw(VALUES))
    if isinstance(changed, dict) and SEAL in changed and place != (SEAL,):
        changed = sealed({key: value for key, value in changed.items() if key != SEAL})
    file.write_text(json.dumps(changed))
    with contextlib.suppress(QuantlabError):  # any other exception is an internal error
        reader.read(file)
