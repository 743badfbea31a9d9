"""Decides which tests are quick, and in which order files run.

A test is marked `starts_children` if it uses one of the fixtures below, or if the test or its file has the mark.
`--quick` skips these tests. Any other test fails if it starts a worker, Node.js or a browser, or if any process imports
TensorFlow in it.
"""

import os
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from import_count import imports
from tensorflow_imports import VARIABLE

__all__ = ["Quick", "longest_first", "mark_by_fixtures", "starts_slowly"]

FIXTURES = {
    "begun",
    "converted",
    "digits_study",
    "fashion",
    "odd_variants",
    "own_models",
    "real_variants",
    "recurrent_begun",
    "small_models",
    "workbench",
}
"""What is made by children; a fixture that uses one of them counts too."""

LONGEST = (
    "test_runtimes_browser.py",
    "test_runtimes_python.py",
    "test_study_real.py",
    "test_study_stopped.py",
    "test_converters.py",
    "test_inside.py",
    "test_cli.py",
    "test_docs_commands.py",
    "test_inside_real.py",
    "test_tfjs_layers.py",
    "test_node_native.py",
    "test_fork_server.py",
    "test_failing_trials.py",
    "test_study_models.py",
    "test_forked_children.py",
    "test_study.py",
    "test_inside_choice.py",
    "test_study_onnx.py",
    "test_models.py",
    "test_recipes.py",
    "test_weights.py",
    "test_runtimes_onnx.py",
    "test_onnx_real.py",
    "test_costs.py",
    "test_bad_input.py",
    "test_bad_folders.py",
    "test_converter_bytes.py",
    "test_official_tools.py",
    "test_converters_onnx.py",
    "test_taps.py",
    "test_artifacts.py",
    "test_sensitivity.py",
    "test_recurrent.py",
    "test_tab_bytes.py",
    "test_tab_page.py",
    "test_phone.py",
    "test_float_layers.py",
    "test_tune_study.py",
    "test_shards_study.py",
    "test_study_truth.py",
    "test_inspect.py",
    "test_statistics_equivalence.py",
    "test_statistics_paired.py",
    "test_samples.py",
    "test_statistics_compiled.py",
    "test_statistics_metrics.py",
    "test_statistics_layers.py",
    "test_store.py",
)
"""Files that take longest, the longest first, so that none is begun last and keeps one core busy alone."""

MARK_IT = "this test is not quick: it {}; mark it, or its file, with pytest.mark.starts_children"


def mark_by_fixtures(items: Sequence[pytest.Item]) -> None:
    """Mark what uses a fixture that children make."""
    for item in items:
        if FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("starts_children")


def longest_first(items: list[pytest.Item]) -> None:
    """Sort by file, in the order in which they are to be begun; tests of a file stay as they are."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def starts_slowly(command: Sequence[str]) -> bool:
    """Whether a program is a worker in Python, Node.js or a browser; asking for a version is quick.

    >>> starts_slowly(["python", "-P", "-m", "quantlab.worker.fork_server", "7"]), starts_slowly(["node", "--version"])
    (True, False)
    """
    program = Path(command[0]).name
    if "--version" in command[1:]:
        return False
    module = command[command.index("-m") + 1] if "-m" in command[:-1] else ""
    return module.startswith(("quantlab.worker", "quantlab_converters")) or program.startswith(("node", "chrom"))


class Quick:
    """The plugin of `--quick`."""

    def __init__(self) -> None:
        self._noted = Path(os.environ[VARIABLE])  # now, since a test may set the variables for a while
        sys.addaudithook(self._look)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what is marked."""
        slow = [item for item in items if item.get_closest_marker("starts_children")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("starts_children")]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        return (yield from self._held(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        return (yield from self._held(item))

    def _held(self, item: pytest.Item) -> Generator[None, object, object]:
        result = yield
        if any(imported.test.startswith(f"{item.nodeid} ") for imported in imports(self._noted)):
            pytest.fail(MARK_IT.format("imports TensorFlow"), pytrace=False)
        return result

    @staticmethod
    def _look(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            given = arguments[1]
            command = [os.fsdecode(word) for word in ([given] if isinstance(given, str | bytes) else given)]
            if starts_slowly(command):
                # No Exception, which the code under test might answer.
                pytest.fail(MARK_IT.format(f"starts {' '.join(command[:4])}"), pytrace=False)
