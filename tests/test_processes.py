"""Child processes: their messages, how they end, and that none is left behind."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from contracts import child_processes

from quantlab.errors import ModelError, QuantlabError
from quantlab.processes import (
    Child,
    ChildDied,
    ChildStalled,
    describe,
    import_modules,
    python_environment,
)

SERVER = """
import os, sys, time
from quantlab.errors import ModelError
from quantlab.processes import serve

def handle(message, emit):
    task = message["task"]
    if task == "echo":
        print("a library prints in Python")
        os.system("echo a library prints in C")
        emit({"type": "echo", "text": message["text"]})
    elif task == "refuse":
        raise ModelError("the model is\\nno model; give another")
    elif task == "fail":
        raise OSError("disk on fire")
    elif task == "nan":
        emit({"type": "value", "value": float("nan")})
    elif task == "sleep":
        emit({"type": "asleep", "pid": os.getpid()})
        time.sleep(600)

serve(handle)
"""


@pytest.fixture
def log(tmp_path):
    return tmp_path / "logs" / "child.log"


@pytest.fixture(autouse=True)
def _no_process_is_left():
    before = child_processes()
    yield
    assert child_processes() == before


def python_child(log, program):
    return Child([sys.executable, "-c", program], log=log, environment=python_environment(onednn=False))


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        pytest.param("", "the process exited with status 0", id="says nothing"),
        pytest.param(
            "import sys; print('one\\n  two  \\n\\n', file=sys.stderr); sys.exit(3)",
            "the process exited with status 3; its log ends with: two",
            id="says why in its log",
        ),
        pytest.param("import os; os.abort()", "the process was ended by SIGABRT", id="aborts"),
        pytest.param(
            "import os; os.kill(os.getpid(), 9)",
            "the process was ended by SIGKILL, perhaps because the system ran out of memory",
            id="is killed",
        ),
        pytest.param(
            "print('[1, 2]')",
            "the process was ended because it sent '[1, 2]' where a message was expected",
            id="answers with a list",
        ),
        pytest.param(
            "print('Loading', flush=True); import time; time.sleep(600)",
            "the process was ended because it sent 'Loading' where a message was expected",
            id="lets a library print",
        ),
        pytest.param(
            """print('{"done": 1}')""",
            """the process was ended because it sent '{"done": 1}' where a message was expected""",
            id="leaves out what kind of message it is",
        ),
    ],
)
def test_a_child_that_dies(program, sentence, log):
    with python_child(log, program) as child:
        child.send({"task": "anything"})
        with pytest.raises(ChildDied) as died:
            child.receive(60)
    assert str(died.value) == sentence


def test_what_it_said_before_it_died_is_heard(log):
    program = """print('{"type": "progress", "done": 1}', flush=True); import os; os.abort()"""
    with python_child(log, program) as child:
        messages = child.messages(60)
        assert next(messages) == {"type": "progress", "done": 1}
        with pytest.raises(ChildDied):
            next(messages)


def test_a_child_that_hangs_is_ended_with_all_that_it_started(log, tmp_path):
    noted = tmp_path / "grandchild"
    program = f"""
import pathlib, subprocess, time
started = subprocess.Popen(["sleep", "600"])
pathlib.Path({str(noted)!r}).write_text(str(started.pid))
print('{{"type": "ready"}}', flush=True)
time.sleep(600)
"""
    with python_child(log, program) as child:
        assert child.receive(60) == {"type": "ready"}
        assert child.alive
        with pytest.raises(ChildStalled) as stalled:
            child.receive(0.2)
        assert not child.alive
    assert str(stalled.value) == (
        "the process sent nothing for 0.2 seconds and was ended; if it only needs more time, raise --time-limit"
    )
    assert _is_gone(int(noted.read_text()))


def test_a_long_request_to_a_child_that_never_reads_stalls(log):
    with python_child(log, "import time; time.sleep(600)") as child:
        child.send({"task": "echo", "text": "a" * 1_000_000})
        with pytest.raises(ChildStalled):
            child.receive(0.2)
    assert not child.alive


def test_a_long_request_arrives_whole(log):
    with python_child(log, SERVER) as child:
        child.send({"task": "echo", "text": "a" * 1_000_000})
        assert list(child.messages(60)) == [{"type": "echo", "text": "a" * 1_000_000}, {"type": "done"}]


def _is_gone(pid):
    """A process that is nobody's child any more takes the system a moment."""
    for _ in range(200):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_closing_twice_is_closing_once(log):
    child = python_child(log, "import time; time.sleep(600)")
    child.close()
    child.close()
    assert not child.alive
    with pytest.raises(ChildDied) as died:
        child.receive(60)
    assert str(died.value).startswith("the process was ended by SIGKILL")


def test_a_server_answers_one_request_after_another(log):
    with python_child(log, SERVER) as child:
        child.send({"task": "echo", "text": "é" * 300_000})
        assert list(child.messages(60)) == [{"type": "echo", "text": "é" * 300_000}, {"type": "done"}]
        child.send({"task": "refuse"})
        child.send({"task": "fail"})
        assert list(child.messages(60)) == [
            {"type": "failed", "reason": "the model is no model; give another", "expected": True}
        ]
        assert list(child.messages(60)) == [{"type": "failed", "reason": "OSError: disk on fire", "expected": False}]
        child.send({"task": "nan"})
        (failed,) = child.messages(60)
        assert (failed["type"], failed["expected"]) == ("failed", False)
        child.send({"task": "echo", "text": "still here"})
        assert list(child.messages(60)) == [{"type": "echo", "text": "still here"}, {"type": "done"}]
    text = log.read_text()
    assert text.count("a library prints in Python") == text.count("a library prints in C") == 2


def test_a_server_ends_in_the_middle_of_its_work_when_its_parent_is_gone(log):
    """The parent is a process of its own, which is killed, so that nobody closes anything."""
    program = f"""
import os, sys
from pathlib import Path
from quantlab.processes import Child
child = Child([sys.executable, "-c", {SERVER!r}], log=Path({str(log)!r}), environment={{}})
child.send({{"task": "sleep"}})
os.write(1, b'{{"type": "started", "pid": %d}}\\n' % child.receive(60)["pid"])
os.kill(os.getpid(), 9)
"""
    with python_child(log, program) as parent:
        pid = parent.receive(60)["pid"]
        with pytest.raises(ChildDied):
            parent.receive(60)
    assert _is_gone(pid)


@pytest.mark.parametrize("onednn", [True, False], ids=["on", "off"])
def test_the_environment_of_a_child(onednn, log, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "7")
    program = """
import json, os, quantlab, quantlab_converters
print(json.dumps({"type": "done", "onednn": os.environ["TF_ENABLE_ONEDNN_OPTS"]}))
"""
    child = Child([sys.executable, "-c", program], log=log, environment=python_environment(onednn=onednn))
    with child:
        assert child.receive(60) == {"type": "done", "onednn": "1" if onednn else "0"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param(" \n\n", "", id="blank lines"),
        pytest.param("first\n  last \n\n", "; its log ends with: last", id="the last that says something"),
        pytest.param("x" * 9000, "; its log ends with: " + "x" * 300, id="a long line"),
        pytest.param("x" * 9000 + "\nlast", "; its log ends with: last", id="after a long line"),
    ],
)
def test_the_last_words_in_a_log(text, line, log):
    log.parent.mkdir()
    log.write_text("the last words of another\n")
    with (
        pytest.raises(ChildDied) as died,
        python_child(log, f"import sys; sys.stderr.write({text!r}); sys.exit(1)") as child,
    ):
        child.receive(60)
    assert str(died.value) == f"the process exited with status 1{line}"


def test_a_log_of_its_own_has_no_words_of_others_or_of_an_earlier_request(log):
    log.parent.mkdir()
    log.write_text("the last words of another\n")
    program = [sys.executable, "-c", SERVER]
    with Child(program, log=log, environment=python_environment(onednn=False), own_log=True) as child:
        child.send({"task": "echo", "text": ""})
        list(child.messages(60))
        child.end_of_request()
        child.send({"task": "sleep"})
        os.kill(child.receive(60)["pid"], signal.SIGTERM)
        with pytest.raises(ChildDied) as died:
            child.receive(60)
    assert str(died.value) == "the process was ended by SIGTERM"
    assert log.read_text().startswith("the last words of another\na library prints")


def test_a_log_of_its_own_has_what_was_printed_before_the_first_request(log):
    program = [sys.executable, "-c", "import sys; sys.exit('out of luck')"]
    with Child(program, log=log, environment=python_environment(onednn=False), own_log=True) as child:
        while child.alive:
            time.sleep(0.01)
        child.send({"task": "anything"})
        with pytest.raises(ChildDied) as died:
            child.receive(60)
    assert str(died.value) == "the process exited with status 1; its log ends with: out of luck"


GRAPH_ERROR = """Detected at node y defined at (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main

  File "/a/b.py", line 3, in c

KeyError: none
Traceback (most recent call last):

  File "/a/b.py", line 3, in c
    raise KeyError("none")

\t [[{{node y}}]]"""
"""As TensorFlow words what went wrong in a graph."""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        pytest.param(ModelError("no model;\n give one"), "no model; give one", id="our own"),
        pytest.param(OSError("disk\n on fire"), "OSError: disk on fire", id="another's"),
        pytest.param(ValueError(), "ValueError", id="without a text"),
        pytest.param(
            ValueError(GRAPH_ERROR), "ValueError: Detected at node y: KeyError: none [[{{node y}}]]", id="a stack"
        ),
        pytest.param(
            ValueError('in user code:\n\n    File "a.py", line 2, in f  *\n        return x\n\n    KeyError: none\n'),
            "ValueError: in user code: KeyError: none",
            id="a stack with lines of code",
        ),
        pytest.param(ValueError("x" * 900), "ValueError: " + "x" * 500, id="with pages of text"),
    ],
)
def test_describe(error, line):
    assert describe(error) == line


def test_modules_are_found_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(os.fspath(tmp_path / "elsewhere"))
    (tmp_path / "registers_something.py").write_text("import sys; sys.registered = 'yes'")
    monkeypatch.setattr(sys, "registered", "no", raising=False)
    import_modules(["registers_something"])
    assert sys.registered == "yes"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("no_such_module", "ModuleNotFoundError: No module named 'no_such_module'", id="missing"),
        pytest.param("raises", "ZeroDivisionError: division by zero", id="raises"),
        pytest.param("leaves", "SystemExit: 3", id="leaves"),
    ],
)
def test_modules_that_cannot_be_imported(name, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raises.py").write_text("1 / 0")
    (tmp_path / "leaves.py").write_text("import sys; sys.exit(3)")
    with pytest.raises(QuantlabError) as refused:
        import_modules([name])
    assert str(refused.value) == (
        f"the module '{name}', named with --custom, could not be imported ({why}); "
        f"give the name of a module that Python finds from the current folder"
    )
