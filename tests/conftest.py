"""Fixtures for several test files: real models, small models of every kind, and both opened and converted once."""

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["cause_models", "fork_fixtures", "real_models", "study_fixtures"]

# As in the children that run variants: TensorFlow's own default depends on the processor, and without oneDNN its
# depthwise convolutions refuse dilations. Set before TensorFlow is imported anywhere.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Else tensorflowjs, which some tests import here, looks for a notebook where standard output is a pipe.
os.environ.setdefault("TFDF_DISABLE_WELCOME_MESSAGE", "1")

gc.disable()  # until all is imported: looking for garbage meanwhile takes a quarter of the time

# No test asserts a time: the first example of a property may be the one that compiles, or waits for the other core.
hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")

pytest.register_assert_rewrite(
    "contracts", "refusals", "timing_contract"
)  # before their import, so that failures show values

import import_count  # noqa: E402
import quick  # noqa: E402
from contracts import Workbench, refuse_absent  # noqa: E402
from kept import kept, make_in_fork, shared_once  # noqa: E402
from small_models import SmallModel, read_models  # noqa: E402

from quantlab.demo.train import leave_out_new_options  # noqa: E402
from quantlab.processes import ChildPool  # noqa: E402
from quantlab.runtimes import RUNTIMES  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="run only tests that start nothing slow")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job that a shell runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # programs inherit it, and some tests interrupt them
    import_count.start_counting()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(import_count)
    if config.getoption("quick"):
        config.pluginmanager.register(quick.Quick())


def pytest_collection_finish() -> None:
    """Have nobody look for garbage in what is imported by now: statsmodels does at each call."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    quick.mark_by_fixtures(items)
    quick.longest_first(items)


@pytest.fixture(autouse=True)
def _same_current_folder() -> Iterator[None]:
    """The next test begins in the folder of this one: there may be a `quantlab.toml` in another."""
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real models and data; an older Keras is given the model that Keras 3.15 wrote without its new options."""
    named = os.environ.get("QUANTLAB_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the models and data that CONTRIBUTING.md lists; name their folder with QUANTLAB_DATA")
    if tuple(map(int, version("keras").split(".")[:2])) >= (3, 15):
        return folder
    return _for_older_keras(folder, tmp_path_factory.mktemp("data"))


def _for_older_keras(folder: Path, copy: Path) -> Path:
    for entry in folder.iterdir():
        (copy / entry.name).symlink_to(entry)
    fashion = copy / "fashion-mnist"
    fashion.unlink()
    fashion.mkdir()
    for file in (folder / "fashion-mnist").iterdir():
        (fashion / file.name).symlink_to(file)
    model = fashion / "fashion_dscnn.keras"
    model.unlink()
    shutil.copy(folder / "fashion-mnist" / model.name, model)
    leave_out_new_options(model)
    return copy


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs an addon that is compiled on the machine; CI has compiled it."""
    if any(item.iter_markers("needs_addon")):
        refuse_absent(RUNTIMES["node-native"])


@pytest.fixture(scope="session")
def small_models(request: pytest.FixtureRequest) -> dict[str, SmallModel]:
    def make(folder: Path) -> None:
        make_in_fork("small_models", {"folder": str(folder)}, folder / "made.log")

    sources = ("small_models.py", "keras2_models.py", "recurrent_models.py", "precision_models.py")
    return read_models(kept(request, "small-models", sources, make))


@pytest.fixture(scope="session")
def workbench(tmp_path_factory: pytest.TempPathFactory, small_models: dict[str, SmallModel]) -> Iterator[Workbench]:
    folder = tmp_path_factory.mktemp("workbench")
    with shared_once(tmp_path_factory, "workbench") as (shared, _):
        pass
    with ChildPool(folder / "pool", stall_seconds=300) as pool:
        yield Workbench(folder, shared, small_models, pool)
