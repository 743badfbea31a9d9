"""Studies at addresses: the same bytes as in a folder, by workers that share nothing with the command but the store."""

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Done, quantlab_in_process
from onnx_models import pictures, samples
from prepared_study import SETTINGS, not_kept
from shard_engines import Carried, engine_of, registries_with
from store_servers import ACCESS_KEY, SECRET_KEY, StandIn, s3_environment, serving_s3
from study_fixtures import Heard

from quantlab import AnalyzeOptions, ShardOptions, analyze
from quantlab.engines import ENGINES, Engine, EngineRequest, Workers
from quantlab.errors import QuantlabError, StudyError
from quantlab.processes import Document
from quantlab.progress import Silent
from quantlab.registries import REAL
from quantlab.study.depot.damage import report_damage
from quantlab.study.depot.objects import ObjectDepot
from quantlab.study.remote import folder_of, judged_place, read_place, study_place
from quantlab.types import Study

pytestmark = pytest.mark.starts_children

_TIMES = {"ms_per_sample", "convert_seconds"}

Around = Callable[[Document, Callable[[], Document]], Document]


@pytest.fixture
def s3(monkeypatch, tmp_path):
    with serving_s3() as stand_in:
        for name, value in s3_environment(stand_in).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "first machine"))
        yield stand_in


@pytest.fixture
def address(s3, tmp_path):  # noqa: ARG001 (the store is there while the address is used)
    """An address of its own: workers in this process keep what they know of one."""
    return f"s3://bucket/{tmp_path.name}/digits.study"


@pytest.fixture
def another_machine(monkeypatch, tmp_path):
    """Goes on as a machine that has nothing of the study."""
    machines = iter(("second machine", "third machine"))
    return lambda: monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / next(machines)))


def converted(place: Path, address: str) -> None:
    """Begin with what the prepared study has besides outputs, as a call that was stopped early."""
    shutil.copytree(place / "digits.study", folder_of(Path(address)), ignore=shutil.ignore_patterns("outputs"))


def begun(place: Path, study: Path) -> None:
    """Begin with the opened model and the variants of the prepared study alone."""
    for part in ("model", "variants"):
        shutil.copytree(place / "digits.study" / part, study / part)


def studied(place: Path, address: str, *, engine: Engine | None = None, **more: Any) -> Study:
    """The prepared study at an address, in three shards if an engine is given."""
    asked: dict[str, Any] = {"settings": SETTINGS, "layers": False, "costs": False, "out": Path(address), **more}
    progress, others = asked.pop("progress", Heard()), {}
    if engine is not None:
        others = {"registries": registries_with(engine)}
        asked["sharding"] = ShardOptions(shards=3, engine=engine.name, workers=2)
    before = Path.cwd()
    os.chdir(place)
    try:
        return analyze("digits.keras", data="digits.npz", options=AnalyzeOptions(**asked), progress=progress, **others)
    finally:
        os.chdir(before)


def in_threads(place: Path, address: str, around: Around = lambda _, run: run(), **more: Any) -> tuple[Study, Carried]:
    carried = Carried()
    return studied(place, address, engine=engine_of(carried, around), **more), carried


def output_bytes(folder: Path) -> dict[str, bytes]:
    """The bytes of every output file, by its path."""
    found = {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.npy"))}
    assert found
    return found


def table_of(where: str, place: Path) -> list[dict[str, object]]:
    """What `show --format json` prints, without times."""
    done = quantlab_in_process("show", where, "--format", "json", cwd=place)
    assert done.status == 0, done.stderr
    return [{name: value for name, value in row.items() if name not in _TIMES} for row in json.loads(done.stdout)]


def same_as_in_the_folder(place: Path, address: str) -> None:
    """The outputs and the table of an address are those of the prepared study."""
    assert table_of(address, place) == table_of("digits.study", place)
    assert output_bytes(folder_of(Path(address)) / "outputs") == output_bytes(place / "digits.study" / "outputs")


def test_samples_that_are_not_kept_leave_the_store_at_the_end(place, address, s3, another_machine, tmp_path):
    options = {**FEW, "store": "scores"}
    cut = ShardOptions(shard_size=96, engine="local", workers=2, keep_samples="few")
    for folder in (folder_of(Path(address)), place / "whole.study"):
        begun(place, folder)
    study = studied(place, address, sharding=cut, **options)
    assert study.complete, [trial.failure for trial in study.trials]
    assert study.samples.few is not None
    studied(place, "whole.study", **options)
    names = {name.removeprefix(f"bucket/{tmp_path.name}/digits.study/") for name in s3.files}
    index = json.loads(s3.files[f"bucket/{tmp_path.name}/digits.study/index.json"])
    assert names == {"index.json", *(f"objects/{one['sha256']}" for one in index["files"].values())}
    another_machine()
    assert table_of(address, place) == table_of("whole.study", place)
    checked = quantlab_in_process("verify", address, cwd=place)
    assert checked.status == 0, checked


FEW = {"settings": ("tflite-dynamic",), "runtimes": ("python",)}
"""The reference, a row and its float32 baseline."""


def same_few(place: Path, address: str) -> None:
    """The outputs of `FEW` are those of the prepared study."""
    expected = output_bytes(place / "digits.study" / "outputs")
    given = output_bytes(folder_of(Path(address)) / "outputs")
    assert len(given) == 3
    assert given == {path: expected[path] for path in given}


def refused(place: Path, *arguments: str) -> str:
    """The sentence with which a command ends that could not run."""
    done: Done = quantlab_in_process(*arguments, cwd=place)
    assert done.status == 2, done
    assert ACCESS_KEY not in done.stderr
    assert SECRET_KEY not in done.stderr
    return done.last


def recording(engine: Engine, carried: Carried) -> Engine:
    """An engine that also tells what it was asked to carry."""

    class _Recorded:
        def __init__(self, workers: Workers) -> None:
            self.count, self.close, self._workers = workers.count, workers.close, workers

        def submit(self, function: str, document: Document) -> Any:
            carried.documents.append(document)
            return self._workers.submit(function, document)

    def start(request: EngineRequest) -> Workers:
        return _Recorded(engine.start(request))

    return Engine("recorded", "tells what it carries", start)


def test_workers_that_do_not_see_the_study_give_the_same_bytes(place, address, s3, another_machine, tmp_path):
    carried = Carried()
    study = studied(place, address, engine=recording(ENGINES["local"], carried))
    assert study.complete, [trial.failure for trial in study.trials]
    same_as_in_the_folder(place, address)
    documents = json.dumps(carried.documents)
    assert str(place) not in documents
    assert str(folder_of(Path(address))) not in documents
    names = [name.removeprefix(f"bucket/{tmp_path.name}/digits.study/") for name in s3.files]
    assert sorted(name for name in names if not name.startswith("objects/")) == ["index.json"]
    puts = [line for line in s3.asked if line.startswith("PUT") and "/objects/" in line]
    assert len(puts) == len(set(puts)) == len(names)  # each travels once: without the index, and with the user's model

    another_machine()
    same_as_in_the_folder(place, address)
    checked = quantlab_in_process("verify", address, cwd=place)
    assert checked.status == 0, checked
    budget = ("--setting", "tfjs-uint8", "--max-accuracy-loss", "5pt")
    judged = quantlab_in_process("gate", address, *budget, cwd=place)
    assert judged.stdout == quantlab_in_process("gate", "digits.study", *budget, cwd=place).stdout
    written = quantlab_in_process("report", address, "--out", "report.html", cwd=place)
    assert written.status == 0, written

    another_machine()
    heard = Heard()
    again, carried = in_threads(place, address, progress=heard)
    assert again.complete
    assert carried.keys == []
    assert set(not_kept(heard)) == {f"fetch the study from {address}", f"store the study at {address}"}
    assert (folder_of(Path(address)) / "looks.json").is_file()  # of the gate on the second machine
    nothing_secret(tmp_path, s3)


def nothing_secret(folder: Path, s3: StandIn) -> None:
    """No file of this machine or of the store holds a key."""
    contents = [file.read_bytes() for file in folder.rglob("*") if file.is_file()] + list(s3.files.values())
    assert len(contents) > 100
    for content in contents:
        assert SECRET_KEY.encode() not in content
        assert ACCESS_KEY.encode() not in content


def test_without_shards_the_study_is_stored_at_its_end(place, address, another_machine):
    shutil.copytree(place / "digits.study", folder_of(Path(address)))  # of an earlier call, to run nothing
    study = studied(place, address)
    assert study.complete
    another_machine()
    same_as_in_the_folder(place, address)


def test_a_model_in_several_files_travels_with_all_of_them(address, tmp_path):
    model = pictures(
        tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0, batch=1
    )
    np.savez(tmp_path / "samples.npz", picture=samples(40)["picture"])
    asked = {"settings": ("onnx-float32", "onnx-dynamic"), "runtimes": ("python",), "layers": False, "costs": False}
    carried, outputs = Carried(), []
    for out, registries in ((tmp_path / "here", REAL), (Path(address), registries_with(engine_of(carried)))):
        sharding = ShardOptions(shards=2, engine="threads") if registries is not REAL else None
        options = AnalyzeOptions(**asked, out=out, sharding=sharding)
        study = analyze(model, data=str(tmp_path / "samples.npz"), options=options, registries=registries)
        assert study.complete, [trial.failure for trial in study.trials]
        outputs.append(output_bytes(folder_of(out) / "outputs"))
    assert outputs[0] == outputs[1]
    assert str(tmp_path) not in json.dumps(carried.documents)
    (sent,) = {tuple(document["travelling"]["model"]) for document in carried.documents if document["kind"]}
    assert sorted(sent) == ["model/model.onnx", "model/weights.bin"]


def test_a_store_that_is_away_for_seconds_costs_nothing_but_time(place, address, s3):
    converted(place, address)
    seen: list[str] = []

    def leaving(document: Document, run: Callable[[], Document]) -> Document:
        seen.append(document["key"])
        if len(seen) == 4:
            s3.away = True
            threading.Timer(3, lambda: setattr(s3, "away", False)).start()
        return run()

    study, _ = in_threads(place, address, leaving, **FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert len(seen) > 4
    same_few(place, address)


def test_a_truncated_result_is_made_again(place, address, s3):
    converted(place, address)
    damaged: list[str] = []

    def truncating(document: Document, run: Callable[[], Document]) -> Document:
        answer = run()
        if not damaged:
            damaged.append(document["key"])
            (name,) = [name for name in s3.files if name.endswith(f"/shards/{document['key']}.outputs")]
            s3.files[name] = s3.files[name][:-1]
        return answer

    study, carried = in_threads(place, address, truncating, **FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert carried.keys.count(damaged[0]) == 2
    same_few(place, address)


class _Stopping(Heard):
    """Ctrl-C once two shards of a step are done."""

    def advance(self, step: str, samples: int) -> None:
        super().advance(step, samples)
        if self.samples["run reference in python"] >= 640:
            raise KeyboardInterrupt


def test_a_stopped_study_goes_on_on_another_machine(place, address, s3, another_machine):
    converted(place, address)
    with pytest.raises(KeyboardInterrupt):
        in_threads(place, address, progress=_Stopping(), **FEW)
    kept = {Path(name).name for name in s3.files if name.endswith(".outputs")}
    assert len(kept) >= 2
    assert not any("lock-" in name for name in s3.files)
    assert refused(place, "show", address).startswith(f"quantlab: there is no study at '{address}'")
    another_machine()
    study, carried = in_threads(place, address, **FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    assert carried.keys
    assert not kept & {f"{key}.outputs" for key in carried.keys}
    same_few(place, address)


def test_an_object_that_is_damaged_is_made_again_by_analyze_alone(place, address, s3, another_machine, tmp_path):
    shutil.copytree(place / "digits.study", folder_of(Path(address)))
    studied(place, address)
    index = json.loads(s3.files[f"bucket/{tmp_path.name}/digits.study/index.json"])
    path = next(path for path in index["files"] if path.startswith("outputs/tfjs-uint8/python/") and ".npy" in path)
    s3.files[f"bucket/{tmp_path.name}/digits.study/objects/{index['files'][path]['sha256']}"] += b"more"
    another_machine()
    assert refused(place, "show", address) == (
        f"quantlab: '{path}' of the study at '{address}' is damaged or missing there; run the same 'quantlab analyze' "
        f"command again, which makes it again"
    )
    heard = Heard()
    assert studied(place, address, progress=heard).complete
    assert set(not_kept(heard)) == {
        f"fetch the study from {address}",
        f"store the study at {address}",
        "run tfjs-uint8 in python",
    }
    another_machine()
    same_as_in_the_folder(place, address)


def test_an_object_that_is_damaged_or_lost_is_put_again_by_the_machine_that_has_its_file(address, s3, tmp_path):
    beginning = f"bucket/{tmp_path.name}/digits.study/objects/"
    with study_place(Path(address), Silent()) as held:
        held.folder.mkdir(parents=True)
        for number in range(4):
            (held.folder / f"{number}.npy").write_bytes(bytes([number] * 10))
        held.store(Silent())
    whole = {name: content for name, content in s3.files.items() if name.startswith(beginning)}
    lost, short, other, _ = whole
    del s3.files[lost]
    s3.files[short], s3.files[other] = whole[short][:-1], bytes(reversed(range(10)))
    report_damage(ObjectDepot.at(address), [other.removeprefix(beginning)])
    s3.asked.clear()
    with study_place(Path(address), Silent()) as held:
        held.fetch(Silent())
        held.store(Silent())
    assert {name: content for name, content in s3.files.items() if name.startswith(beginning)} == whole
    assert {name for name in s3.files if name not in whole} == {beginning.replace("objects/", "index.json")}
    assert sum(line.startswith("PUT") and "/objects/" in line for line in s3.asked) == 3


@pytest.mark.parametrize("known", [False, True], ids=["the first look", "a further look"])
def test_what_a_judgement_records_is_stored_though_the_study_is_read_meanwhile(known, address, another_machine):
    with study_place(Path(address), Silent()) as held:
        (held.folder / "model").mkdir(parents=True)
        (held.folder / "model" / "sha256").write_text("of the model")
        if known:
            (held.folder / "looks.json").write_text("1")
        held.store(Silent())
    with judged_place(Path(address), Silent()) as folder:
        (folder / "looks.json").write_text("2")
        read_place(Path(address), Silent())
    another_machine()
    assert (read_place(Path(address), Silent()) / "looks.json").read_text() == "2"


def test_what_a_worker_finds_damaged_is_put_again_by_the_next_call(place, address, s3):
    converted(place, address)
    damaged: list[str] = []

    def damaging(document: Document, run: Callable[[], Document]) -> Document:
        if document["job"]["format"] == "tflite" and not damaged:
            damaged.extend(document["travelling"]["artifact"].values())
            for name in s3.files:
                if name.rpartition("/")[2] in damaged:
                    s3.files[name] = bytes(len(s3.files[name]))
        return run()

    study, _ = in_threads(place, address, damaging, **FEW)
    assert "is damaged: its bytes have the SHA-256" in str([trial.failure for trial in study.trials])
    study, _ = in_threads(place, address, **FEW)
    assert study.complete, [trial.failure for trial in study.trials]
    same_few(place, address)
    assert not [name for name in s3.files if "/damaged/" in name]


def test_what_is_wrong_with_the_store_is_one_sentence(place, address, s3, monkeypatch):
    command = ("analyze", "digits.keras", "--data", "digits.npz", "--out", address)
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
        assert refused(place, *command).startswith(
            f"quantlab: '{address}' may not be used with the credentials of this environment ("
        )
    s3.bucket = "other"
    assert refused(place, *command) == (
        f"quantlab: '{address}/lock-000001' cannot be written (NoSuchBucket); check that its bucket exists, and create "
        f"it if need be"
    )
    assert not folder_of(Path(address)).exists()


def test_a_worker_without_credentials_says_so_in_the_row(place, address, monkeypatch):
    converted(place, address)

    def without(document: Document, run: Callable[[], Document]) -> Document:
        if document["job"]["format"] == "tflite":
            document["travelling"]["address"] += "-of-a-worker"  # for which it has no depot yet
            with monkeypatch.context() as wrong:
                wrong.setenv("AWS_PROFILE", "nobody")
                return run()
        return run()

    carried = Carried()
    study = studied(place, address, engine=_one_worker(engine_of(carried, without)), settings=("tflite-dynamic",))
    reasons = {trial.failure.reason for trial in study.trials if trial.failure is not None}
    assert len(reasons) == 1
    assert reasons.pop().startswith(f"'{address}-of-a-worker/shards' may not be used with the credentials")


def _one_worker(engine: Engine) -> Engine:
    """An engine with one worker, so that variables of the environment are those of its task."""
    return Engine(engine.name, "", lambda request: engine.start(EngineRequest(None, 1, request.work)))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            ("tune", "digits.keras", "--data", "digits.npz", "--max-accuracy-loss", "1pt", "--out"), id="tune"
        ),
        pytest.param(
            ("check", "digits.keras", "--data", "digits.npz", "--max-accuracy-loss", "1pt", "--study"), id="check"
        ),
        pytest.param(("phone",), id="phone"),
        pytest.param(("phone", "digits.keras", "--data", "digits.npz", "--out"), id="phone with a model"),
        pytest.param(("recommend", "--max-accuracy-loss", "1pt"), id="recommend"),
        pytest.param(("accept", "--max-accuracy-loss", "1pt"), id="accept"),
    ],
)
def test_commands_that_take_folders_only(command, place, address):
    assert refused(place, *command, address) == (
        f"quantlab: '{address}' is an address, and a folder is needed here; 'quantlab analyze --out', show, report, "
        f"gate and verify take the address of a study"
    )


def test_a_batch_has_folders_only(place, address):
    table = f'[[model]]\nmodel = "digits.keras"\ndata = "digits.npz"\nstudy = "{address}"\n'
    (place / "models.toml").write_text(table)
    assert refused(place, "batch", "models.toml").startswith(f"quantlab: '{address}' is an address, and a folder")


def test_a_study_that_another_command_uses_is_refused(place, address):
    converted(place, address)
    inside, go_on = threading.Event(), threading.Event()

    def waiting(_: Document, run: Callable[[], Document]) -> Document:
        inside.set()
        go_on.wait(60)
        return run()

    raised: list[QuantlabError] = []

    def second() -> None:
        inside.wait(60)
        try:
            with study_place(Path(address), Silent()):
                pass
        except StudyError as error:
            raised.append(error)
        go_on.set()

    other = threading.Thread(target=second)
    other.start()
    study, _ = in_threads(place, address, waiting, **FEW)
    other.join()
    assert study.complete
    assert str(raised[0]).endswith(f" is using the study at '{address}'; wait for it, or choose another address")
