"""Which release of a package moved the outputs: with a registry of releases that are made up, and a real program."""

import json
import sys
from typing import get_type_hints

import pytest
from command_line import quantlab_in_process
from hypothesis import given
from hypothesis import strategies as st
from study_fixtures import read_study

from quantlab.cli.bisect import bisect
from quantlab.errors import StudyError, UsageError
from quantlab.runtimes.elsewhere import DUMPERS, PACKAGES, Package, Release
from quantlab.study.bisecting import BisectOptions, bisect_study
from quantlab.study.bisecting.bisect import _last_line
from quantlab.study.bisecting.search import releases_between, search
from quantlab.types.bisecting import TriedRelease
from quantlab_reports.bisected import bisection_table

VERSIONS = ["1.10.0", "1.0.0", "1.9.0", "2.0.0rc1", "1.11.0", "1.2.0", "2.0.0", "1.12.0", "odd"]
MOVED = "1.11.0"

_RELEASE = """
import sys
from pathlib import Path
import numpy as np
VERSION, MOVED = {version!r}, {moved!r}
sys.path.insert(0, sys.argv[2])
from dump import Inputs, Outputs
if VERSION == {broken!r}:
    sys.exit("libmissing.so: cannot open shared object file")
inputs = Inputs(sys.argv[2])
outputs = Outputs(inputs)
for batch in inputs.batches(50):
    (values,) = batch.tensors.values()
    flat = values.reshape(batch.count, -1)[:, :10].astype(np.float32)
    if MOVED:
        flat = flat[:, ::-1]
    if VERSION == {spoiled!r}:
        flat = flat * np.float32(np.nan)
    outputs.add(batch, {{"output_0": flat + np.float32(len(VERSION) * 1e-6)}})
outputs.write(sys.argv[3])
"""


def registry(*, broken=None, missing=None, spoiled=None):
    """A package of which releases from `MOVED` on reverse the outputs.

    One may not run, one not be installable, and one give NaN.
    """
    order = releases_between(VERSIONS, "1.0.0", "2.0.0", "fake")

    def install(_package, version, folder):
        if version == missing:
            raise StudyError(f"fake {version} could not be fetched (404); see the registry for what exists")
        folder.mkdir(parents=True)
        moved = version in order and order.index(version) >= order.index(MOVED)
        (folder / "run.py").write_text(_RELEASE.format(version=version, moved=moved, broken=broken, spoiled=spoiled))
        return Release((sys.executable, str(folder / "run.py")), folder)

    return {"fake": Package("fake", "fake", ".tflite", lambda _: VERSIONS, install)}


def run(place, package, good="1.0.0", bad="2.0.0", **options):
    options = BisectOptions("fake", good, bad, cache=place / "cache", **options)
    return bisect_study(place / "digits.study", options, packages=package)


def test_the_planted_release_is_found(place):
    done = run(place, registry())
    assert (done.last_good, done.first_bad, done.between) == ("1.10.0", MOVED, ())
    assert done.setting == "tflite-dynamic"
    assert [one.version for one in done.tried] == ["1.0.0", "1.10.0", "1.11.0", "2.0.0"]
    assert [one.outcome for one in done.tried] == ["good", "good", "bad", "bad"]
    assert done.tried[-1].changed > 0
    assert done.difference == pytest.approx(done.tried[-1].from_good)
    table = bisection_table(done)
    assert table.above == ("fake 1.11.0 moved the outputs of tflite-dynamic: those of 1.10.0 are good",)
    again = run(place, registry(missing=MOVED))
    assert again == done, "an installed release is installed again"


def test_the_good_end_may_be_the_newer_one(place):
    done = run(place, registry(), good="2.0.0", bad="1.0.0")
    assert (done.last_good, done.first_bad) == (MOVED, "1.10.0")


def test_an_installed_release_has_the_dumper_of_today_and_a_program(place):
    done = run(place, registry())
    stale, gone = (place / "cache" / "fake" / version for version in ("1.0.0", "2.0.0"))
    (stale / "dump.py").write_text("of an older quantlab")
    (gone / "installed").write_text(f"{place / 'removed' / 'python'}\nrun.py")
    assert run(place, registry()) == done
    assert (stale / "dump.py").read_bytes() == (DUMPERS / "dump.py").read_bytes()


def test_a_release_that_gives_nan_is_like_neither_end(place):
    done = run(place, registry(spoiled="1.10.0"))
    assert (done.last_good, done.first_bad, done.between) == ("1.9.0", MOVED, ("1.10.0",))
    (skipped,) = (one for one in done.tried if one.outcome == "skipped")
    assert skipped.reason == "its outputs are NaN or infinite where those of both ends are not, or the reverse"


@pytest.mark.parametrize("how", ["broken", "missing"])
def test_a_release_that_cannot_be_tried_is_skipped(how, place):
    done = run(place, registry(**{how: "1.10.0"}))
    assert (done.last_good, done.first_bad, done.between) == ("1.9.0", MOVED, ("1.10.0",))
    (skipped,) = (one for one in done.tried if one.outcome == "skipped")
    assert ("libmissing.so" if how == "broken" else "404") in skipped.reason
    assert bisection_table(done).above == (
        "the outputs of tflite-dynamic moved between fake 1.9.0 and 1.11.0; 1.10.0 could not be tried",
    )


REFUSED = {
    "ends that agree": (
        {"good": "1.0.0", "bad": "1.2.0"},
        (
            "fake 1.0.0 and 1.2.0 give the same outputs for tflite-dynamic, so no release between them is searched; "
            "name releases that differ"
        ),
    ),
    "no such release": ({"good": "1.0.1"}, "there is no release 1.0.1 of fake; did you mean '1.0.0'"),
    "one release": ({"good": "2.0.0"}, "--good and --bad are both 2.0.0; name two releases"),
    "a setting of another package": (
        {"setting": "tfjs-uint8"},
        "fake does not run 'tfjs-uint8'; choose from tflite-float32, tflite-dynamic",
    ),
    "no such setting": (
        {"setting": "tfjs-uint9"},
        "the study has no artifact of the setting 'tfjs-uint9'; did you mean",
    ),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(options, message, place):
    with pytest.raises(UsageError) as refused:
        run(place, registry(), **options)
    assert str(refused.value).startswith(message)


def test_an_end_that_does_not_run_ends_the_search(place):
    with pytest.raises(StudyError) as refused:
        run(place, registry(broken="2.0.0"))
    assert str(refused.value) == (
        "fake 2.0.0 does not run tflite-dynamic (libmissing.so: cannot open shared object file); choose another release"
    )


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        pytest.param(
            "abort\nRuntimeError: no wasm\n    at f (x.js:1)\n\nNode.js v24\n", "RuntimeError: no wasm", id="Node"
        ),
        pytest.param("Traceback …\nImportError: libx.so\n", "ImportError: libx.so", id="Python"),
        pytest.param("one\ntwo\n", "two", id="no error"),
        pytest.param("\n", "no message", id="nothing"),
    ],
)
def test_the_line_that_says_why_a_release_ended(printed, line):
    assert _last_line(printed) == line


def test_a_damaged_artifact_is_no_fault_of_a_release(place):
    record = read_study(place / "digits.study")
    file = next(trial.variant.path for trial in record.trials if trial.setting == "tflite-dynamic")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(StudyError) as refused:
        run(place, registry())
    assert str(refused.value) == ("the artifact of tflite-dynamic is damaged; run the same 'quantlab analyze' again")


def test_the_command_names_the_packages(place):
    done = quantlab_in_process("bisect", "digits.study", "--package", "litertt", "--good", "1", "--bad", "2", cwd=place)
    assert (done.status, done.last) == (2, "quantlab: there is no package 'litertt' to bisect; did you mean 'litert'?")


def test_the_help_names_every_package():
    (option,) = get_type_hints(bisect, include_extras=True)["package"].__metadata__
    *names, last = PACKAGES
    assert option.help == f"{', '.join(names)} or {last}."


def test_what_each_package_opens(tmp_path):
    for name in ("model.tflite", "model.onnx", "web/model.json", "saved/saved_model.pb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    artifacts = [tmp_path / name for name in ("model.tflite", "model.onnx", "web", "saved", "nowhere")]
    opened = {
        name: [str(model.relative_to(tmp_path)) for one in artifacts if (model := package.model_of(one)) is not None]
        for name, package in PACKAGES.items()
    }
    assert opened == {
        "litert": ["model.tflite"],
        "onnxruntime": ["model.onnx"],
        "onnxruntime-web": ["model.onnx"],
        "tfjs": ["web/model.json"],
        "tensorflow": ["saved"],
    }


@given(st.integers(2, 40), st.data())
def test_the_search_is_right_and_short_whatever_is_skipped(count, data):
    releases = [f"1.{place}" for place in range(count)]
    first_bad = data.draw(st.integers(1, count - 1))
    skipped = data.draw(st.sets(st.integers(1, max(1, count - 2)), max_size=5))
    tried = []

    def attempt(version):
        place = releases.index(version)
        tried.append(place)
        outcome = "skipped" if place in skipped else "bad" if place >= first_bad else "good"
        return TriedRelease(version, outcome)

    (good, bad, between), rows = search(releases, attempt)
    assert len(set(tried)) == len(tried) == len(rows)
    assert releases.index(good) < first_bad <= releases.index(bad)
    assert {releases.index(one) for one in between} <= skipped
    assert len(tried) - len(skipped & set(tried)) <= count.bit_length() + len(skipped)


def test_versions_are_ordered_as_versions_and_json_is_whole(place):
    assert releases_between(VERSIONS, "2.0.0rc1", "1.9.0", "fake") == [
        "2.0.0rc1",
        "1.12.0",
        "1.11.0",
        "1.10.0",
        "1.9.0",
    ]
    assert json.loads(json.dumps(bisection_table(run(place, registry())).records))[0]["version"] == "1.0.0"
