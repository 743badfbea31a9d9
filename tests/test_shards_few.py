"""Studies in shards that keep few samples: the same figures and scores, however few are on the disk."""

import _thread
import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import quantlab_in_process
from onnx_models import node, port, write
from prepared_study import row
from shard_engines import Carried, engine_of, registries_with
from study_fixtures import Heard

from quantlab import AnalyzeOptions, ShardOptions, analyze
from quantlab.engines import WorkerLost
from quantlab.errors import UsageError
from quantlab.processes import Document, living_children
from quantlab.samples import intact_samples, kept_places
from quantlab.study import verify
from quantlab.study.scores_only import refuse_few_with_outputs
from quantlab.types import Study

pytestmark = pytest.mark.starts_children

_SIZE, _SHARDS = 96, 10
_SETTINGS = ("tfjs-uint8", "tflite-dynamic")
_RUNS = 5
"""The reference; two settings and their float32 baselines, in Python."""

_PRESENT = 4
"""Most shards on the disk with up to two workers."""

Around = Callable[[Document, Callable[[], Document]], Document]


def analyzed(place: Path, out: str, keep: str, *, around: Around | None = None, **more: Any) -> tuple[Study, Carried]:
    """The prepared model on its samples, which come from a function, by threads or by workers of this machine."""
    carried, before = Carried(), Path.cwd()
    threads = engine_of(carried, around or (lambda _, run: run()))
    progress, workers = more.pop("progress", Heard()), more.pop("workers", 2)
    engine = more.pop("engine", "threads")
    os.chdir(place)
    try:
        write_loader()
        if more.pop("begun", True):
            begin(Path(out))
        options = AnalyzeOptions(
            **{"settings": _SETTINGS, "runtimes": ("python",), "layers": False, "costs": False, "store": "scores"}
            | more,
            out=out,
            sharding=ShardOptions(shard_size=_SIZE, engine=engine, workers=workers, keep_samples=keep),
        )
        registries = registries_with(threads)
        study = analyze(
            "digits.keras", data="loader:batches", options=options, progress=progress, registries=registries
        )
        return study, carried
    finally:
        os.chdir(before)


def begin(study: Path) -> None:
    """Put the opened model and the variants of the prepared study into a new one: they do not depend on samples."""
    if not study.exists():
        for part in ("model", "variants"):
            shutil.copytree(Path("digits.study") / part, study / part)


def write_loader() -> None:
    if not Path("loader.py").exists():
        Path("loader.py").write_text(
            "import numpy as np\n"
            "def batches():\n"
            "    with np.load('digits.npz') as arrays:\n"
            "        x, y = arrays['x'], arrays['y']\n"
            "    for start in range(0, len(x), 50):\n"
            "        yield x[start : start + 50], y[start : start + 50]\n",
            encoding="utf-8",
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the study of `whole` is kept once it was made."""
    return tmp_path_factory.mktemp("whole") / "all.study"


@pytest.fixture
def whole(place: Path, made: Path) -> Path:
    """A place with a study that keeps all samples, in `all.study`."""
    if not made.exists():
        assert analyzed(place, "all.study", "all")[0].complete
        shutil.copytree(place / "all.study", made)
    else:
        shutil.copytree(made, place / "all.study")
    return place


def table_of(place: Path, study: str) -> list[dict[str, Any]]:
    rows = json.loads(quantlab_in_process("show", study, "--format", "json", cwd=place).stdout)
    times = {"ms_per_sample", "convert_seconds"}
    return [{name: value for name, value in row.items() if name not in times} for row in rows]


def scores_of(place: Path, study: str) -> dict[str, bytes]:
    folder = place / study / "outputs"
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("scores.npz"))}


def test_scores_and_table_are_those_of_a_study_with_all_samples(whole):
    present = list[int]()

    def looking(document: Document, run: Callable[[], Document]) -> Document:
        (folder,) = (whole / "few.study" / "samples").glob(".writing-*")
        present.append(len(list(folder.iterdir())))
        assert Path(document["job"]["inputs"][0]["file"]).is_relative_to(folder)
        return run()

    study, carried = analyzed(whole, "few.study", "few", around=looking)
    assert study.complete, [trial.failure for trial in study.trials]
    assert len(carried.keys) == len(set(carried.keys)) == _SHARDS * _RUNS
    assert max(present) == _PRESENT
    assert scores_of(whole, "few.study") == scores_of(whole, "all.study")
    assert len(scores_of(whole, "few.study")) == _RUNS
    assert table_of(whole, "few.study") == table_of(whole, "all.study")
    samples = study.samples
    assert samples.few is not None
    assert not samples.input_file("image").exists()
    assert not [*(whole / "few.study" / "samples").glob(".*")]
    assert {one.state for one in verify(whole / "few.study")} == {"intact"}


def test_results_of_a_study_with_all_samples_are_taken(whole):
    shutil.copytree(whole / "all.study", whole / "few.study")
    study, carried = analyzed(whole, "few.study", "few")
    assert study.complete
    assert carried.keys == []
    assert intact_samples(study.samples) == "intact"
    assert scores_of(whole, "few.study") == scores_of(whole, "all.study")
    again, carried = analyzed(whole, "few.study", "all")
    assert again.complete
    assert carried.keys == []
    assert again.samples.few is None


def test_a_setting_that_is_added_reads_the_samples_again(whole):
    first, _ = analyzed(whole, "few.study", "few", settings=("tflite-dynamic",))
    assert first.complete
    study, carried = analyzed(whole, "few.study", "few")
    assert study.complete
    # Two new rows; and the reference with which they are compared, whose outputs were removed.
    assert len(carried.keys) == _SHARDS * 3
    assert scores_of(whole, "few.study") == scores_of(whole, "all.study")


def test_layers_and_times_are_measured_on_samples_that_are_kept(whole):
    study, _ = analyzed(whole, "few.study", "few", layers=True, costs=True, layer_samples=50, timing_rounds=1)
    assert study.complete
    shown = json.loads(quantlab_in_process("show", "layers", "few.study", "--format", "json", cwd=whole).stdout)
    assert shown
    said = quantlab_in_process("show", "layers", "few.study", cwd=whole).stdout
    assert f"stratified, seed 0, among {study.samples.few.n} that are kept" in said
    costs = json.loads(quantlab_in_process("show", "costs", "few.study", "--format", "json", cwd=whole).stdout)
    assert all(one["first_run_ms"] > 0 for one in costs)
    again, carried = analyzed(whole, "few.study", "few", layers=True, layer_samples=50)
    assert again.complete
    assert carried.keys == []


def test_a_lost_shard_is_sent_once_more_while_its_samples_are_there(whole):
    lost = set[str]()

    def losing(document: Document, run: Callable[[], Document]) -> Document:
        if document["key"] not in lost:
            lost.add(document["key"])
            raise WorkerLost("the worker was lost")
        return run()

    study, carried = analyzed(whole, "few.study", "few", around=losing)
    assert study.complete, [trial.failure for trial in study.trials]
    assert len(carried.keys) == 2 * len(lost) == 2 * _SHARDS * _RUNS
    assert scores_of(whole, "few.study") == scores_of(whole, "all.study")


def test_a_shard_that_ends_its_workers_costs_its_row(whole):
    def poisoned(document: Document, run: Callable[[], Document]) -> Document:
        if document["job"]["format"] == "tflite" and document["job"]["stop"] != _SIZE:  # the last one is shorter
            raise WorkerLost("the worker was ended by SIGKILL")
        return run()

    study, _ = analyzed(whole, "few.study", "few", around=poisoned)
    failed = row(study, "tflite-dynamic").failure
    assert failed is not None
    assert failed.reason == (
        "shard 10 of 10 (samples 864 to 940) was tried twice, and the outputs of its samples are missing: the worker "
        "was ended by SIGKILL"
    )
    assert row(study, "tfjs-uint8").failure is None
    again, carried = analyzed(whole, "few.study", "few")
    assert again.complete
    assert scores_of(whole, "few.study") == scores_of(whole, "all.study")
    # The last shard of both rows and what did not come before it; and the reference, whose outputs were removed.
    assert sum(one["job"]["stop"] < _SIZE for one in carried.documents) == 3
    assert _SHARDS + 2 <= len(carried.keys) == len(set(carried.keys)) <= 3 * _SHARDS


def test_samples_that_change_meanwhile_cost_the_rows_that_would_read_them(whole):
    changed = threading.Event()

    def changing(_: Document, run: Callable[[], Document]) -> Document:
        if not changed.is_set():  # the reference runs, and the samples were hashed
            changed.set()
            other = (whole / "loader.py").read_text().replace("yield x[start", "yield 1 - x[start")
            (whole / "other.py").write_text(other)
            (whole / "other.py").replace(whole / "loader.py")
        return run()

    study, _ = analyzed(whole, "few.study", "few", around=changing)
    sentence = (
        "'loader:batches' gave other samples when it was read again: those of shard 1 of 10 (0 to 95); it must give "
        "the same each time, so run 'quantlab analyze' again when it does not change any more, or without "
        "--keep-samples few"
    )
    assert {trial.failure and trial.failure.reason for trial in study.trials} == {sentence}


def test_a_study_that_was_stopped_goes_on_with_the_shards_that_are_missing(whole):
    asked = Carried()

    def stopping(document: Document, run: Callable[[], Document]) -> Document:
        asked.documents.append(document)
        if len(asked.documents) == 2 * _SHARDS:
            _thread.interrupt_main()
        return run()

    with pytest.raises(KeyboardInterrupt):
        analyzed(whole, "few.study", "few", around=stopping)
    assert not [*(whole / "few.study" / "samples").glob(".*")]
    study, carried = analyzed(whole, "few.study", "few")
    assert study.complete
    assert 0 < len(carried.keys) <= _SHARDS * (_RUNS - 1) + _PRESENT
    assert scores_of(whole, "few.study") == scores_of(whole, "all.study")


def test_a_damaged_result_of_an_earlier_call_is_made_again(whole):
    asked = Carried()

    def stopping(document: Document, run: Callable[[], Document]) -> Document:
        asked.documents.append(document)
        if len(asked.documents) == _SHARDS + 5:  # the model is done, and a few shards of the only row
            _thread.interrupt_main()
        if len(asked.documents) >= _SHARDS + 5:
            time.sleep(2)  # until the study has ended
        return run()

    with pytest.raises(KeyboardInterrupt):
        analyzed(whole, "few.study", "few", around=stopping, settings=("tflite-float32",))
    left = sorted((whole / "few.study" / "shards").glob("*.outputs"))
    assert left
    damaged = left[0].read_bytes()
    left[0].write_bytes(damaged[:-1] + bytes([damaged[-1] ^ 1]))
    study, carried = analyzed(whole, "few.study", "few", settings=("tflite-float32",))
    assert study.complete
    assert carried.keys.count(left[0].stem) == 1
    assert not {file.stem for file in left[1:]} & {*carried.keys}
    expected = scores_of(whole, "all.study")
    found = scores_of(whole, "few.study")
    assert len(found) == 2
    assert found == {path: expected[path] for path in found}


def test_calibration_samples_that_are_given_are_all_kept(place):
    with np.load(place / "digits.npz") as arrays:
        np.savez(place / "calibration.npz", x=arrays["x"][:100] / 2)
    asked = {"settings": ("tflite-int8",), "calibration": str(place / "calibration.npz")}
    every, _ = analyzed(place, "all.study", "all", **asked)
    study, _ = analyzed(place, "few.study", "few", **asked)
    assert every.complete
    assert study.complete, [trial.failure for trial in study.trials]
    assert replace(study.calibration, folder=every.calibration.folder) == every.calibration
    assert table_of(place, "few.study") == table_of(place, "all.study")


class _Killing(Heard):
    """Kills a worker process while the reference runs."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.killed = living_children(), 0

    def advance(self, step: str, samples: int) -> None:
        super().advance(step, samples)
        if step == "run reference in python" and not self.killed:
            self.killed = min(living_children() - self.before)
            os.kill(self.killed, signal.SIGKILL)


def test_a_worker_process_that_is_killed_costs_nothing_but_time(whole):
    progress = _Killing()
    study, _ = analyzed(whole, "few.study", "few", engine="local", progress=progress)
    assert progress.killed
    assert study.complete, [trial.failure for trial in study.trials]
    assert scores_of(whole, "few.study") == scores_of(whole, "all.study")


def test_workers_that_are_slow_at_some_shards_hold_nobody_up_for_good(whole):
    slow = threading.Event()

    def slowed(document: Document, run: Callable[[], Document]) -> Document:
        if document["job"]["format"] == "tfjs" and not slow.is_set():
            slow.set()
            time.sleep(2)
        return run()

    study, _ = analyzed(whole, "few.study", "few", around=slowed, workers=3)
    assert study.complete
    assert scores_of(whole, "few.study") == scores_of(whole, "all.study")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(
            {"shards": 4, "keep_samples": "few"},
            "--keep-samples few keeps the samples of a few shards on the disk, and the size of a shard is not said; "
            "give it with --shard-size, for example 4096, and not with --shards",
            id="without the size of a shard",
        ),
        pytest.param(
            {"shard_size": 4, "keep_samples": "none"},
            "there is no --keep-samples 'none'; choose all or few",
            id="another word",
        ),
    ],
)
def test_options_that_do_not_go_together(options, sentence):
    with pytest.raises(UsageError) as refused:
        ShardOptions(**options)
    assert str(refused.value) == sentence


def test_outputs_of_all_samples_are_refused(place):
    with pytest.raises(UsageError) as refused:
        analyzed(place, "few.study", "few", store="outputs", begun=False)
    assert str(refused.value) == (
        "--keep-samples few is for studies that keep scores only, since outputs are read together with their samples; "
        "give it to 'quantlab analyze' with --store scores, or leave it out"
    )
    assert not (place / "few.study").exists()


def test_the_samples_of_two_pipelines_are_refused():
    with pytest.raises(UsageError) as refused:
        refuse_few_with_outputs(
            AnalyzeOptions(
                store="scores", pipeline="html-image", sharding=ShardOptions(shard_size=_SIZE, keep_samples="few")
            )
        )
    assert str(refused.value) == (
        "--keep-samples few reads the samples of one pipeline again and again, and the variants are fed those of "
        "another one (--pipeline); leave one of them out"
    )


def test_a_search_keeps_all_samples(place):
    asked = ("--max-accuracy-loss", "1pt", "--target", "web", "--shard-size", "96", "--keep-samples", "few")
    said = quantlab_in_process(
        "tune", "digits.keras", "--data", "digits.npz", *asked, "--out", "tuned.study", cwd=place
    )
    assert said.status == 2
    assert said.stderr == (
        "quantlab: --keep-samples few is for studies that keep scores only, since outputs are read together with their "
        "samples; give it to 'quantlab analyze' with --store scores, or leave it out\n"
    )
    assert not (place / "tuned.study").exists()


def test_what_reads_any_sample_is_refused_in_one_sentence(whole):
    assert analyzed(whole, "few.study", "few")[0].complete
    said = quantlab_in_process("export", "inputs", "few.study", cwd=whole)
    assert said.status == 2
    assert said.stderr == (
        "quantlab: 'quantlab export inputs' reads any sample of the study, which keeps 941 of 941; run 'quantlab "
        "analyze' again without --keep-samples few\n"
    )
    said = quantlab_in_process("phone", "few.study", cwd=whole)
    assert said.status == 2
    assert said.stderr == (
        "quantlab: 'quantlab phone' reads the outputs of the study, which keeps scores only; run 'quantlab analyze' "
        "again with --store outputs, which runs the rows again\n"
    )
    assert said.stdout == ""


def test_the_key_of_a_table_and_the_option_of_a_batch(place):
    (place / "quantlab.toml").write_text(
        '[analyze]\nmodel = "digits.keras"\ndata = "loader:batches"\nsettings = ["tflite-dynamic"]\n'
        'runtimes = ["python"]\nstore = "scores"\nshard_size = 96\nkeep_samples = "few"\nworkers = 1\n'
    )
    with contextlib.chdir(place):
        write_loader()
        begin(Path("few.study"))
    said = quantlab_in_process("analyze", "--no-layers", "--no-costs", "--out", "few.study", cwd=place)
    assert said.status == 0, said.stderr
    samples = json.loads((place / "few.study" / "study.json").read_text())["samples"]
    assert samples["few"]["n"] == len(np.load(place / "few.study" / samples["folder"] / "few" / "places.npy")) == 941


def test_pictures_of_samples_that_are_kept_are_in_the_report(whole):
    study, _ = analyzed(whole, "few.study", "few")
    assert len(kept_places(study.samples)) == study.samples.few.n
    made = quantlab_in_process("report", "few.study", "-o", "few.html", cwd=whole)
    assert made.status == 0, made.stderr
    made = quantlab_in_process("report", "all.study", "-o", "all.html", cwd=whole)
    assert made.status == 0, made.stderr
    few, every = ((whole / name).read_text().count("data:image/png") for name in ("few.html", "all.html"))
    assert few == every > 0


def test_outputs_that_must_be_kept_are_refused_before_rows_run(place):
    random, ports = np.random.default_rng(0), ([port("x", ("n", 4, 4, 3))], [port("y", ("n", 4, 4, 3))])
    nodes = [node("MatMul", ("x", "w"), "z"), node("Softmax", ("z",), "y", axis=-1)]
    write(place / "segments.onnx", nodes, ports, {"w": random.normal(size=(3, 3)).astype(np.float32)})
    np.savez(place / "segments.npz", x=random.normal(size=(300, 4, 4, 3)).astype(np.float32))
    said = quantlab_in_process(
        *("analyze", "segments.onnx", "--data", "segments.npz", "--store", "scores", "--shard-size", "128"),
        *("--keep-samples", "few", "--workers", "1", "--settings", "onnx-dynamic", "--out", "few.study"),
        cwd=place,
    )
    assert said.status == 2
    assert said.last == (
        "quantlab: the outputs are kept, although --store scores was given, because the scored output holds a class "
        "for each position, and those are compared in whole outputs; they are read together with their samples, so "
        "leave --keep-samples few out"
    )


def test_raw_pixels_are_looked_for_in_all_samples(whole):
    study, _ = analyzed(
        whole,
        "few.study",
        "few",
        settings=("tflite-dynamic",),
        variants={"mine": next((whole / "all.study" / "variants").rglob("*.tflite"))},
        variant_inputs={"mine": "raw"},
    )
    failed = row(study, "mine").failure
    assert failed is not None
    assert failed.reason == (
        "--variant-input mine=raw reads any sample of the study, which keeps 941 of 941; run 'quantlab analyze' again "
        "without --keep-samples few"
    )
