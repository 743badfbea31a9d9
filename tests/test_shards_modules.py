"""Modules of the user that a model needs: a worker has the same code, or says what it lacks."""

from pathlib import Path

import pytest
from onnx_models import write_classifiers
from shard_engines import Carried, elsewhere, engine_of, registries_with

from quantlab import AnalyzeOptions, ShardOptions, analyze
from quantlab.errors import ModelError, TrialError
from quantlab.models import ModelOptions
from quantlab.study.shards.machine import this_worker
from quantlab.study.shards.modules import refuse_other_modules
from quantlab.user_modules import code_sha256


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module and a package of the user."""
    (tmp_path / "shop_layers.py").write_text("# layers")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("# shop")
    (tmp_path / "shop" / "blocks.py").write_text("# blocks")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_the_same_code_is_taken():
    refuse_other_modules({name: code_sha256(name) for name in ("shop_layers", "shop", "shop.blocks")}, "worker-3")
    refuse_other_modules({"math": code_sha256("math")}, "worker-3")  # has no file, here as there
    assert len({code_sha256(name) for name in ("shop_layers", "shop", "shop.blocks", "math")}) == 4
    assert code_sha256("math") == ""


def test_a_module_that_is_missing_is_named_with_the_host(here):
    known = {"shop_layers": code_sha256("shop_layers")}
    (here / "shop_layers.py").unlink()
    with pytest.raises(ModelError) as refused:
        refuse_other_modules(known, "worker-3")
    assert str(refused.value) == (
        "the worker on worker-3 does not find the module 'shop_layers', which --custom names; install it there, or "
        "start the worker in its folder or with PYTHONPATH"
    )


@pytest.mark.parametrize("file", ["shop_layers.py", "shop/blocks.py"])
def test_other_code_is_refused(file, here):
    module = file.split("/")[0].removesuffix(".py")
    known = {module: code_sha256(module)}
    (here / file).write_text("# other layers")
    with pytest.raises(ModelError) as refused:
        refuse_other_modules(known, "worker-3")
    assert str(refused.value) == (
        f"the module '{module}', which --custom names, is another one on worker-3 than in the study; bring the same "
        f"file to all workers, and restart them"
    )


@pytest.mark.starts_children
def test_a_worker_without_the_module_of_the_model_ends_no_worker(here):
    """The worker is a process with another current folder, as on another machine."""
    write_classifiers(here)
    (here / "elsewhere").mkdir()
    carried = Carried()
    engine = engine_of(carried, lambda document, _: elsewhere(here / "elsewhere", RUN_TASK, document))
    options = AnalyzeOptions(
        settings=("onnx-dynamic",),
        runtimes=("python",),
        layers=False,
        costs=False,
        model=ModelOptions(custom=("shop_layers",)),
        sharding=ShardOptions(shards=1, engine=engine.name),
    )
    with pytest.raises(TrialError) as refused:
        analyze("a.onnx", data="data.npz", options=options, registries=registries_with(engine))
    assert str(refused.value) == (
        f"the worker on {this_worker().host} does not find the module 'shop_layers', which --custom names; install it "
        f"there, or start the worker in its folder or with PYTHONPATH"
    )
    assert len(carried.documents) == 1


RUN_TASK = "quantlab.study.shards.worker:run_task"
