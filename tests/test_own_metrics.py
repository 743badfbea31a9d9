"""Metrics of a user that do not return: each costs one sentence and the exit status 2, and prints nothing."""

import textwrap
from pathlib import Path

import numpy as np
import pytest
from verdict_fixtures import answers, write_study

from quantlab.cli import run
from quantlab.errors import UsageError
from quantlab.user_functions import CalledMetric

pytestmark = pytest.mark.starts_children

MODULE = """
    import os, signal, time

    def right(outputs, labels): return float((outputs.argmax(1) == labels).mean())

    def printing(outputs, labels):
        print("on standard output")
        os.system("echo on standard output too")
        return right(outputs, labels)
    def forking(outputs, labels):
        os.fork()
        return right(outputs, labels)
    def leaving(outputs, labels): raise SystemExit(0)
    def gone(outputs, labels): os._exit(0)
    def crashing(outputs, labels): os.kill(os.getpid(), signal.SIGSEGV)
    def interrupted(outputs, labels): raise KeyboardInterrupt
    class Odd(BaseException): pass
    def odd(outputs, labels): raise Odd("of its own kind")
    def constant(outputs, labels): return 0.5
    def raising(outputs, labels): raise RuntimeError("no network")
    def ending(outputs, labels): raise GeneratorExit
    def sleeping(outputs, labels): time.sleep(600)
"""


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch) -> Path:
    """A study in the current folder, beside the module of the metrics."""
    monkeypatch.chdir(tmp_path)
    Path("metrics_that_fail.py").write_text(textwrap.dedent(MODULE))
    labels = np.arange(200) % 10
    write_study(tmp_path / "own.study", labels, answers(labels), {("tfjs-uint8", "python"): answers(labels)})
    return tmp_path / "own.study"


def gate(name: str) -> int:
    return run(["gate", "own.study", "--max-accuracy-loss", "5%", "--metric", f"metrics_that_fail:{name}:higher"])


@pytest.mark.parametrize("name", ["printing", "forking"])
def test_what_a_metric_does_beside_is_its_own(name, capfd):
    with CalledMetric(f"metrics_that_fail:{name}", UsageError) as metric:
        assert [metric(np.eye(3), np.arange(3)) for _ in range(2)] == [1.0, 1.0]
    assert capfd.readouterr().out == ""


ENDED = "ended its process instead of returning"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("leaving", "raised SystemExit (0)", id="sys.exit"),
        pytest.param("gone", f"{ENDED} (the process exited with status 0)", id="os._exit"),
        pytest.param("crashing", f"{ENDED} (the process was ended by SIGSEGV)", id="a crash"),
        pytest.param("interrupted", f"{ENDED} (the process", id="KeyboardInterrupt"),
        pytest.param("odd", f"{ENDED} (the process", id="an exception that is none"),
        pytest.param("ending", f"{ENDED} (the process", id="GeneratorExit"),
        pytest.param("raising", "raised RuntimeError (no network)", id="an exception"),
    ],
)
def test_a_metric_that_does_not_return(name, reason, capfd):
    assert gate(name) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"quantlab: the metric 'metrics_that_fail:{name}' {reason}")
    assert printed.err.endswith(
        ("; call it directly to see where\n", "resamples of it, in which a class may be missing\n")
    )
    assert printed.err.count("\n") == 1


def test_a_metric_that_never_ends():
    labels = np.zeros(3)
    with (
        CalledMetric("metrics_that_fail:sleeping", UsageError, stall_seconds=0.5) as metric,
        pytest.raises(UsageError, match=r"sleeping' did not answer for 0\.5 seconds and was ended; if it only needs"),
    ):
        metric(labels, labels)


def test_a_metric_that_is_always_the_same_judges_nothing(capsys):
    assert gate("constant") == 2
    assert capsys.readouterr().err == (
        "quantlab: the metric 'metrics_that_fail:constant' is 0.5 for the model on 200 samples, and the same if the "
        "ground truth is in another order, so it tells nothing of what is right. Nothing can be judged by it; correct "
        "the metric or the ground truth, or insist with --allow-poor-reference\n"
    )
