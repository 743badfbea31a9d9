"""A model is tuned from the command line: what is written and printed, what is made again, and what stops a search."""

import contextlib
import json
import re
import shutil
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kept import QUANTLAB, kept
from study_fixtures import read_study
from tfjs_graphs import node, write

from quantlab.demo import MODEL
from quantlab.demo.digits import samples
from quantlab.progress import Silent
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, TuneOptions, read_tuning, tune
from quantlab.study.overlap import sample_hashes
from quantlab.study.tuning.activations import sums_over
from quantlab.types import Budget
from quantlab_converters.tfjs_tuning import TunableGraph

pytestmark = pytest.mark.starts_children

ALONE = ("--settings", "tfjs-uint8", "--runtimes", "python", "--no-layers", "--no-costs", "--target", "web")
TUNE = ("tune", "digits.keras", "--data", "digits.npz", *ALONE, "--max-accuracy-loss", "2pt")


def digits(folder, *, labelled=True, count=None):
    shutil.copy(MODEL, folder / "digits.keras")
    x, y = samples()
    np.savez(folder / "digits.npz", x=x[:count], **({"y": y[:count]} if labelled else {}))


@pytest.fixture(scope="session")
def tuned(request):
    """A folder with `digits.keras`, `digits.npz`, and `digits.study`, which was tuned, and what that printed."""
    return kept(
        request, "tuned", ("test_tune_study.py", "study_fixtures.py", "command_line.py", *QUANTLAB), _tune_digits
    )


def _tune_digits(folder: Path) -> None:
    digits(folder)
    done = quantlab_in_process(*TUNE, cwd=folder)
    (folder / "printed.json").write_text(json.dumps([done.status, done.stdout, done.stderr]))


def decisions(folder):
    return read_tuning(folder / "digits.study" / "tune.json").formats["tfjs"]


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def artifact(folder):
    return next(trial.variant.path for trial in read_study(folder / "digits.study").trials if "tuned" in trial.setting)


def test_what_was_found_is_printed(tuned):
    status, output, errors = json.loads((tuned / "printed.json").read_text())
    assert status == 0
    study = read_study(tuned / "digits.study")
    rows = {trial.setting: trial for trial in study.trials}
    assert list(rows) == ["tfjs-float32", "tfjs-uint8", "tfjs-tuned"]
    assert rows["tfjs-tuned"].variant.gzip_bytes < rows["tfjs-uint8"].variant.gzip_bytes
    found = decisions(tuned)
    assert rows["tfjs-tuned"].variant.candidates == len(found.candidates)
    assert sum(line.endswith("chosen") for line in output.splitlines()) == 1
    said = errors.splitlines()[-3:]
    assert said[0].startswith(f"tfjs-tuned: {found.chosen}, ")
    assert said[0].endswith("search samples; the verdict is of 628 other samples)")
    assert said[1] == "Study saved in 'digits.study', with every decision in 'digits.study/tune.json'."
    assert found.single_decisions > 0
    tried = f"{len(found.candidates)} candidates and {found.single_decisions} single decisions"
    assert f"(one of {tried}, chosen on other samples)" in said[2]
    assert f"tfjs: {tried}; the latter are artifacts that were measured to tell" in output


def test_the_candidates_are_a_view_of_the_study(tuned):
    shown = quantlab_in_process("show", "candidates", "digits.study", "--format", "json", cwd=tuned)
    rows = json.loads(shown.stdout)
    assert [row["candidate"] for row in rows if row["chosen"]] == [decisions(tuned).chosen]
    assert all(one["size_bytes"] >= other["size_bytes"] for one, other in pairwise(rows))


def test_no_sample_is_in_two_parts(tuned):
    study = read_study(tuned / "digits.study")
    scored, calibration, search = (
        set(sample_hashes(part)) for part in (study.samples, study.calibration, study.search)
    )
    assert not scored & calibration
    assert not scored & search
    assert not search & calibration
    assert (study.samples.n, study.calibration.n, study.search.n) == (628, 256, 313)


def test_the_decisions_make_the_same_bytes_from_the_model_alone(tuned, tmp_path):
    shutil.copy(tuned / "digits.keras", tmp_path)
    shutil.copy(tuned / "digits.study" / "tune.json", tmp_path)
    again = ("digits.keras", "--tuned", "tune.json", "--setting", "tfjs-tuned", "--out", "again")
    assert quantlab_in_process("convert", *again, cwd=tmp_path).status == 0
    assert bytes_of(tmp_path / "again" / "tfjs-tuned") == bytes_of(artifact(tuned))


def test_an_artifact_of_a_study_is_written_elsewhere(tuned, tmp_path):
    study = str(tuned / "digits.study")
    out = ("--setting", "tfjs-tuned", "--out", "made")
    done = quantlab_in_process("convert", "--from", study, *out, cwd=tmp_path)
    assert (done.status, done.stdout) == (0, "made    tfjs-tuned  made/tfjs-tuned\n")
    assert bytes_of(tmp_path / "made" / "tfjs-tuned") == bytes_of(artifact(tuned))
    refused = quantlab_in_process("convert", "--from", study, *out, cwd=tmp_path)
    assert (refused.status, refused.stderr) == (
        2,
        "quantlab: 'made/tfjs-tuned' already exists; choose another --out, or remove it\n",
    )


def test_another_model_is_refused(tuned, tmp_path, small_models):
    shutil.copy(small_models["conv"].path, tmp_path)
    tuning = str(tuned / "digits.study" / "tune.json")
    asked = (small_models["conv"].path.name, "--tuned", tuning, "--setting", "tfjs-tuned", "--out", "made")
    done = quantlab_in_process("convert", *asked, cwd=tmp_path)
    assert done.status == 2
    assert done.stdout == (
        "failed  tfjs-tuned  the decisions of 'quantlab tune' belong to another model: the float32 graph-model has "
        "other weights; give the model that was tuned, or tune this one\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ("convert", "--out", "made"),
            "give either a model to convert, or --from STUDY to write the artifacts of a study",
            id="neither a model nor a study",
        ),
        pytest.param(
            ("convert", "digits.keras", "--from", "digits.study", "--out", "made"),
            "give either a model to convert, or --from STUDY to write the artifacts of a study",
            id="a model and a study",
        ),
        pytest.param(
            ("convert", "--from", "digits.study", "--calibration", "digits.npz", "--out", "made"),
            "--float-layers, --tuned and --calibration are for converting a model, and --from writes what a study has; "
            "leave them out, or give the model",
            id="a study has nothing to calibrate",
        ),
        pytest.param(
            ("convert", "digits.keras", "--setting", "tfjs-tuned", "--out", "made"),
            "the setting 'tfjs-tuned' is what 'quantlab tune' decided; run that, and give its file with --tuned",
            id="nothing was decided",
        ),
        pytest.param(
            ("convert", "digits.keras", "--tuned", "digits.npz", "--out", "made"),
            "'digits.npz' is no file that 'quantlab tune' wrote, or it was changed, or another version wrote it; give "
            "the tune.json of a study",
            id="no decisions",
        ),
        pytest.param(
            ("analyze", "digits.keras", "--data", "digits.npz", "--tuned", "none.json"),
            "there is no file 'none.json'; give the tune.json of a study that 'quantlab tune' made",
            id="no file",
        ),
        pytest.param(
            ("tune", "digits.keras", "--data", "digits.npz"),
            "the budget sets no limit of the loss that a search looks at, so the smallest artifact would be chosen "
            "whatever it loses; give max_accuracy_loss (0.5pt), min_agreement (99%) or min_sqnr (40dB), which counts "
            "for the scored output",
            id="no budget",
        ),
    ],
)
def test_what_is_refused(tuned, arguments, said):
    done = quantlab_in_process(*arguments, cwd=tuned)
    assert (done.status, done.stderr) == (2, f"quantlab: {said}\n")


def test_a_file_that_was_changed_is_refused(tuned, tmp_path):
    document = json.loads((tuned / "digits.study" / "tune.json").read_text())
    document["seed"] = 7
    (tmp_path / "tune.json").write_text(json.dumps(document))
    shutil.copy(tuned / "digits.keras", tmp_path)
    done = quantlab_in_process("convert", "digits.keras", "--tuned", "tune.json", "--out", "made", cwd=tmp_path)
    assert done.status == 2
    assert done.stderr.startswith("quantlab: 'tune.json' is no file that 'quantlab tune' wrote, or it was changed")


def test_damaged_decisions_of_a_study_name_the_command_that_made_them(tuned, tmp_path):
    shutil.copytree(tuned / "digits.study", tmp_path / "digits.study")
    (tmp_path / "digits.study" / "tune.json").write_text("{}")
    done = quantlab_in_process("show", "candidates", "digits.study", cwd=tmp_path)
    assert done.status == 2
    assert done.stderr == (
        "quantlab: 'digits.study/tune.json' is damaged, or another version of quantlab wrote it; run the same "
        "'quantlab tune' command again, which reuses finished work\n"
    )


class _Killed(BaseException):
    """Stands for a process that ends at once."""


class _KilledAt(Silent):
    """A progress in which something ends the process after some samples; the copy is all that then is on the disk.

    What is written when threads and `finally` blocks end is not in it.
    """

    def __init__(self, step: str, heard: int, study: Path, copy: Path) -> None:
        self.step, self.left, self.study, self.copy = step, heard, study, copy
        self.one_at_a_time = threading.Lock()

    def advance(self, step: str, samples: int) -> None:
        with self.one_at_a_time:
            self.left -= samples * step.startswith(self.step)
            if self.left <= 0:
                if not self.copy.exists():
                    with contextlib.suppress(shutil.Error):  # another thread has removed a file meanwhile
                        shutil.copytree(self.study, self.copy)
                raise _Killed


@pytest.mark.parametrize(
    ("step", "heard"),
    [
        pytest.param("divide bytes", 3, id="while divisions are measured"),
    ],
)
def test_a_killed_search_goes_on_to_the_same_bytes(tuned, tmp_path, step, heard):
    began, killed = not_tuned(tuned, tmp_path / "began"), not_tuned(tuned, tmp_path / "killed")
    shutil.rmtree(killed / "digits.study")
    at = _KilledAt(step, heard, began / "digits.study", killed / "digits.study")
    budget = Budget(max_accuracy_loss="2pt", target="web", runtimes=("python",))
    options = AnalyzeOptions(settings=("tfjs-uint8",), runtimes=("python",), layers=False, costs=False)
    with contextlib.chdir(began), pytest.raises(_Killed):
        tune("digits.keras", data="digits.npz", search=TuneOptions(budget), options=options, progress=at)
    kept = written(killed / "digits.study" / "tune")
    assert kept
    assert quantlab_in_process(*TUNE, cwd=killed).status == 0
    assert written(killed / "digits.study" / "tune").items() >= kept.items()
    assert decisions(killed) == decisions(tuned)
    assert bytes_of(artifact(killed)) == bytes_of(artifact(tuned))


def not_tuned(tuned: Path, place: Path) -> Path:
    """A copy of the folder in which nothing was searched: the model is opened, and its settings were measured."""
    shutil.copytree(tuned, place)
    study = place / "digits.study"
    for found in ("tune", "variants/tfjs-tuned", "outputs/tfjs-tuned"):
        shutil.rmtree(study / found)
    for record in ("tune.json", "study.json", "looks.json"):
        (study / record).unlink()
    return place


def written(folder: Path) -> dict[str, int]:
    """When each record was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.json")}


def test_without_labels_and_without_time(tmp_path):
    """Samples without labels, fewer calibration samples than inputs of a kernel, and a search that cannot end."""
    digits(tmp_path, labelled=False, count=40)
    little = ("--min-agreement", "50%", "--budget-minutes", "0.01")
    done = quantlab_in_process("tune", "digits.keras", "--data", "digits.npz", *ALONE, *little, cwd=tmp_path)
    found = decisions(tmp_path)
    assert not found.finished
    assert done.status in {0, 3}, done.stderr
    assert "time was over before the search ended, so this is the best so far; " in done.stderr
    assert (
        " calibration samples had been read, so weights are rounded to the nearest codes and not by GPTQ" in done.stderr
    )
    assert all(one.loss is None for one in found.candidates)


def test_a_budget_that_nothing_keeps(tuned, tmp_path):
    place = shutil.copytree(tuned, tmp_path / "place")  # its candidates are measured
    done = quantlab_in_process(*TUNE, "--max-size", "1KB", cwd=place)
    assert "tfjs: no candidate is expected to fit; the closest is " in done.stderr
    assert " KB, where 1.00 KB is allowed: " in done.stderr
    assert done.status == 1


def test_a_size_that_only_few_bits_keep(tuned, tmp_path):
    place = shutil.copytree(tuned, tmp_path / "place")  # its candidates are measured
    done = quantlab_in_process(*TUNE, "--max-size", "5.5KB", cwd=place)
    assert done.status == 0
    assert ", where no setting fits (" in done.stderr
    found = decisions(place)
    assert next(one for one in found.candidates if one.name == found.chosen).size_bytes < 5500


def test_parts_of_equal_samples_are_refused_before_the_search(tmp_path):
    digits(tmp_path)
    x, y = samples()
    np.savez(tmp_path / "digits.npz", x=np.repeat(x[:60], 5, axis=0), y=np.repeat(y[:60], 5))
    done = quantlab_in_process(*TUNE, cwd=tmp_path)
    assert done.status == 2
    assert re.fullmatch(
        r"quantlab: \d+ of the 150 samples for the verdict are equal to samples for the search or the calibration, "
        r"because 'digits.npz' holds equal samples; keep one of each, or draw equal samples together with "
        r"--group duplicates",
        done.stderr.splitlines()[-1],
    )


def test_the_table_can_be_made_again_with_more_settings(tuned, tmp_path):
    folder = shutil.copytree(tuned, tmp_path / "place")
    more = ("--tuned", "digits.study/tune.json", "--settings", "tfjs-uint8,tfjs-float16", *ALONE[2:-2])
    assert quantlab_in_process("analyze", "digits.keras", "--data", "digits.npz", *more, cwd=folder).status == 0
    before, after = read_study(tuned / "digits.study"), read_study(folder / "digits.study")
    assert after.samples.sha256 == before.samples.sha256
    assert {trial.setting for trial in after.trials} >= {"tfjs-tuned", "tfjs-float16"}


def test_samples_of_the_search_are_found_under_another_name(tuned, tmp_path):
    folder = shutil.copytree(tuned, tmp_path / "place")
    (folder / "digits.npz").rename(folder / "other.npz")
    asked = ("--tuned", "digits.study/tune.json", *ALONE[:-2], "--out", "other.study")
    done = quantlab_in_process("analyze", "digits.keras", "--data", "other.npz", *asked, cwd=folder)
    assert done.status == 0
    assert (
        "! 313 samples of 'other.npz' are equal to samples for calibration or of a search, byte by byte, and are not "
        "scored" in done.stdout
    )
    assert read_study(folder / "other.study").samples.n == 941 - 313
    assert read_tuning(folder / "other.study" / "tune.json") == read_tuning(folder / "digits.study" / "tune.json")
    asked = ("recommend", "other.study", "--max-size", "1MB", "--allow-poor-reference")
    assert "other.study/tune.json" in quantlab_in_process(*asked, cwd=folder).stdout


def test_a_budget_that_cannot_be_judged_is_refused_before_the_search(tmp_path):
    digits(tmp_path, labelled=False, count=100)
    done = quantlab_in_process(*TUNE, cwd=tmp_path)
    assert done.status == 2
    assert "labels" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "digits.study" / "tune").exists()


def test_calibration_samples_that_are_scored_are_refused_before_the_search(tmp_path):
    digits(tmp_path)
    shutil.copy(tmp_path / "digits.npz", tmp_path / "copy.npz")
    done = quantlab_in_process(*TUNE, "--calibration", "copy.npz", cwd=tmp_path)
    assert done.status == 2
    assert "calibration samples must not be scored" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "digits.study" / "tune").exists()


def test_what_is_kept_of_a_search_is_verified(tuned, tmp_path):
    folder = shutil.copytree(tuned, tmp_path / "place")
    assert quantlab_in_process("verify", "digits.study", cwd=folder).status == 0
    records = sorted((folder / "digits.study" / "tune" / "tfjs").glob("*/*.json"))
    record = next(path for path in records if '"n": ' in path.read_text())
    record.write_text(record.read_text().replace('"n": ', '"n": 1'))
    done = quantlab_in_process("verify", "digits.study", cwd=folder)
    assert done.status == 2
    assert record.name in done.stdout
    assert Store(folder / "digits.study").read_tuning() == Store(tuned / "digits.study").read_tuning()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(st.integers(1, 29), unique=True, max_size=5))
def test_any_partition_of_the_samples_gives_the_same_sums(tmp_path, cuts):
    random = np.random.default_rng(2)
    kernel, rows = random.normal(size=(8, 4)).astype(np.float32), random.normal(size=(30, 8)).astype(np.float32)
    product = {"transpose_a": {"b": False}, "transpose_b": {"b": False}, "T": {"type": "DT_FLOAT"}}
    graph = write(tmp_path, [node("result", "MatMul", "input", "kernel", **product)], {"kernel": kernel}, ("input",))
    weights = TunableGraph.open(graph)
    parts = np.split(rows, sorted(cuts))
    whole, divided = (
        sums_over(lambda blocks=blocks: ({"input": block} for block in blocks), weights)["kernel"]
        for blocks in ([rows], parts)
    )
    assert (whole.rows, whole.bound) == (divided.rows, divided.bound)
    np.testing.assert_array_equal(whole.products, divided.products)
    np.testing.assert_array_equal(whole.sums, divided.sums)
