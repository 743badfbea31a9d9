"""The study on disk: keys, complete files, numbers that JSON lacks, and the lock for writing."""

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_fixtures import a_study

from quantlab.errors import StudyError
from quantlab.store import SCHEMA, Store, find_latest, json_number, key_of, write_json
from quantlab.types import Failure, Interval, Scores, Timing

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
parts = st.dictionaries(st.text(), plain, max_size=5)


# Keys


@given(parts)
def test_a_key_is_sixteen_hexadecimal_digits_whatever_the_order(given_parts):
    key = key_of(given_parts)
    assert len(key) == 16
    assert set(key) <= set("0123456789abcdef")
    assert key == key_of(dict(reversed(list(given_parts.items()))))


@given(parts, parts)
def test_keys_differ_where_what_they_stand_for_differs(one, other):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key_of(one) == key_of(other)) is same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 2, "b": 1}, id="values change places"),
        pytest.param({"a": ["b", "c"]}, {"a": ["c", "b"]}, id="a list in another order"),
        pytest.param({"a": "1"}, {"a": 1}, id="text and number"),
        pytest.param({"a": None}, {}, id="nothing and not there"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, id="deep inside"),
    ],
)
def test_a_key_tells_apart(one, other):
    assert key_of(one) != key_of(other)


# Whole files


def test_json_is_written_with_its_folders(tmp_path):
    write_json(tmp_path / "deep" / "down" / "it.json", {"name": "größer", "n": 1})
    text = (tmp_path / "deep" / "down" / "it.json").read_text(encoding="utf-8")
    assert text == '{\n "name": "größer",\n "n": 1\n}\n'


@pytest.mark.parametrize(
    ("document", "error"),
    [
        pytest.param({"first": 1, "then": math.nan}, ValueError, id="NaN"),
        pytest.param({"first": 1, "then": -math.inf}, ValueError, id="infinity"),
        pytest.param({"first": 1, "then": object()}, TypeError, id="no JSON at all"),
    ],
)
def test_what_cannot_be_written_leaves_what_was_there(document, error, tmp_path):
    file = tmp_path / "it.json"
    write_json(file, {"old": True})
    with pytest.raises(error):
        write_json(file, document)
    assert json.loads(file.read_text()) == {"old": True}
    assert [entry.name for entry in tmp_path.iterdir()] == ["it.json"]


def test_a_writer_that_is_killed_leaves_what_was_there(tmp_path):
    """A document that kills its process in the middle of being written, as a power cut would."""
    file = tmp_path / "it.json"
    write_json(file, {"old": True})
    program = """
import os, signal, sys
from pathlib import Path
from quantlab.store import write_json

class Deadly(dict):
    def items(self):
        yield "first", "x" * 1_000_000
        os.kill(os.getpid(), signal.SIGKILL)

write_json(Path(sys.argv[1]), Deadly(first=1))
"""
    done = subprocess.run([sys.executable, "-c", program, str(file)], check=False)
    assert done.returncode == -9
    assert json.loads(file.read_text()) == {"old": True}


# Numbers that JSON lacks


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_finite_number_stays_itself(value):
    assert json_number(value) == value
    assert isinstance(json_number(value), float)


@pytest.mark.parametrize(
    ("value", "text"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (-math.nan, "NaN")]
)
def test_a_number_that_json_lacks_becomes_a_string(value, text):
    assert json_number(value) == text


def parsed_strictly(text: str) -> object:
    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_study_comes_back_as_it_was_written(tmp_path):
    study = a_study(tmp_path)
    Store(tmp_path).write_study(study)
    assert Store(tmp_path).read_study() == study


@given(
    st.builds(
        Scores,
        n=st.integers(0, 10**9),
        sqnr_db=st.none() | st.floats(allow_nan=False),
        kl_mean=st.none() | st.floats(allow_nan=False),
        top1_interval=st.none() | st.builds(Interval, st.floats(allow_nan=False), st.floats(allow_nan=False)),
        kl_infinite=st.none() | st.integers(0, 10**9),
    )
)
def test_any_scores_come_back(tmp_path_factory, scores):
    folder = tmp_path_factory.mktemp("study")
    study = a_study(folder)
    study = replace(study, reference=replace(study.reference, scores=scores))
    Store(folder).write_study(study)
    parsed_strictly((folder / "study.json").read_text())
    assert Store(folder).read_study() == study


def test_nan_comes_back_as_nan_and_its_token_is_never_written(tmp_path):
    study = a_study(tmp_path)
    spoiled = Scores(n=3, sqnr_db=-math.inf, max_abs_error=math.inf, rms_error=math.nan, cosine=math.nan)
    Store(tmp_path).write_study(replace(study, reference=replace(study.reference, scores=spoiled)))
    document = parsed_strictly((tmp_path / "study.json").read_text())
    written = document["reference"]["scores"]
    assert [written[key] for key in ("sqnr_db", "max_abs_error", "rms_error", "cosine")] == [
        "-Infinity",
        "Infinity",
        "NaN",
        "NaN",
    ]
    back = Store(tmp_path).read_study().reference.scores
    assert (back.sqnr_db, back.max_abs_error) == (-math.inf, math.inf)
    assert math.isnan(back.rms_error)
    assert math.isnan(back.cosine)


# Paths


def test_paths_in_the_study_are_written_relative_and_those_outside_stay(tmp_path):
    study = a_study(tmp_path / "one")
    Store(tmp_path / "one").write_study(study)
    outside = study.trials[-1].variant.path
    assert outside.is_absolute()
    text = (tmp_path / "one" / "study.json").read_text()
    assert str(tmp_path / "one") not in text
    assert str(outside) in text


def test_a_study_may_be_moved(tmp_path):
    study = a_study(tmp_path / "one")
    Store(tmp_path / "one").write_study(study)
    shutil.move(tmp_path / "one", tmp_path / "two")
    moved = Store(tmp_path / "two").read_study()
    assert moved == a_study(tmp_path / "two")
    assert moved.samples.folder == tmp_path / "two" / "samples" / "data" / "123456789abc"


def test_studies_in_turn_have_paths_of_their_own(tmp_path):
    """All studies are converted by the same code."""
    stores = [Store(tmp_path / name) for name in ("one", "two", "one")]
    for store in stores:
        store.write_study(a_study(store.root))
    texts = {store.root: (store.root / "study.json").read_text() for store in stores}
    assert len(set(texts.values())) == 1
    for store in stores:
        assert store.read_study() == a_study(store.root)


# What is refused


def written(tmp_path: Path, **changed: object) -> Path:
    Store(tmp_path).write_study(a_study(tmp_path))
    document = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps({**document, **changed}))
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param(
            {"schema": SCHEMA + 1},
            f"'{{file}}' has schema {SCHEMA + 1}, and this quantlab reads schema {SCHEMA}; run 'quantlab analyze' "
            "again",
            id="of the future",
        ),
        pytest.param(
            {"schema": None},
            f"'{{file}}' has schema None, and this quantlab reads schema {SCHEMA}; run 'quantlab analyze' again",
            id="without a schema",
        ),
        pytest.param(
            {"n": 3},
            "'{file}' is not a complete study; run 'quantlab analyze' again, which reuses finished work",
            id="with a field that is not known",
        ),
        pytest.param(
            {"trials": [{"setting": "tfjs-uint8"}]},
            "'{file}' is not a complete study; run 'quantlab analyze' again, which reuses finished work",
            id="with half a trial",
        ),
    ],
)
def test_a_record_is_refused_that_is(changed, message, tmp_path):
    folder = written(tmp_path, **changed)
    with pytest.raises(StudyError) as refused:
        Store(folder).read_study()
    assert str(refused.value) == message.format(file=folder / "study.json")


def test_a_record_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "study.json").write_text("[1]")
    with pytest.raises(StudyError) as refused:
        Store(tmp_path).read_study()
    file = tmp_path / "study.json"
    assert str(refused.value) == (
        f"'{file}' has schema None, and this quantlab reads schema {SCHEMA}; run 'quantlab analyze' again"
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param(None, Timing, id="missing"),
        pytest.param('{"samples": 3, "sec', Timing, id="half written"),
        pytest.param('{"samples": 3}', Timing, id="of fewer fields"),
        pytest.param('{"samples": 3, "seconds": 1, "hours": 2}', Timing, id="of more fields"),
        pytest.param('{"reason": "x", "stage": "cooking"}', Failure, id="of a value there is not"),
    ],
)
def test_a_kept_record_is_done_again_that_is(text, kind, tmp_path):
    if text is not None:
        (tmp_path / "it.json").write_text(text)
    assert Store(tmp_path).read(tmp_path / "it.json", kind) is None


def test_a_kept_record_is_found(tmp_path):
    Store(tmp_path).write(tmp_path / "it.json", Timing(3, math.inf))
    assert Store(tmp_path).read(tmp_path / "it.json", Timing) == Timing(3, math.inf)


# Who may write


def test_one_writer_at_a_time_and_the_next_after_it(tmp_path):
    store, other = Store(tmp_path / "it.study"), Store(tmp_path / "it.study")
    with store.locked():
        with pytest.raises(StudyError) as refused, other.locked():
            pass
        assert str(refused.value) == (
            f"another quantlab is using the study '{store.root}'; wait for it, or choose another --out"
        )
    with other.locked():
        assert store.root.is_dir()


def test_a_writer_that_died_holds_nothing(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path; from quantlab.store import Store\n"
        "with Store(Path(sys.argv[1])).locked(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "it.study")], check=False)
    assert done.returncode == -9
    with Store(tmp_path / "it.study").locked():
        pass


def test_a_folder_of_ones_own_stays_as_it_is(tmp_path):
    (tmp_path / "chapter.tex").touch()
    with pytest.raises(StudyError) as refused, Store(tmp_path).locked():
        pass
    assert str(refused.value) == (
        f"'{tmp_path}' is not empty and not a study (it contains 'chapter.tex'); choose another folder with --out"
    )
    assert [entry.name for entry in tmp_path.iterdir()] == ["chapter.tex"]


def test_a_study_stopped_at_once_goes_on(tmp_path):
    (tmp_path / "work").mkdir()
    with Store(tmp_path).locked():
        Store(tmp_path).refuse_other_model("a" * 64, Path("model.keras"))
    with Store(tmp_path).locked():
        Store(tmp_path).refuse_other_model("a" * 64, Path("renamed.keras"))
        with pytest.raises(StudyError) as refused:
            Store(tmp_path).refuse_other_model("b" * 64, Path("other.keras"))
    assert str(refused.value) == (
        f"'{tmp_path}' is a study of another model (SHA-256 aaaaaaaaaaaa…, and 'other.keras' has "
        "bbbbbbbbbbbb…); choose another folder with --out"
    )


def test_the_latest_study_is_the_one_that_was_written_last(tmp_path):
    for age, name in enumerate(["new", "deep/newer", "old", "too/deep/down"]):
        write_json(tmp_path / name / "study.json", {})
        os.utime(tmp_path / name / "study.json", (1000 - age, 1000 - age))
    os.utime(tmp_path / "deep" / "newer" / "study.json", (5000, 5000))
    os.utime(tmp_path / "too" / "deep" / "down" / "study.json", (9000, 9000))
    assert find_latest(tmp_path) == tmp_path / "deep" / "newer"
    assert find_latest(tmp_path / "old") == tmp_path / "old"


def test_without_a_study_there_is_no_latest(tmp_path):
    with pytest.raises(StudyError) as missing:
        find_latest(tmp_path)
    assert str(missing.value) == (
        f"there is no study in '{tmp_path}'; create one with 'quantlab analyze', or name its folder"
    )
