"""The count of TensorFlow imports: which processes are recorded, and what is printed."""

import os
import subprocess
import sys

import pytest
from import_count import COUNTED, Import, imports, summary
from tensorflow_imports import VARIABLE


@pytest.fixture
def noted(tmp_path, monkeypatch):
    """What a program notes that has a TensorFlow of no more than two empty modules."""
    (tmp_path / "tensorflow" / "python").mkdir(parents=True)
    (tmp_path / "tensorflow" / "__init__.py").write_text("import tensorflow.python")
    (tmp_path / "tensorflow" / "python" / "__init__.py").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "imports.jsonl"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([COUNTED, str(tmp_path)]))
    (tmp_path / "imports.jsonl").touch()

    def run(program):
        subprocess.run([sys.executable, "-c", program], check=True)
        return imports(tmp_path / "imports.jsonl")

    return run


@pytest.mark.parametrize(
    ("program", "count"),
    [
        pytest.param("import tensorflow", 1, id="imports it"),
        pytest.param("import tensorflow, os; os.fork(); import tensorflow.python", 1, id="forks after it has"),
        pytest.param("import os; os.wait() if os.fork() else 0; import tensorflow", 2, id="forks before"),
        pytest.param("import importlib.util; importlib.util.find_spec('tensorflow')", 0, id="asks whether it is there"),
        pytest.param("import json", 0, id="imports something else"),
    ],
)
def test_a_program_is_noted_that(program, count, noted):
    made = noted(program)
    assert len(made) == count
    assert all(imported.command[-1] == program and "test_a_program_is_noted_that" in imported.test for imported in made)


def test_the_summary():
    made = [
        Import(("python", "-P", "-m", "quantlab.worker.fork_server", "7"), "tests/test_a.py::test_b (call)"),
        Import(("python", "-c", "import tensorflow"), "tests/test_c.py::test_d (setup)"),
        Import(("python", "-c", "import tensorflow"), "tests/test_cli.py::test_doctor (call)"),
        Import(("python", "-c", "import tensorflowjs"), "tests/test_e.py::test_f (call)"),
        Import(("python", "recipe.py"), "tests/test_g.py::test_a_recipe (call)"),
    ]
    assert summary(made) == [
        "2 by our own processes",
        "    fork servers: tests/test_a.py::test_b (call)",
        "    other programs of the tests: tests/test_c.py::test_d (setup)",
        "1 by quantlab doctor, counted apart",
        "1 by recipes, as users run them, counted apart",
        "1 by official programs, counted apart",
    ]
