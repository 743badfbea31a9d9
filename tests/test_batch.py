"""`quantlab batch`: which models are made, and the table and pages of all."""

import _thread
import json
import math
import shutil
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import quantlab_in_process
from kept import make_in_fork
from study_fixtures import a_study, rezipped
from verdict_fixtures import answers, flipped, write_study

from quantlab.demo import MODEL as DEMO
from quantlab.errors import ModelError
from quantlab.models import files_sha256
from quantlab.processes import usable_cores
from quantlab.progress import Silent
from quantlab.store import Store
from quantlab.study import AnalyzeOptions, ShardOptions
from quantlab.study.batch import BatchModel, run_batch, usual_jobs
from quantlab.types import Budget
from quantlab.types.batch import BatchResult
from quantlab_reports.batch import BatchEntry, BatchRow, batch_entries, batch_table, sizes_in_words
from quantlab_reports.charts import FILES
from quantlab_reports.charts.models import draw_models
from quantlab_reports.page import overview_page

# Which models are made


class Heard:
    """A watch that remembers what ended."""

    def __init__(self):
        self.ended_with, self.warnings = [], []

    def progress(self, _model):
        told = Silent()
        told.warn = self.warnings.append
        return nullcontext(told)

    def ended(self, result):
        self.ended_with.append((result.name, result.state))


class Maker:
    """Makes studies without running anything."""

    def __init__(self):
        self.calls, self.fails, self.complete = [], {}, True

    def __call__(self, model, *, data, options, progress, registries):  # noqa: ARG002 (the protocol's names)
        self.calls.append(Path(model).stem)
        if error := self.fails.get(Path(model).stem):
            raise error
        study = a_study(options.out)
        study = study if not self.complete else replace(study, trials=study.trials[:3])
        Store(options.out).write_study(study)
        return study


@pytest.fixture
def maker():
    return Maker()


def model_at(folder, name, **changed):
    for file in (f"{name}.keras", "data.npz"):
        if not (folder / file).exists():
            (folder / file).write_bytes(b"first")
    options = AnalyzeOptions(out=folder / f"{name}.study", **changed)
    return BatchModel(name, folder / f"{name}.keras", str(folder / "data.npz"), options)


def states(models, maker, **asked):
    return [result.state for result in run_batch(models, Heard(), make=maker, **asked)]


def test_what_is_done_and_unchanged_is_not_made_again(tmp_path, maker):
    models = [model_at(tmp_path, "a"), model_at(tmp_path, "b")]
    assert states(models, maker) == ["measured", "measured"]
    assert states(models, maker) == ["kept", "kept"]
    assert maker.calls == ["a", "b"]


def overwrite(name):
    return lambda folder: (folder / name).write_bytes(b"second")


def remove(name):
    return lambda folder: (folder / "a.study" / name).unlink()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(overwrite("a.keras"), ["measured", "kept"], id="another model"),
        pytest.param(overwrite("data.npz"), ["measured", "measured"], id="other samples"),
        pytest.param(remove("study.json"), ["measured", "kept"], id="no study"),
        pytest.param(remove("batch.json"), ["measured", "kept"], id="no record"),
        pytest.param(overwrite("a.study/batch.json"), ["measured", "kept"], id="a damaged record"),
        pytest.param(overwrite("other.npz"), ["kept", "kept"], id="a file of no model"),
    ],
)
def test_what_changed_is_made_again(tmp_path, maker, change, expected):
    models = [model_at(tmp_path, "a"), model_at(tmp_path, "b")]
    states(models, maker)
    change(tmp_path)
    assert states(models, maker) == expected


def test_another_option_makes_it_again(tmp_path, maker):
    states([model_at(tmp_path, "a")], maker)
    assert states([model_at(tmp_path, "a", limit=100)], maker) == ["measured"]


def test_samples_of_a_function_are_always_asked_for(tmp_path, maker):
    model = replace(model_at(tmp_path, "a"), data="photos:load")
    assert [states([model], maker) for _ in range(2)] == [["measured"], ["measured"]]


def test_a_server_is_always_asked(tmp_path, maker):
    models = [model_at(tmp_path, "a", serving="http://localhost:8501/v1/models/a")]
    assert [states(models, maker) for _ in range(2)] == [["measured"], ["measured"]]


def test_a_study_with_a_failed_row_is_made_again(tmp_path, maker):
    maker.complete = False
    assert [states([model_at(tmp_path, "a")], maker) for _ in range(2)] == [["measured"], ["measured"]]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(ModelError("it is no model; name one"), "it is no model; name one", id="an error of quantlab"),
        pytest.param(OSError(28, "No space left on device", "/x"), "No space left on device: '/x'", id="a full disk"),
        pytest.param(KeyError("surprise"), "internal error (KeyError: 'surprise')", id="an error that nobody expected"),
    ],
)
def test_a_failure_costs_one_model(tmp_path, maker, error, reason):
    maker.fails = {"a": error}
    heard = Heard()
    first, second = run_batch([model_at(tmp_path, "a"), model_at(tmp_path, "b")], heard, make=maker)
    assert (first.state, first.reason, second.state) == ("failed", reason, "measured")
    assert heard.ended_with == [("a", "failed"), ("b", "measured")]


def test_only_chosen_models_are_made(tmp_path, maker):
    models = [model_at(tmp_path, "a"), model_at(tmp_path, "b")]
    assert states(models, maker, chosen={"b"}) == ["unchanged", "measured"]
    assert maker.calls == ["b"]


def test_several_jobs_work_at_the_same_time_and_measure_no_costs(tmp_path):
    meeting, costs = threading.Barrier(2, timeout=60), []

    def make(model, *, data, options, progress, registries):
        costs.append(options.costs)
        meeting.wait()  # fails unless two are here at once
        return Maker()(model, data=data, options=options, progress=progress, registries=registries)

    models = [model_at(tmp_path, name) for name in "abcd"]
    results = run_batch(models, Heard(), jobs=2, make=make)
    assert [(result.name, result.state) for result in results] == [(name, "measured") for name in "abcd"]
    assert costs == [False] * 4


def test_ctrl_c_ends_all_models_and_none_has_failed(tmp_path):
    """Only the main thread hears of Ctrl-C; the studies end by themselves, and no other one begins."""
    meeting, begun, ended = threading.Barrier(2, timeout=60), [], threading.Barrier(3, timeout=60)

    def make(model, *, data, options, progress, registries):  # noqa: ARG001 (the protocol's names)
        begun.append(Path(model).stem)
        if meeting.wait() == 0:
            _thread.interrupt_main()
        try:
            while True:
                progress.begin("run reference in python")
                time.sleep(0.01)
        finally:
            ended.wait()

    heard = Heard()
    with pytest.raises(KeyboardInterrupt):
        run_batch([model_at(tmp_path, name) for name in "abcd"], heard, jobs=2, make=make)
    ended.wait()
    assert (sorted(begun), heard.ended_with) == (["a", "b"], [])


@pytest.mark.parametrize(
    ("cut", "jobs"),
    [
        pytest.param([None, None], 1, id="no engine"),
        pytest.param([ShardOptions(workers=2), None], 1, id="not all models"),
        pytest.param([ShardOptions(workers=2)] * 9, 2, id="two workers"),
        pytest.param([ShardOptions(workers=64)] * 9, 4, id="many workers"),
        pytest.param([ShardOptions(workers=64)] * 3, 3, id="few models"),
        pytest.param([ShardOptions(engine="dask", address="tcp://scheduler:8786")] * 9, 4, id="a cluster"),
        pytest.param([ShardOptions()] * 9, min(4, usable_cores()), id="a worker for each core"),
        pytest.param([], 1, id="no models"),
    ],
)
def test_models_on_an_engine_are_made_at_the_same_time(cut, jobs):
    options = [AnalyzeOptions(sharding=one) for one in cut]
    assert usual_jobs([BatchModel("a", Path("a.keras"), "data.npz", one) for one in options]) == jobs


def test_another_engine_makes_nothing_again(tmp_path, maker):
    assert states([model_at(tmp_path, "a")], maker) == ["measured"]
    cut = ShardOptions(shards=3, engine="dask", address="tcp://scheduler:8786")
    assert states([model_at(tmp_path, "a", sharding=cut)], maker) == ["kept"]


@pytest.fixture
def two_versions(tmp_path):
    """A model file, and functions that make it the first or the second version and batch it: state and warnings."""
    shutil.copy(DEMO, tmp_path / "first")
    rezipped(DEMO, tmp_path / "second", metadata_json=lambda text: f"{text} ")
    model = model_at(tmp_path, "a")

    def batch(version, maker):
        shutil.copy(tmp_path / version, model.model)
        heard = Heard()
        (result,) = run_batch([model], heard, make=maker)
        if result.state == "measured":  # as a study does before anything else
            Store(model.folder).refuse_other_model(files_sha256(model.model), model.model)
            (model.folder / version).touch()
        return result, heard.warnings

    return batch


def test_the_study_of_a_model_as_it_was_is_kept_aside_and_returns(tmp_path, maker, two_versions):
    folder = tmp_path / "a.study"
    place = {version: tmp_path / f"a-{files_sha256(tmp_path / version)[:8]}.study" for version in ("first", "second")}
    assert two_versions("first", maker)[1] == []
    result, warnings = two_versions("second", maker)
    assert result.state == "measured"
    (warning,) = warnings
    assert warning == (
        f"a: the study of the model as it was is kept in '{place['first']}'; to compare it with the new one: quantlab "
        f"compare {place['first']} {folder}"
    )
    assert (place["first"] / "first").exists()
    assert not (folder / "first").exists()
    two_versions("first", maker)
    assert (folder / "first").exists()
    assert (place["second"] / "second").exists()
    assert not place["first"].exists()


def test_a_study_that_would_be_written_over_is_refused(tmp_path, maker, two_versions):
    two_versions("first", maker)
    place = tmp_path / f"a-{files_sha256(tmp_path / 'first')[:8]}.study"
    place.mkdir()
    assert two_versions("second", maker)[0].reason == (
        f"'{tmp_path / 'a.study'}' is a study of another model, and '{place}', where it would be kept, exists; remove "
        f"one of them"
    )


# The table and the pages

N = 2000
LABELS = np.arange(N) % 10


def result_of(folder, name, lost, state="kept", **changed):
    place = folder / f"{name}.study"
    if lost is not None:
        candidates = {("tfjs-uint8", "python"): answers(LABELS, flipped(N, list(range(lost))))}
        write_study(place, LABELS, answers(LABELS), candidates)
    return BatchResult(name, Path(f"{name}.keras"), "data.npz", place, state, **changed)


@pytest.fixture
def results(tmp_path):
    return [
        result_of(tmp_path, "good", 2),
        result_of(tmp_path, "bad", 100, "measured"),
        result_of(tmp_path, "gone", 5, "failed", reason="there is no model"),
        result_of(tmp_path, "new", None, "unchanged"),
    ]


def test_a_row_for_each_model_with_a_budget(results):
    budget = Budget(max_accuracy_loss="1pt")
    table = batch_table(batch_entries(results, {result.name: budget for result in results}))
    assert table.above == ("4 models: 1 measured, 1 kept, 1 unchanged and 1 failed; verdicts: 1 fits and 1 breaks",)
    rows = {record["name"]: record for record in table.records}
    assert (rows["good"]["setting"], rows["good"]["outcome"]) == ("tfjs-uint8", "fits")
    assert rows["good"]["loss"] == pytest.approx(0.1)
    assert (rows["bad"]["setting"], rows["bad"]["outcome"]) == (None, "breaks")
    assert rows["bad"]["reason"].startswith("tfjs-uint8: loses at least ")
    assert (rows["gone"]["n"], rows["gone"]["reason"]) == (None, "there is no model")
    assert (rows["new"]["n"], rows["new"]["reason"]) == (None, None)


def test_each_model_is_judged_by_its_own_budget(tmp_path):
    budgets = {
        "strict": Budget(max_accuracy_loss="0.5pt"),
        "lax": Budget(max_accuracy_loss="5pt", confidence=0.9),
        "unjudgeable": Budget(max_slice_loss="1pt"),
        "free": None,
    }
    entries = batch_entries([result_of(tmp_path, name, 40) for name in budgets], budgets)
    table = batch_table(entries)
    rows = {entry.row.name: entry.row for entry in entries}
    assert {name: row.outcome for name, row in rows.items()} == {
        "strict": "breaks",
        "lax": "fits",
        "unjudgeable": None,
        "free": None,
    }
    assert (rows["unjudgeable"].state, rows["unjudgeable"].n) == ("kept", N // 2)
    assert rows["unjudgeable"].reason.startswith("not judged: the budget limits the loss of each slice to 1pt")
    assert rows["free"].reason == "not judged: the model has no limit"
    assert all(entry.subject is not None for entry in entries)
    assert "80 % or 90 % interval" in "\n".join(table.below)


def test_a_model_of_which_only_float32_fits_breaks_its_budget(tmp_path):
    place = tmp_path / "clothes.study"
    lost = {
        ("tfjs-uint8", "python"): answers(LABELS, flipped(N, range(900))),
        ("tfjs-float32", "python"): answers(LABELS),
    }
    write_study(place, LABELS, answers(LABELS), lost)
    result = BatchResult("clothes", Path("clothes.keras"), "clothes.npz", place, "kept")
    (entry,) = batch_entries([result], {"clothes": Budget(max_accuracy_loss="5pt")})
    assert (entry.row.outcome, entry.row.setting) == ("breaks", "tfjs-float32")
    assert entry.row.reason.startswith("tfjs-uint8: loses at least ")


def test_what_decides_without_labels_is_said(tmp_path):
    place = tmp_path / "photos.study"
    write_study(place, None, answers(LABELS), {("tfjs-uint8", "python"): answers(LABELS, flipped(N, [1, 2]))})
    result = BatchResult("photos", Path("photos.keras"), "photos.npz", place, "kept")
    (entry,) = batch_entries([result], {"photos": Budget(min_agreement="90%")})
    assert (entry.row.outcome, entry.row.loss) == ("fits", None)
    assert entry.row.reason == "same top-1 on at least 99.68 % of the samples, required 90 %"


def test_without_a_budget_the_smallest_setting_is_shown(results):
    table = batch_table(batch_entries(results))
    assert table.headings[:6] == ("model", "study", "n", "the model itself", "smallest", "size")
    assert table.above == ("4 models: 1 measured, 1 kept, 1 unchanged and 1 failed",)
    assert {record["name"]: record["setting"] for record in table.records} == {
        "good": "tfjs-uint8",
        "bad": "tfjs-uint8",
        "gone": None,
        "new": None,
    }
    assert {record["outcome"] for record in table.records} == {None}
    assert table.keys == tuple(BatchRow.__dataclass_fields__)


def test_a_study_that_cannot_be_read_costs_its_row(tmp_path):
    good, broken = result_of(tmp_path, "good", 2), result_of(tmp_path, "broken", 2)
    (broken.folder / "study.json").write_text("{}")
    rows = [entry.row for entry in batch_entries([good, broken])]
    assert [row.state for row in rows] == ["kept", "failed"]
    assert rows[1].reason.endswith("reads schema 1; run 'quantlab analyze' again")


def test_the_overview_links_to_the_reports_and_escapes_what_it_is_told(tmp_path):
    hostile = replace(result_of(tmp_path, "gone", None, "failed"), reason="<img src=x onerror=alert(1)>")
    entries = batch_entries([result_of(tmp_path, "good", 2), hostile])
    page = overview_page(batch_table(entries), [entry.row for entry in entries], ["good.html", ""])
    assert '<a href="good.html">good</a>' in page
    assert '<th scope="row">gone</th>' in page
    assert "<dt>gone</dt><dd>&lt;img src=x onerror=alert(1)&gt;</dd>" in page
    assert ">notes</th>" not in page
    assert "<img" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "No model has a setting whose size and float32 size are known." in page


def row_of(name, **known):
    return replace(BatchRow(name, f"{name}.keras", "data.npz", f"{name}.study", "measured", metric="top-1"), **known)


SMALL = {"size_bytes": 20_000, "float32_bytes": 100_000, "setting": "tfjs-uint8"}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        pytest.param(
            row_of("a", outcome="fits", loss=0.4, loss_upper=0.4619, loss_unit="pt", **SMALL),
            "a: tfjs-uint8 20.0 KB, 20.0 % of float32, loses at most 0.47 pt",
            id="a bound is rounded up",
        ),
        pytest.param(
            row_of("a", outcome="fits", loss=-0.9, loss_upper=-0.4619, loss_unit="pt", **SMALL),
            "a: tfjs-uint8 20.0 KB, 20.0 % of float32, gains at least 0.46 pt",
            id="a gain is rounded down",
        ),
        pytest.param(
            row_of("a", outcome="fits", loss=0.004, loss_upper=0.0071234, loss_unit="", **SMALL),
            "a: tfjs-uint8 20.0 KB, 20.0 % of float32, loses at most 0.0072 top-1",
            id="a bound in the unit of the metric",
        ),
        pytest.param(
            row_of("a", outcome="fits", **SMALL),
            "a: tfjs-uint8 20.0 KB, 20.0 % of float32",
            id="no loss",
        ),
        pytest.param(
            row_of("a", loss=0.1, loss_upper=float("inf"), loss_unit="pt", **SMALL),
            "a: tfjs-uint8 20.0 KB, 20.0 % of float32, no bound of the loss",
            id="an infinite bound",
        ),
        pytest.param(row_of("a", outcome="breaks"), "a: no setting fits the budget", id="nothing fits"),
        pytest.param(row_of("a", outcome="inconclusive"), "a: too few samples to decide", id="too few samples"),
        pytest.param(row_of("a", state="failed"), "a: failed", id="failed"),
        pytest.param(row_of("<b>", **{**SMALL, "float32_bytes": None}), "<b>: tfjs-uint8 20.0 KB", id="no float32"),
    ],
)
def test_the_chart_of_models_tells_what_the_table_has(row, told):
    rows = [row, row_of("other", outcome="fits", **{**SMALL, "size_bytes": 150_000})]
    drawing = draw_models(rows, 680.0)
    assert f". {told}; other: tfjs-uint8 150.0 KB, 150.0 % of float32" in drawing.text
    drawn = [one for layer in drawing.specification["layer"] for one in layer["data"]["values"]]
    texts = [one["text"] for one in drawn if "text" in one]
    assert told in texts
    assert "150 %" in texts
    bars = {one["told"]: one for one in drawn if "told" in one}
    assert bars["other: tfjs-uint8 150.0 KB, 150.0 % of float32"]["right"] == 680.0
    if row.float32_bytes:
        assert bars[told]["right"] == pytest.approx(680 * 0.2 / 1.5, abs=0.1)
        assert bars[told]["colour"] == ("@accent" if row.outcome == "fits" else "@muted")
    for suffix, draw in FILES.items():
        assert draw(drawing.specification).startswith({".svg": b"<svg", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix])


def test_without_a_size_there_is_no_chart_of_models():
    assert draw_models([row_of("a", outcome="breaks")], 680.0) is None
    assert sizes_in_words([row_of("a", outcome="breaks")]) == ""


def test_what_all_settings_save_is_a_sentence():
    rows = [row_of("a", outcome="fits", **SMALL), row_of("b", outcome="fits", **{**SMALL, "float32_bytes": 40_000})]
    assert sizes_in_words(rows) == (
        "The recommended settings of 2 models have 20.0 % of float32 (a) to 50.0 % (b), and together 28.6 %."
    )
    assert sizes_in_words([row_of("a", **SMALL)]) == (
        "The smallest setting of the one model with known sizes has 20.0 % of float32 (a)."
    )


@pytest.mark.parametrize(
    ("known", "itself", "loss"),
    [
        pytest.param(
            {"unit": "pt", "value": 86.2, "value_lower": 83.0, "value_upper": 89.0, "loss": 0.4, "loss_unit": "pt"}
            | {"loss_lower": 0.119, "loss_upper": 0.461},
            "top-1 86.20 % [83.00, 89.00]",
            "0.40 [0.11, 0.47] pt",
            id="points",
        ),
        pytest.param(
            {"metric": "MAE", "unit": "", "value": 2.5, "loss": 0.0012, "loss_unit": ""}
            | {"loss_lower": -0.00019, "loss_upper": 0.00251},
            "MAE 2.5",
            "0.0012 [−0.00019, 0.00251]",
            id="the unit of the target",
        ),
        pytest.param(
            {"unit": "pt", "value": 86.2, "loss": 0.4, "loss_unit": "pt", "loss_lower": -math.inf}
            | {"loss_upper": math.inf},
            "top-1 86.20 %",
            "0.40 [−∞, ∞] pt",
            id="no bound",
        ),
    ],
)
def test_bounds_of_the_table_are_rounded_outwards(known, itself, loss):
    table = batch_table([BatchEntry(row_of("a", **SMALL, **known), None)])
    (row,) = (dict(zip(table.headings, cells, strict=True)) for cells in table.cells)
    assert (row["the model itself"], row["loss"]) == (itself, loss)
    assert any(line.startswith("the model itself: ") for line in table.below) == ("value_lower" in known)


# The whole way


@pytest.fixture(scope="module")
def two_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batch")
    make_in_fork("batch_models", {"folder": str(folder)}, folder / "made.log")
    table = """
        [[model]]
        model = "{}.keras"
        data = "data.npz"
        settings = "tfjs-uint8"
        runtimes = "python"
        no_layers = true
        no_costs = true
        """
    (folder / "quantlab.toml").write_text("".join(map(table.format, ("a", "lost", "b"))))
    return folder


@pytest.mark.starts_children
def test_two_models_and_one_that_is_lost(two_models):
    ran = quantlab_in_process("batch", "--json", "--html", "pages", cwd=two_models)
    assert ran.status == 2
    rows = {row["name"]: row for row in json.loads(ran.stdout)}
    assert {name: row["state"] for name, row in rows.items()} == {"a": "measured", "lost": "failed", "b": "measured"}
    assert rows["a"]["value"] > rows["b"]["value"] > 50
    assert sorted(path.name for path in (two_models / "pages").iterdir()) == ["a.html", "b.html", "index.html"]
    again = quantlab_in_process("batch", cwd=two_models)
    assert again.stdout.startswith("3 models: 2 kept and 1 failed\n")
    assert [line for line in again.stderr.splitlines() if line.startswith("[")][::2] == [
        "[1/3] a: kept",
        "[3/3] b: kept",
    ]
    (two_models / "pages" / "a.html").write_text("notes of mine")
    over = quantlab_in_process("batch", "--html", "pages", cwd=two_models)
    assert over.status == 2
    assert over.last == (
        f"quantlab: '{Path('pages', 'a.html')}' exists and is no report of quantlab; name another folder with --html"
    )
    assert "a: analyzing" not in over.stderr
    assert over.stdout == ""
    assert (two_models / "pages" / "a.html").read_text() == "notes of mine"
    compared = quantlab_in_process("compare", "a.study", "b.study", cwd=two_models)
    assert compared.status == 0
    assert compared.stdout.startswith("b is worse than a in the model itself, tfjs-float32 (python) and tfjs-uint8")
