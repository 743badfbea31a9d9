"""Studies in shards: the same bytes as without, whatever the engine, the number of shards and the order of events."""

import _thread
import json
import os
import random
import shutil
import signal
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import PATIENCE, quantlab_in_process
from prepared_study import SETTINGS, row
from shard_engines import Carried, engine_of, registries_with
from study_fixtures import Heard

from quantlab import AnalyzeOptions, ShardOptions, analyze
from quantlab.engines import ENGINES, Engine, WorkerLost
from quantlab.errors import StudyError, TrialError
from quantlab.processes import Document, living_children
from quantlab.store import Store
from quantlab.study import verify
from quantlab.study.shards.machine import this_worker
from quantlab.types import Shards, Study

pytestmark = pytest.mark.starts_children

_RUNS = 7
"""The reference; two settings in Python and in Node.js; and their float32 baselines in Python."""

_FEW: dict[str, Any] = {"settings": ("tfjs-uint8",), "runtimes": ("python",)}
"""One setting, and so three runs: that, the reference, and the float32 baseline."""

_FEW_RUNS = 3

_TIMES = {"ms_per_sample", "convert_seconds"}

Around = Callable[[Document, Callable[[], Document]], Document]


@pytest.fixture
def bare(place: Path) -> Path:
    """The prepared study, with its outputs moved to `expected` beside it."""
    shutil.move(place / "digits.study" / "outputs", place / "expected")
    return place


def output_bytes(folder: Path) -> dict[str, bytes]:
    """The bytes of every output file, by its path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.npy"))}


def same_outputs(place: Path) -> bool:
    expected = output_bytes(place / "expected")
    assert expected
    return output_bytes(place / "digits.study" / "outputs") == expected


def some_outputs(place: Path) -> bool:
    """Whether the outputs of some runs are as before."""
    outputs = output_bytes(place / "digits.study" / "outputs")
    return len(outputs) > 0 and outputs.items() <= output_bytes(place / "expected").items()


def table_of(place: Path) -> list[dict[str, object]]:
    """What `show --format json` prints, without times."""
    rows = json.loads(quantlab_in_process("show", "digits.study", "--format", "json", cwd=place).stdout)
    return [{name: value for name, value in row.items() if name not in _TIMES} for row in rows]


def begin(place: Path, study: str) -> None:
    """Put the opened model and the variants of the prepared study into another one."""
    for part in ("model", "variants"):
        shutil.copytree(place / "digits.study" / part, place / study / part)


def in_shards(place: Path, options: ShardOptions, *, engine: Engine | None = None, **more: Any) -> Study:
    """The prepared study in shards."""
    others = {} if engine is None else {"registries": registries_with(engine)}
    progress, before = more.pop("progress", Heard()), Path.cwd()
    os.chdir(place)
    try:
        asked = {"settings": SETTINGS, "layers": False, "costs": False, "sharding": options, **more}
        data = asked.pop("data", "digits.npz")
        return analyze("digits.keras", data=data, options=AnalyzeOptions(**asked), progress=progress, **others)
    finally:
        os.chdir(before)


def in_threads(place: Path, around: Around = lambda _, run: run(), **more: Any) -> tuple[Study, Carried]:
    """The same in three shards by threads of this process, and what these were asked."""
    carried = Carried()
    options = ShardOptions(shards=3, engine="threads", workers=more.pop("workers", 2))
    return in_shards(place, options, engine=engine_of(carried, around), **more), carried


@pytest.mark.parametrize(
    ("shards", "workers"),
    [
        pytest.param(1, 1, id="one shard"),
        pytest.param(3, 1, id="three shards by one worker"),
        pytest.param(7, 2, id="seven shards by two workers"),
    ],
)
def test_the_study_is_that_without_shards(shards, workers, bare):
    before, carried = table_of(bare), Carried()
    options = ShardOptions(shards=shards, engine="threads", workers=workers)
    study = in_shards(bare, options, engine=engine_of(carried))
    assert study.complete, [trial.failure for trial in study.trials]
    assert len(carried.keys) == len(set(carried.keys)) == shards * _RUNS
    assert same_outputs(bare)
    assert table_of(bare) == before
    assert not (bare / "digits.study" / "shards").exists()
    assert carried.closed == 1
    record = Store(bare / "digits.study").read(bare / "digits.study" / "shards.json", Shards)
    assert record is not None
    assert (record.engine, len(record.shards), record.workers) == ("threads", shards, (this_worker(),))
    assert (record.shards[0].start, record.shards[-1].stop) == (0, study.samples.n)
    checked = {str(one.path.relative_to(bare / "digits.study")): one.state for one in verify(bare / "digits.study")}
    assert set(checked.values()) == {"intact"}
    assert len([path for path in checked if path.endswith("shards.json")]) == 1 + _RUNS


def test_what_a_killed_analysis_left_of_a_complete_run_is_removed(bare):
    asked = {"settings": ("tfjs-uint8",), "runtimes": ("python",)}
    first, _ = in_threads(bare, **asked)
    assert first.complete
    record = next((bare / "digits.study" / "outputs").rglob("shards.json"))
    (key, *_) = [shard["key"] for shard in json.loads(record.read_text())["shards"]]
    (bare / "digits.study" / "shards").mkdir()
    (bare / "digits.study" / "shards" / f"{key}.outputs").touch()
    again, carried = in_threads(bare, **asked)
    assert again.complete
    assert carried.keys == []
    assert not (bare / "digits.study" / "shards").exists()
    record = Store(bare / "digits.study").read(bare / "digits.study" / "shards.json", Shards)
    assert record is not None
    assert record.workers == (this_worker(),)


def test_the_number_of_shards_is_four_for_each_worker_unless_it_is_given(bare):
    carried = Carried()
    options = ShardOptions(engine="threads", workers=2)
    study = in_shards(bare, options, engine=engine_of(carried), settings=("tfjs-uint8",), runtimes=("python",))
    assert study.complete
    assert len(carried.keys) == 8 * 3


class _Killing(Heard):
    """Kills the first worker process that starts after a step has begun."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self.step, self.before, self.killed = step, living_children(), 0

    def begin(self, step: str, samples: int = 0) -> None:
        super().begin(step, samples)
        if step == self.step:
            threading.Thread(target=self._kill).start()

    def _kill(self) -> None:
        until = time.monotonic() + PATIENCE
        while not (begun := living_children() - self.before) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.5)  # until it has a task
        self.killed = min(begun)
        os.kill(self.killed, signal.SIGKILL)


def test_a_worker_process_that_is_killed_costs_nothing_but_time(bare):
    progress = _Killing("run reference in python")
    study = in_shards(bare, ShardOptions(shards=3, engine="local", workers=2), progress=progress, **_FEW)
    assert progress.killed
    assert study.complete, [trial.failure for trial in study.trials]
    assert some_outputs(bare)


def test_a_lost_shard_is_sent_once_more(bare):
    lost: list[str] = []

    def losing(document: Document, run: Callable[[], Document]) -> Document:
        if document["key"] not in lost:
            lost.append(document["key"])
            raise WorkerLost("the worker was lost")
        return run()

    study, carried = in_threads(bare, losing, **_FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert len(carried.keys) == 2 * len(lost) == 2 * 3 * _FEW_RUNS
    assert some_outputs(bare)


def test_a_shard_that_ends_its_workers_is_named_in_the_row_and_in_the_verdict(bare):
    def poisoned(document: Document, run: Callable[[], Document]) -> Document:
        if (
            document["runtime"] == "node-wasm"
            and document["job"]["format"] == "tfjs"
            and document["job"]["stop"] == 301
        ):
            raise WorkerLost("the worker was ended by SIGKILL")
        return run()

    study, carried = in_threads(bare, poisoned, settings=("tfjs-uint8",))
    failed = row(study, "tfjs-uint8", "node-wasm")
    assert failed.failure is not None
    assert failed.failure.reason == (
        "shard 3 of 3 (samples 640 to 940) was tried twice, and the outputs of its samples are missing: the worker was "
        "ended by SIGKILL"
    )
    assert [trial.setting for trial in study.trials if trial.failure is not None] == ["tfjs-uint8"]
    assert len(carried.keys) == 3 * (_FEW_RUNS + 1) + 1  # also in Node.js; and one was sent once more
    judged = quantlab_in_process(
        "gate", "digits.study", "--setting", "tfjs-uint8", "--max-accuracy-loss", "5pt", cwd=bare
    )
    assert judged.status == 1, judged
    assert judged.stdout.startswith(f"digits  tfjs-uint8  BREAKS  failed in node-wasm: {failed.failure.reason}\n")

    again, carried = in_threads(bare, settings=("tfjs-uint8",))
    assert again.complete
    assert len(carried.keys) == 1  # the two others of its run were kept
    assert some_outputs(bare)


def test_results_in_any_order_and_twice_give_the_same_bytes(bare):
    order, done = random.Random(0), set()  # noqa: S311 (an order of events, no secret)

    def shuffled(document: Document, run: Callable[[], Document]) -> Document:
        time.sleep(order.random() * 0.05)
        first = run()
        if document["key"] not in done:
            done.add(document["key"])
            assert run()["sha256"] == first["sha256"]  # finds the result
        return first

    study, _ = in_threads(bare, shuffled, workers=4, **_FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert some_outputs(bare)


def test_a_damaged_result_is_made_again(bare):
    damaged: list[str] = []

    def damaging(document: Document, run: Callable[[], Document]) -> Document:
        answer = run()
        if not damaged:
            damaged.append(document["key"])
            file = Path(document["folder"]) / f"{document['key']}.outputs"
            content = bytearray(file.read_bytes())
            content[-1] ^= 1
            file.write_bytes(content)
        return answer

    study, carried = in_threads(bare, damaging, **_FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert carried.keys.count(damaged[0]) == 2
    assert some_outputs(bare)


def test_a_result_that_is_gone_is_made_again(bare):
    gone: list[str] = []

    def losing(document: Document, run: Callable[[], Document]) -> Document:
        answer = run()
        if not gone:
            gone.append(document["key"])
            (Path(document["folder"]) / f"{document['key']}.outputs").unlink()
        return answer

    study, carried = in_threads(bare, losing, **_FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert carried.keys.count(gone[0]) == 2
    assert some_outputs(bare)


def test_outputs_that_cannot_be_joined_cost_their_row(bare):
    def removing(document: Document, run: Callable[[], Document]) -> Document:
        answer = run()
        if "tfjs-uint8" in document["job"]["artifact"]:
            for folder in (bare / "digits.study" / "outputs" / "tfjs-uint8").rglob("*.partial"):
                shutil.rmtree(folder, ignore_errors=True)
        return answer

    study, _ = in_threads(bare, removing, **_FEW)
    failed = row(study, "tfjs-uint8").failure
    assert failed is not None
    assert failed.reason == (
        "the outputs of samples 0 to 319 cannot be joined with the others in 'digits.study' (No such file or "
        "directory); make room there, and run the same command again"
    )


def test_an_answer_that_cannot_be_read_costs_its_row(bare):
    def other(document: Document, run: Callable[[], Document]) -> Document:
        return {"type": "new"} if "tfjs-uint8" in document["job"]["artifact"] else run()

    study, _ = in_threads(bare, other, **_FEW)
    failed = row(study, "tfjs-uint8").failure
    assert failed is not None
    assert failed.reason == (
        "a worker answered an object with the type 'new', where ran, failed, died are known; install the same quantlab "
        "on all workers"
    )


def test_ctrl_c_waits_for_no_worker(bare):
    """It reaches the main thread, while others wait for a worker that may need hours."""
    carried, released = Carried(), list[bool]()

    def working(*_: object) -> Document:
        if not carried.closed:
            _thread.interrupt_main()
        until = time.monotonic() + PATIENCE
        while not carried.closed and time.monotonic() < until:
            time.sleep(0.01)
        released.append(carried.closed > 0)
        raise WorkerLost("it is not needed any more")

    with pytest.raises(KeyboardInterrupt):
        in_shards(bare, ShardOptions(shards=1, engine="threads", workers=1), engine=engine_of(carried, working), **_FEW)
    assert released == [True]


class _Stopping(Heard):
    """Ctrl-C once two shards of a step are done."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self.step = step

    def advance(self, step: str, samples: int) -> None:
        super().advance(step, samples)
        if step == self.step and self.samples[step] >= 640:
            raise KeyboardInterrupt


def test_a_stopped_study_goes_on_with_the_shards_that_are_missing(bare):
    stopped = Carried()
    with pytest.raises(KeyboardInterrupt):
        in_shards(
            bare,
            ShardOptions(shards=7, engine="threads", workers=1),
            engine=engine_of(stopped),
            progress=_Stopping("run reference in python"),
            **_FEW,
        )
    assert stopped.closed == 1
    kept = {file.name for file in (bare / "digits.study" / "shards").glob("*.outputs")}
    assert 5 <= len(kept) < 7 * _FEW_RUNS
    carried = Carried()
    study = in_shards(bare, ShardOptions(shards=7, engine="threads"), engine=engine_of(carried), **_FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert not kept & {f"{key}.outputs" for key in carried.keys}
    assert len(carried.keys) == 7 * _FEW_RUNS - len(kept)
    assert some_outputs(bare)


def test_stored_results_of_another_processor_are_made_again(bare):
    def on_another(document: Document, run: Callable[[], Document]) -> Document:
        answer = run()
        file = Path(document["folder"]) / f"{document['key']}.outputs"
        line, _, outputs = file.read_bytes().partition(b"\n")
        told = json.loads(line)
        told["worker"] |= {"host": "old", "instructions": ["avx"]}
        file.write_bytes(json.dumps(told).encode() + b"\n" + outputs)
        return answer

    with pytest.raises(KeyboardInterrupt):
        in_threads(bare, on_another, progress=_Stopping("run reference in python"), **_FEW)
    kept = {file.name for file in (bare / "digits.study" / "shards").glob("*.outputs")}
    assert len(kept) >= 2
    study, carried = in_threads(bare, **_FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert kept <= {f"{key}.outputs" for key in carried.keys}
    assert some_outputs(bare)
    assert [worker.host for worker in Store(bare / "digits.study").read_shards().workers] == [this_worker().host]


def test_stored_results_of_several_processors_are_not_mixed(bare):
    with pytest.raises(KeyboardInterrupt):
        in_threads(bare, workers=3, progress=_Stopping("run reference in python"), **_FEW)
    kept = sorted((bare / "digits.study" / "shards").glob("*.outputs"))
    assert len(kept) == 3
    line, _, outputs = kept[1].read_bytes().partition(b"\n")
    told = json.loads(line)
    told["worker"] |= {"host": "old", "instructions": ["avx"]}
    kept[1].write_bytes(json.dumps(told).encode() + b"\n" + outputs)
    carried = Carried()
    options = ShardOptions(shards=3, engine="threads", address="of a cluster, whose processors are not known yet")
    study = in_shards(bare, options, engine=engine_of(carried), **_FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert kept[1].stem in carried.keys
    assert some_outputs(bare)
    assert [worker.host for worker in Store(bare / "digits.study").read_shards().workers] == [this_worker().host]


def test_an_interrupted_study_keeps_its_shards_with_another_number_of_workers(bare):
    with pytest.raises(KeyboardInterrupt):
        in_shards(
            bare,
            ShardOptions(engine="threads", workers=2),
            engine=engine_of(Carried()),
            progress=_Stopping("run reference in python"),
            **_FEW,
        )
    before = Store(bare / "digits.study").read_shards()
    assert (len(before.shards), before.workers) == (8, ())
    kept = {file.stem for file in (bare / "digits.study" / "shards").glob("*.outputs")}
    carried = Carried()
    study = in_shards(bare, ShardOptions(engine="threads", workers=1), engine=engine_of(carried), **_FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert len(carried.keys) == 3 * 8 - len(kept)
    assert some_outputs(bare)
    after = Store(bare / "digits.study").read_shards()
    assert (after.shards, len(after.workers)) == (before.shards, 1)
    in_shards(bare, ShardOptions(engine="threads", workers=1), engine=engine_of(Carried()), **_FEW)  # all is there
    assert Store(bare / "digits.study").read_shards() == after


def test_more_samples_behind_those_of_before_run_the_new_shards_only(bare):
    with np.load(bare / "digits.npz") as digits:
        x, y = digits["x"], digits["y"]
    np.savez(bare / "calibration.npz", x=x[:96])
    keys = []
    for number in (640 + 96, len(x)):
        np.savez(bare / "grown.npz", x=x[96:number], y=y[96:number])
        carried = Carried()
        study = in_shards(
            bare,
            ShardOptions(shard_size=320, engine="threads"),
            engine=engine_of(carried),
            data="grown.npz",
            calibration="calibration.npz",
            settings=("tfjs-uint8",),
            runtimes=("python",),
        )
        assert study.complete, [trial.failure for trial in study.trials]
        assert study.samples.n == number - 96
        keys.append(carried.keys)
    assert [len(of_study) for of_study in keys] == [2 * 3, 2 * 3]  # of 4 shards, the first two were there
    assert not set(keys[0]) & set(keys[1])
    whole = {trial.setting: np.load(trial.outputs[study.scored_output]) for trial in study.trials}
    shutil.rmtree(bare / "digits.study" / "outputs")
    begin(bare, "whole.study")
    unsharded = analyze(
        bare / "digits.keras",
        data=str(bare / "grown.npz"),
        options=AnalyzeOptions(
            calibration=str(bare / "calibration.npz"),
            settings=("tfjs-uint8",),
            runtimes=("python",),
            layers=False,
            costs=False,
            out=bare / "whole.study",
        ),
    )
    for trial in unsharded.trials:
        np.testing.assert_array_equal(np.load(trial.outputs[study.scored_output]), whole[trial.setting])


def test_a_higher_limit_runs_the_new_shards_only(bare):
    with np.load(bare / "digits.npz") as digits:
        x, y = (np.concatenate([digits[name]] * 3) for name in ("x", "y"))
    x = x + np.arange(len(x)).reshape(-1, 1, 1, 1) / len(x) / 100  # no sample equals another one
    np.savez(bare / "many.npz", x=x, y=y)
    asked = {"data": "many.npz", "settings": ("tfjs-uint8",), "runtimes": ("python",), "batch_size": 50}
    options = ShardOptions(shard_size=500, engine="threads")

    def grown(limit: int, **more: Any) -> tuple[Study, list[str]]:
        carried = Carried()
        study = in_shards(bare, options, engine=engine_of(carried), limit=limit, **asked, **more)
        assert study.complete, [trial.failure for trial in study.trials]
        assert study.samples.n == limit
        return study, carried.keys

    (_, first), (study, second) = grown(1000), grown(2000)
    assert [len(first), len(second)] == [2 * 3, 2 * 3]  # of 4 shards of each run, the first two were there
    assert not set(first) & set(second)
    begin(bare, "fresh.study")
    fresh, keys = grown(2000, out=bare / "fresh.study")
    assert sorted(keys) == sorted(first + second)
    assert fresh.samples.sha256 == study.samples.sha256
    outputs = output_bytes(bare / "fresh.study" / "outputs")
    assert {path: output_bytes(bare / "digits.study" / "outputs")[path] for path in outputs} == outputs


def test_a_worker_with_another_version_is_refused(bare):
    def other(document: Document, run: Callable[[], Document]) -> Document:
        if document["runtime"] == "node-wasm":
            document["environment"]["node"] = "1.0.0"
        return run()

    study, _ = in_threads(bare, other, settings=("tfjs-uint8",))
    refused = [trial.failure.reason for trial in study.trials if trial.failure is not None]
    own = row(study, "tfjs-uint8").environment["python"]
    assert own  # rows of other runtimes were measured
    node = next(iter(refused)).split(" has node ")[1].split(" and not ")[0]
    sentence = (
        f"the worker on {this_worker().host} has node {node} and not 1.0.0, on which outputs depend; install the same "
        f"versions on all workers ('quantlab doctor --worker' lists them)"
    )
    assert refused == [sentence]


def test_a_worker_that_does_not_see_the_artifact_says_so(bare):
    def elsewhere(document: Document, run: Callable[[], Document]) -> Document:
        if document["job"]["format"] == "tflite":
            document["job"]["artifact"] = "/elsewhere/model.tflite"
        return run()

    study, _ = in_threads(bare, elsewhere, settings=("tflite-dynamic",), runtimes=("python",))
    failed = row(study, "tflite-dynamic").failure
    assert failed is not None
    assert failed.reason == (
        f"the worker on {this_worker().host} cannot use '/elsewhere/model.tflite' (No such file or directory); share "
        f"the study's folder and the model with all workers, at the same path, and make room there"
    )


def test_a_worker_that_sees_other_samples_says_so(bare):
    def stale(document: Document, run: Callable[[], Document]) -> Document:
        if document["job"]["format"] == "tflite":
            document["job"]["inputs"][0]["offset"] += 256
            document["job"]["stop"] -= 1
        return run()

    study, _ = in_threads(bare, stale, settings=("tflite-dynamic",), runtimes=("python",))
    failed = row(study, "tflite-dynamic").failure
    assert failed is not None
    assert failed.reason.startswith("the samples of the shard are ")
    assert failed.reason.endswith(
        " in the study; wait until the shared folder is the same everywhere, and run the command again"
    )


def test_a_worker_that_sees_another_model_says_so(bare):
    other = bare / "other" / "digits.keras"
    other.parent.mkdir()
    with zipfile.ZipFile(bare / "digits.keras") as own, zipfile.ZipFile(other, "w") as copy:
        for name in own.namelist():  # the same model, in a file with other bytes
            copy.writestr(name, own.read(name))

    def elsewhere(document: Document, run: Callable[[], Document]) -> Document:
        if document["kind"]:
            document["job"]["options"]["model"]["path"] = str(other)
        return run()

    with pytest.raises(TrialError) as refused:
        in_threads(bare, elsewhere, settings=("tflite-dynamic",), runtimes=("python",))
    assert str(refused.value) == (
        f"'{other}' is another model on {this_worker().host} than in the study; share the "
        f"model with all workers, at the same path"
    )


def test_workers_with_other_processors_are_refused(bare):
    def older(document: Document, run: Callable[[], Document]) -> Document:
        answer = run()
        if document["runtime"] == "node-wasm":
            answer["worker"] = {**answer["worker"], "host": "old", "instructions": ["avx"]}
        return answer

    study, _ = in_threads(bare, older, settings=("tfjs-uint8",))
    refused = {trial.failure.reason for trial in study.trials if trial.failure is not None}
    only = ", ".join(sorted(set(this_worker().instructions) ^ {"avx"}))
    (reason,) = refused
    assert reason == (
        f"the processors of the workers on {this_worker().host} and old differ in {only}, by which libraries choose "
        f"kernels, so outputs may differ; use workers with the same processor"
    )


def test_a_second_study_in_the_folder_is_refused_meanwhile(bare):
    said: list[str] = []

    def both(_: Document, run: Callable[[], Document]) -> Document:
        try:
            with Store(bare / "digits.study").locked():
                said.append("locked twice")
        except StudyError as error:
            said.append(str(error))
        return run()

    study, _ = in_threads(bare, both, **_FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    folder = Path("digits.study")
    assert {text.replace(str(bare / folder), str(folder)) for text in said} == {
        "another quantlab is using the study 'digits.study'; wait for it, or choose another --out"
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ["--shards", "3", "--shard-size", "64"],
            "--shards 3 and --shard-size 64 contradict each other; give one of them",
            id="two ways to cut",
        ),
        pytest.param(["--engine", "dusk"], "there is no engine 'dusk'; did you mean 'dask'?", id="an unknown engine"),
        pytest.param(
            ["--engine", "local", "--address", "tcp://other:8786"],
            "the engine 'local' has workers on this machine only, and --address is 'tcp://other:8786'; leave it out, "
            "or choose another --engine",
            id="an address of this machine",
        ),
        pytest.param(
            ["--engine", "dask", "--address", "tcp://other:8786", "--workers", "2"],
            "the workers of the cluster at 'tcp://other:8786' are started there, and --workers is 2; leave it out",
            id="workers of a cluster",
        ),
    ],
)
def test_options_that_cannot_be(options, message, place):
    done = quantlab_in_process("analyze", "digits.keras", "--data", "digits.npz", *options, cwd=place)
    assert (done.status, done.stderr.splitlines()[-1]) == (2, f"quantlab: {message}")


@pytest.mark.parametrize("name", [name for name, engine in ENGINES.items() if engine.package is not None])
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # Ray's own
def test_a_cluster_gives_the_same_bytes(name, bare):
    pytest.importorskip(str(ENGINES[name].package), reason=f"needs the extra '{name}'")
    before = table_of(bare)
    study = in_shards(bare, ShardOptions(shards=3, engine=name, workers=2))
    assert study.complete, [trial.failure for trial in study.trials]
    assert same_outputs(bare)
    assert table_of(bare) == before
