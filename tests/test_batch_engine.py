"""`quantlab batch` on an engine: the studies are those without one, and share workers that are started once."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from command_line import PATIENCE, quantlab_in_process
from onnx_models import write_classifiers
from shard_engines import Carried, engine_of, registries_with
from study_fixtures import Heard

from quantlab import AnalyzeOptions, ShardOptions
from quantlab.engines import WorkerLost
from quantlab.processes import Document
from quantlab.progress import Progress
from quantlab.study.batch import BatchModel, run_batch
from quantlab.types.batch import BatchResult

pytestmark = pytest.mark.starts_children

_TIMES = {"ms_per_sample", "convert_seconds"}

Around = Callable[[Document, Callable[[], Document]], Document]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with two linear classifiers of the same samples."""
    write_classifiers(tmp_path)
    table = """
        [[model]]
        model = "{}.onnx"
        data = "data.npz"
        settings = "onnx-dynamic"
        runtimes = "python"
        no_layers = true
        no_costs = true
        """
    (tmp_path / "quantlab.toml").write_text("".join(map(table.format, ("a", "lost", "b"))))
    return tmp_path


def table_of(place: Path, name: str) -> list[dict[str, object]]:
    """What `show --format json` prints, without times."""
    rows = json.loads(quantlab_in_process("show", f"{name}.study", "--format", "json", cwd=place).stdout)
    return [{key: value for key, value in row.items() if key not in _TIMES} for row in rows]


def output_bytes(place: Path, name: str) -> dict[str, bytes]:
    folder = place / f"{name}.study" / "outputs"
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.npy"))}


def test_studies_on_an_engine_are_those_without_one(models):
    alone = models / "alone"
    shutil.copytree(models, alone, ignore=lambda *_: {"alone"})
    assert quantlab_in_process("batch", cwd=alone).status == 2  # of the model that is lost
    cut = ("--engine", "local", "--workers", "2", "--shard-size", "64")
    ran = quantlab_in_process("batch", "--json", "--html", "pages", *cut, cwd=models)
    assert ran.status == 2
    rows = {row["name"]: row for row in json.loads(ran.stdout)}
    assert {name: row["state"] for name, row in rows.items()} == {"a": "measured", "lost": "failed", "b": "measured"}
    for name in ("a", "b"):
        assert table_of(models, name) == table_of(alone, name)
        assert output_bytes(models, name) == output_bytes(alone, name) != {}
        assert len(json.loads((models / f"{name}.study" / "shards.json").read_text())["shards"]) == 3
    assert sorted(path.name for path in (models / "pages").iterdir()) == ["a.html", "b.html", "index.html"]
    again = quantlab_in_process("batch", "--engine", "dask", "--address", "tcp://nowhere:1", cwd=models)
    assert again.stdout.startswith("3 models: 2 kept and 1 failed\n")  # no worker is needed for what is kept


class Watch:
    """A watch that remembers results, and gives each study a progress."""

    def __init__(self, progress: Callable[[BatchModel], Progress] = lambda _: Heard()) -> None:
        self.results: dict[str, BatchResult] = {}
        self._progress = progress

    def progress(self, model: BatchModel) -> AbstractContextManager[Progress]:
        @contextmanager
        def of_model() -> Iterator[Progress]:
            yield self._progress(model)

        return of_model()

    def ended(self, result: BatchResult) -> None:
        self.results[result.name] = result


def batched(
    place: Path, around: Around, watch: Watch, *, shards: int = 3, workers: int = 2
) -> tuple[dict[str, str], Carried]:
    """Batch both models on threads, and tell what became of them and what the engine was asked."""
    carried = Carried()
    models = [
        BatchModel(
            name,
            place / f"{name}.onnx",
            str(place / "data.npz"),
            AnalyzeOptions(
                out=place / f"{name}.study",
                settings=("onnx-dynamic",),
                runtimes=("python",),
                layers=False,
                costs=False,
                batch_size=1,
                sharding=ShardOptions(shards=shards if name == "a" else 3, engine="threads", workers=workers),
            ),
        )
        for name in ("a", "b")
    ]
    results = run_batch(models, watch, jobs=2, registries=registries_with(engine_of(carried, around)))
    return {result.name: result.reason or result.state for result in results}, carried


def of_model(document: Document, name: str) -> bool:
    return Path(document["folder"]).parent.name == f"{name}.study"


def test_a_model_that_ends_its_workers_fails_alone(models):
    def poisoned(document: Document, run: Callable[[], Document]) -> Document:
        if of_model(document, "a"):
            raise WorkerLost("the worker was ended by SIGKILL")
        return run()

    states, carried = batched(models, poisoned, Watch())
    assert states["b"] == "measured"
    assert states["a"].endswith(
        "shard 1 of 3 (samples 0 to 49) was tried twice, and the outputs of its samples are missing: the worker was "
        "ended by SIGKILL"
    )
    assert carried.closed == 1


def test_a_large_model_lets_a_small_one_pass(models):
    """The first document waits until both models have begun; then the small one ends long before the large one."""
    begun = threading.Event()

    class Begins(Heard):
        def begin(self, step: str, samples: int = 0) -> None:
            super().begin(step, samples)
            if step == "run reference in python":
                begun.set()

    def held(_: Document, run: Callable[[], Document]) -> Document:
        assert begun.wait(PATIENCE)
        return run()

    watch = Watch(lambda model: Begins() if model.name == "b" else Heard())
    states, carried = batched(models, held, watch, shards=40, workers=1)
    assert states == {"a": "measured", "b": "measured"}
    whose = ["a" if of_model(document, "a") else "b" for document in carried.documents]
    assert (whose.count("a"), whose.count("b")) == (3 * 40, 3 * 3)
    last_of_small = len(whose) - whose[::-1].index("b")
    assert last_of_small < len(whose) / 2
