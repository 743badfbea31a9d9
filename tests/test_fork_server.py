"""Children that are forks of a fork server: what they are given, what they cannot spoil, and that none is left."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contracts import child_processes
from fork_child import __file__ as fork_child

from quantlab.processes import Child, ChildDied, ChildStalled, Preload, PythonModule, fork_servers
from quantlab.user_modules import look_in_current_folder

pytestmark = [
    pytest.mark.starts_children,
    pytest.mark.skipif(sys.platform != "linux", reason="children are forks on Linux only"),
]

ENVIRONMENT = {"TF_OF_THESE_TESTS": "1"}
"""A variable that makes these tests' servers other ones than those that have imported TensorFlow for all tests."""

SECONDS = 60
"""For an answer, on a machine that does other things too."""


@pytest.fixture(scope="module", autouse=True)
def _end_our_servers() -> Iterator[None]:
    before = fork_servers()
    yield
    for server in fork_servers() - before:
        os.kill(server, signal.SIGKILL)
        assert is_gone(server)
    assert fork_servers() <= before  # which also waits for them as their parent


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    before = child_processes()
    yield
    assert child_processes() == before


@pytest.fixture
def start(tmp_path) -> Callable[..., Child]:
    def start(
        module: str = "fork_child", *, environment=None, temporary: Path | None = None, preload=(), without=()
    ) -> Child:
        return Child(
            PythonModule(module, Preload(preload, without)),
            log=tmp_path / "child.log",
            environment={**ENVIRONMENT, **(environment or {})},
            temporary=temporary,
        )

    return start


def ask(child: Child, code: str):
    """What code says in a child."""
    child.send({"code": textwrap.dedent(code)})
    *said, last = child.messages(SECONDS)
    assert last == {"type": "done"}
    return said[0]["value"] if said else None


def obituary(child: Child, code: str) -> str:
    child.send({"code": textwrap.dedent(code)})
    with pytest.raises(ChildDied) as died:
        child.receive(SECONDS)
    return str(died.value)


def server_of(child: Child) -> int:
    return ask(child, "import os; say(os.getppid())")


def is_gone(pid: int, seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


class TestSurroundings:
    """A child finds what a process that was started anew would find."""

    def test_environment_folder_path_and_arguments(self, start, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with start(environment={"A_VARIABLE": "né"}) as child:
            surroundings = ask(
                child,
                """
                import ctypes, os, sys
                getenv = ctypes.CDLL(None).getenv
                getenv.restype = ctypes.c_char_p
                say([os.environ["A_VARIABLE"], getenv(b"A_VARIABLE").decode(), os.getcwd(), sys.path, sys.argv[1:],
                     os.path.basename(sys.argv[0]), sys.modules["__main__"].__spec__.name])
                """,
            )
        assert surroundings == ["né", "né", str(tmp_path), _expected_path(), [], "fork_child.py", "fork_child"]

    def test_a_session_and_a_group_of_its_own(self, start):
        with start() as child:
            pid, group, session = ask(child, "import os; say([os.getpid(), os.getpgid(0), os.getsid(0)])")
            assert pid == group == session == child.pid
            assert child.pid not in fork_servers()

    def test_signals_are_handled_as_in_a_new_process(self, start, monkeypatch):
        code = "import signal; say([str(signal.getsignal(number)) for number in sorted(signal.valid_signals())])"
        with start() as child:
            forked = ask(child, code), ask(child, "import signal; say(len(signal.pthread_sigmask(0, [])))")
        monkeypatch.setenv("QUANTLAB_FORK", "0")
        with start() as child:
            assert (ask(child, code), ask(child, "import signal; say(len(signal.pthread_sigmask(0, [])))")) == forked

    def test_nothing_is_open_that_a_new_process_has_not(self, start, monkeypatch):
        code = """
            import os
            listed = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if number != "x"
                      and os.path.exists(f"/proc/self/fd/{number}")]
            say(sorted(target.partition(":")[0] for target in listed))
            """
        with start(), start() as child:
            forked = ask(child, code)
        monkeypatch.setenv("QUANTLAB_FORK", "0")
        with start() as child:
            assert ask(child, code) == forked

    def test_siblings_draw_other_numbers(self, start):
        code = """
            import random, numpy, uuid
            say([random.random(), float(numpy.random.rand()), float(numpy.random.default_rng().random()),
                 str(uuid.uuid4())])
            """
        with start(preload=("numpy",)) as one, start(preload=("numpy",)) as other:
            drawn = ask(one, code), ask(other, code)
            assert server_of(one) == server_of(other)
        assert all(a != b for a, b in zip(*drawn, strict=True))

    def test_what_is_preloaded_does_without_what_no_child_needs(self, start):
        code = "import sys; say('_pydecimal' in sys.modules); import _decimal; say('_decimal' in sys.modules)"
        with start(environment={"TF_DECIMAL": "1"}, preload=("decimal",), without=("_decimal",)) as child:
            child.send({"code": code})
            assert [said.get("value") for said in child.messages(SECONDS)] == [True, True, None]

    def test_temporary_files_go_with_the_child(self, start, tmp_path):
        with start(temporary=tmp_path / "temporary") as child:
            file = Path(ask(child, "import tempfile; say(tempfile.mkstemp()[1])"))
            assert file.parent.parent == tmp_path / "temporary"
            assert file.exists()
        assert list((tmp_path / "temporary").iterdir()) == []

    def test_no_library_is_taken_from_the_current_folder(self, start, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("json.py", "keras.py", "wave.py"):
            (tmp_path / name).write_text("raise SystemExit('taken from the current folder')")
        (tmp_path / "own_layers.py").write_text("MINE = 'found'")
        with start() as child:
            assert ask(child, "import json, wave; say(wave.__file__)") != str(tmp_path / "wave.py")
            code = "from quantlab.processes import import_modules; import_modules(['own_layers', 'wave']); import sys;"
            assert ask(child, f"{code} say(sys.modules['own_layers'].MINE)") == "found"
            assert ask(child, "import sys; say(sys.path[-1])") == str(tmp_path)

    def test_a_loader_of_the_user_changes_neither_the_server_nor_where_children_look(
        self, start, tmp_path, monkeypatch
    ):
        with start() as child:
            before, servers = ask(child, "import sys; say(sys.path)"), fork_servers()
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.chdir(tmp_path)
        look_in_current_folder(first=True)
        assert sys.path[0] == str(tmp_path)
        with start() as child:
            assert ask(child, "import sys; say(sys.path)") == before
        assert fork_servers() == servers


def _expected_path() -> list[str]:
    from quantlab.processes import import_path

    return import_path()


class TestEnding:
    """How a child ended is told in the words that a new process gets."""

    @pytest.mark.parametrize("fork", ["1", "0"], ids=["forked", "new"])
    @pytest.mark.parametrize(
        ("code", "sentence"),
        [
            pytest.param("import os; os._exit(3)", "the process exited with status 3", id="leaves at once"),
            pytest.param(
                "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
                "the process was ended by SIGINT; its log ends with: KeyboardInterrupt",
                id="is interrupted",
            ),
            pytest.param("import os; os.abort()", "the process was ended by SIGABRT", id="aborts"),
            pytest.param(
                "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
                "the process was ended by SIGTERM",
                id="is asked to end",
            ),
            pytest.param(
                "import os; os.kill(os.getpid(), 9)",
                "the process was ended by SIGKILL, which may be the system that ran out of memory",
                id="is killed",
            ),
            pytest.param(
                "import ctypes; ctypes.string_at(0)", "the process was ended by SIGSEGV", id="reads at address 0"
            ),
        ],
    )
    def test_status_and_signal(self, code, sentence, fork, start, monkeypatch):
        monkeypatch.setenv("QUANTLAB_FORK", fork)
        with start() as child:
            assert obituary(child, code) == sentence

    @pytest.mark.parametrize("fork", ["1", "0"], ids=["forked", "new"])
    def test_a_library_that_leaves_costs_one_request(self, fork, start, monkeypatch):
        monkeypatch.setenv("QUANTLAB_FORK", fork)
        with start() as child:
            child.send({"code": "import sys; sys.exit('no more')"})
            assert list(child.messages(SECONDS)) == [
                {"type": "failed", "reason": "SystemExit: no more", "expected": False}
            ]
            assert ask(child, "say('still here')") == "still here"

    def test_a_module_that_is_not_there(self, start):
        with start("no_such_module") as child:
            assert obituary(child, "") == (
                "the process exited with status 1; its log ends with: ImportError: No module named no_such_module"
            )

    def test_what_it_started_ends_with_it(self, start):
        with start() as child:
            grandchild = ask(child, "import subprocess; say(subprocess.Popen(['sleep', '600']).pid)")
            obituary(child, "import os; os._exit(0)")
        assert is_gone(grandchild)

    @pytest.mark.parametrize(
        "code",
        [
            pytest.param("import time; time.sleep(600)", id="sleeps"),
            pytest.param("while True: pass", id="spins"),
            pytest.param("pow(3, 10**7, 10**4000000)", id="is busy in C and holds the lock"),
            pytest.param(
                "import signal\nfor number in (2, 15, 1): signal.signal(number, signal.SIG_IGN)\nwhile True: pass",
                id="ignores signals",
            ),
        ],
    )
    def test_a_child_that_does_not_answer(self, code, start):
        with start() as child:
            ask(child, "")
            child.send({"code": code})
            with pytest.raises(ChildStalled):
                child.receive(0.3)
            assert not child.alive


class TestNothingSpreads:
    """What one child does to itself is not seen by the next."""

    @pytest.mark.parametrize(
        "code",
        [
            pytest.param("import json; json.dumps = json.loads = None", id="breaks a module"),
            pytest.param("import os; os.environ.clear(); os.chdir('/')", id="changes variables and folder"),
            pytest.param("import sys; sys.path.clear(); sys.modules.clear()", id="clears modules"),
            pytest.param("import os; kept = [os.open('/dev/null', 0) for _ in range(200)]", id="leaks descriptors"),
            pytest.param("import os; os.closerange(3, 1000)", id="closes descriptors that are not its own"),
            pytest.param(
                "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()", id="spins"
            ),
            pytest.param("import os; os.kill(os.getpid(), 11)", id="crashes"),
            pytest.param("import gc; gc.disable(); kept = bytearray(300_000_000)", id="eats memory"),
            pytest.param(
                "import signal\nfor number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)", id="ignores signals"
            ),
        ],
    )
    def test_to_the_next(self, code, start):
        look = """
            import gc, json, os, signal, sys
            say([json.dumps(json.loads("[1]")), sorted(os.environ), os.getcwd(), sys.path,
                 len(os.listdir("/proc/self/fd")), gc.isenabled(), str(signal.getsignal(15)), os.getppid()])
            """
        with start() as child:
            before = ask(child, look)
        with start() as child:
            child.send({"code": code})
            with contextlib.suppress(ChildDied):
                child.receive(SECONDS)
            with start() as sibling:
                assert ask(sibling, look) == before
        with start() as child:
            assert ask(child, look) == before

    def test_a_fork_that_comes_back_says_nothing(self, start):
        with start() as child:
            assert ask(child, "import os; forked = os.fork(); say(1); os.waitpid(forked, 0)") == 1
            assert ask(child, "say(2)") == 2

    @pytest.mark.parametrize("then", ["", "1 / 0"], ids=["and is imported", "and raises"])
    def test_a_module_that_forks_is_imported_by_one_process(self, then, start, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "forks_at_import.py").write_text(f"import os\nos.forked = os.fork()\n{then}")
        code = """
            import os
            from quantlab.errors import QuantlabError
            from quantlab.processes import import_modules
            try:
                import_modules(["forks_at_import"])
            except QuantlabError:
                pass
            with open("did", "a") as file:
                file.write("once ")
            os.waitpid(os.forked, 0)
            """
        with start() as child:
            ask(child, code)
        assert (tmp_path / "did").read_text() == "once "


class TestServers:
    """There is one server for each set of variables that libraries read at import, and it can be replaced."""

    def test_children_of_the_same_variables_share_one(self, start):
        with start() as one, start(environment={"ANOTHER": "1", "TF_NUM_INTRAOP_THREADS": "3"}) as other:
            assert server_of(one) == server_of(other)
            assert server_of(one) in fork_servers()

    def test_each_mode_of_onednn_has_its_own(self, start):
        with (
            start(environment={"TF_ENABLE_ONEDNN_OPTS": "0"}) as off,
            start(environment={"TF_ENABLE_ONEDNN_OPTS": "1"}) as on,
        ):
            assert server_of(off) != server_of(on)
            code = "import os; say(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
            assert (ask(off, code), ask(on, code)) == ("0", "1")
            started = (
                "say(open(f'/proc/{__import__(\"os\").getppid()}/environ').read().count('TF_ENABLE_ONEDNN_OPTS=0'))"
            )
            assert (ask(off, started), ask(on, started)) == (1, 0)

    def test_a_variable_that_is_set_later_is_honoured(self, start, monkeypatch):
        with start() as before:
            server = server_of(before)
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        with start() as after:
            assert ask(after, "import os; say(os.environ['TF_ENABLE_ONEDNN_OPTS'])") == "0"
            assert server_of(after) != server

    def test_none_where_they_are_not_wanted(self, start, monkeypatch):
        monkeypatch.setenv("QUANTLAB_FORK", "0")
        with start() as child:
            assert server_of(child) == os.getpid()

    def test_one_that_was_killed_is_replaced(self, start):
        with start() as child:
            server = server_of(child)
            os.kill(server, signal.SIGKILL)
            assert is_gone(server)
            assert ask(child, "say('lives on')") == "lives on"
            with start() as other:
                assert server_of(other) in fork_servers() - {server}
            assert child.alive
            assert obituary(child, "import os; os._exit(3)") == (
                "the process ended: the fork server ended too, so that its exit status is not known"
            )

    def test_one_without_room_for_descriptors_goes_on(self, start):
        environment = {"TF_OF_THIS_TEST": "few descriptors"}
        before = fork_servers()
        with start(environment=environment) as child:
            assert ask(child, "say('here')") == "here"
        (server,) = fork_servers() - before
        limits = resource.prlimit(server, resource.RLIMIT_NOFILE)
        held = len(list(Path(f"/proc/{server}/fd").iterdir()))
        resource.prlimit(server, resource.RLIMIT_NOFILE, (held + 1, limits[1]))  # the control socket, to say so by
        with start(environment=environment) as refused, pytest.raises(ChildDied) as died:
            refused.receive(SECONDS)
        assert str(died.value) == "the process could not be started (Too many open files)"
        resource.prlimit(server, resource.RLIMIT_NOFILE, limits)
        with start(environment=environment) as child:
            assert ask(child, "say('still here')") == "still here"
        assert server in fork_servers()

    def test_one_that_is_killed_before_it_answers_costs_one_child(self, start):
        with start() as child:
            server = server_of(child)
        os.kill(server, signal.SIGSTOP)
        with start() as child:
            os.kill(server, signal.SIGKILL)
            assert obituary(child, "") == "the process ended: the fork server ended before it"
        with start() as child:
            assert server_of(child) != server

    def test_a_child_that_is_ended_before_its_server_looks_never_runs(self, start, tmp_path):
        with start() as child:
            server = server_of(child)
        os.kill(server, signal.SIGSTOP)
        try:
            waiting = start()
            waiting.send({"code": f"open({str(tmp_path / 'ran')!r}, 'w')"})
            began = time.monotonic()
            waiting.close()
            assert time.monotonic() - began < 5
            assert not waiting.alive
        finally:
            os.kill(server, signal.SIGCONT)
        with start() as child:
            assert server_of(child) == server
        assert not (tmp_path / "ran").exists()

    def test_the_longest_unused_is_ended_but_not_one_at_work(self, program):
        program(
            """
            children = [start(environment={"TF_NUMBER": str(number)}) for number in range(6)]
            servers = [server_of(child) for child in children]
            assert len(set(servers)) == 6 and [ask(child, "say(1)") for child in children] == [1] * 6
            for child in children:
                child.close()
            with start(environment={"TF_NUMBER": "6"}):
                pass
            assert len(fork_servers()) == 4, fork_servers()
            assert set(servers[-3:]) < fork_servers()
            """
        )


PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from quantlab.processes import Child, ChildDied, Preload, PythonModule, fork_servers

def start(preload=(), environment={}, module="fork_child"):
    return Child(PythonModule(module, Preload(tuple(preload))), log=Path("child.log"), environment=environment,
                 temporary=Path("temporary"))

def ask(child, code):
    child.send({"code": code})
    *said, last = child.messages(60)
    assert last == {"type": "done"}, last
    return said[0]["value"] if said else None

def server_of(child):
    return ask(child, "import os; say(os.getppid())")

def obituary(child):
    try:
        child.receive(60)
    except ChildDied as error:
        return str(error)

"""


@pytest.fixture
def program(tmp_path) -> Callable[..., str]:
    """Runs a program of its own, with this folder's modules on its import path, and returns what it prints."""

    def run(code: str, *, killed: bool = False) -> str:
        answer = subprocess.run(
            [sys.executable, "-c", PROGRAM + textwrap.dedent(code)],
            cwd=tmp_path,
            env=program_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert answer.returncode == (-9 if killed else 0), answer.stderr
        return answer.stdout

    return run


def program_environment(folder: Path) -> dict[str, str]:
    path = [str(folder / "modules"), str(Path(fork_child).parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "TMPDIR": str(folder)}


class TestPreloads:
    """A module that cannot be imported is told of by the child that needs it."""

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            pytest.param(
                "1 / 0",
                "the process exited with status 1; its log ends with: ZeroDivisionError: division by zero",
                id="raises",
            ),
            pytest.param(
                None,
                "the process exited with status 1; its log ends with: ModuleNotFoundError: No module named 'slow'",
                id="is missing",
            ),
            pytest.param(
                "raise SystemExit('not here')",
                "the process exited with status 1; its log ends with: not here",
                id="leaves",
            ),
            pytest.param(
                "import os; print('goodbye', flush=True); os._exit(3)",
                "the process ended: the fork server ended before it; its log ends with: goodbye",
                id="leaves at once, and the server with it",
            ),
        ],
    )
    def test_that_fails(self, text, sentence, program, tmp_path):
        (tmp_path / "modules").mkdir()
        (tmp_path / "modules" / "needs_slow.py").write_text("import slow")
        if text is not None:
            (tmp_path / "modules" / "slow.py").write_text(text)
        said = program(
            """
            for _ in range(2):
                with start(["slow"], module="needs_slow") as child:
                    print(obituary(child))
            with start() as child:
                print(ask(child, "say('the next one')"))
            """
        )
        assert said.splitlines() == [sentence, sentence, "the next one"]


class TestTheOwner:
    """Servers, children and temporary files end with the program."""

    @pytest.mark.parametrize(
        "code",
        [
            pytest.param("import time; time.sleep(600)", id="a child sleeps"),
            pytest.param("pow(3, 10**7, 10**4000000)", id="a child is busy in C and holds the lock"),
            pytest.param(
                "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)",
                id="a child has started another",
            ),
        ],
    )
    def test_is_killed(self, code, program, tmp_path):
        printed = program(
            f"""
            child = start()
            ask(child, "import tempfile; tempfile.mkstemp()")
            child.send({{"code": {code!r}}})
            time.sleep(0.5)
            print(*fork_servers(), child.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
            """,
            killed=True,
        )
        assert [pid for pid in map(int, printed.split()) if not is_gone(pid)] == []
        assert self._gone(tmp_path / "temporary")

    def test_is_killed_with_its_server(self, program):
        printed = program(
            """
            child = start()
            child.send({"code": "say(1); import time; time.sleep(600)"})
            child.receive(60)
            (server,) = fork_servers()
            print(server, child.pid, flush=True)
            os.kill(server, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
            """,
            killed=True,
        )
        assert [pid for pid in map(int, printed.split()) if not is_gone(pid)] == []

    def test_is_killed_while_a_server_imports(self, program, tmp_path):
        (tmp_path / "modules").mkdir()
        (tmp_path / "modules" / "slow.py").write_text("import time\nfor _ in range(1000): time.sleep(0.05)")
        printed = program(
            """
            child = start()
            pid = ask(child, "import os; say(os.getpid())")
            waiting = start(["slow"])
            time.sleep(0.5)
            print(*fork_servers(), pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
            """,
            killed=True,
        )
        assert [pid for pid in map(int, printed.split()) if not is_gone(pid)] == []
        assert self._gone(tmp_path / "temporary")

    @staticmethod
    def _gone(folder: Path) -> bool:
        until = time.monotonic() + 10
        while (left := list(folder.iterdir())) and time.monotonic() < until:
            time.sleep(0.05)
        return not left

    @pytest.mark.parametrize(
        "forked",
        [
            pytest.param(
                "pid = os.fork()\nif pid: sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))", id="fork"
            ),
            pytest.param(
                "import multiprocessing\ndef body(): theirs()\n"
                "process = multiprocessing.get_context('fork').Process(target=lambda: theirs())\n"
                "process.start(); process.join(); ours(); sys.exit(process.exitcode)",
                id="multiprocessing",
            ),
        ],
    )
    def test_forks_itself(self, forked, program):
        code = """
            child = start()
            server = server_of(child)
            def theirs():
                assert fork_servers() == set()
                with start() as other:
                    assert server_of(other) in fork_servers() - {server}
            def ours():
                assert ask(child, "say(1)") == 1 and fork_servers() == {server}
            """
        program(textwrap.dedent(code) + forked + "\ntheirs()")

    def test_two_programs_do_not_meet(self, tmp_path):
        code = """
            child = start()
            server = server_of(child)
            Path(f"ready-{os.getpid()}").touch()
            while len(list(Path().glob("ready-*"))) < 2:
                time.sleep(0.05)
            assert len(fork_servers()) == 1 and server_of(child) == server
            print(json.dumps(server))
            """
        running = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM + "import json\n" + textwrap.dedent(code)],
                cwd=tmp_path,
                env=program_environment(tmp_path),
                stdout=subprocess.PIPE,
            )
            for _ in range(2)
        ]
        servers = {json.loads(process.communicate(timeout=120)[0]) for process in running}
        assert [process.returncode for process in running] == [0, 0]
        assert len(servers) == 2


class TestNarrowSystems:
    """What a system may lack."""

    def test_a_temporary_folder_with_a_long_path(self, program, tmp_path):
        """A Unix socket's path has 108 bytes at most; the server's socket has none."""
        folder = tmp_path
        while len(str(folder)) < 300:
            folder /= "long" * 12
        folder.mkdir(parents=True)
        printed = program(
            f"""
            os.environ["TMPDIR"] = {str(folder)!r}
            with start() as child:
                print(ask(child, "import tempfile; say(tempfile.gettempdir())"))
            """
        )
        assert Path(printed.strip()).parent == tmp_path / "temporary" or printed.startswith("temporary")

    def test_a_temporary_folder_that_is_not_there(self, program, tmp_path):
        program(
            f"""
            os.environ["TMPDIR"] = {str(tmp_path / "missing")!r}
            with start() as child:
                assert server_of(child) in fork_servers()
            """
        )

    def test_no_room_for_a_childs_folder(self, start, tmp_path):
        (tmp_path / "file").touch()
        with start(temporary=tmp_path / "file") as child:
            assert obituary(child, "") == "the process could not be started (Not a directory)"

    def test_no_descriptors(self, program):
        program(
            """
            import resource
            with start() as child:
                ask(child, "")
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            held = []
            try:
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            try:
                start()
            except ChildDied as error:
                assert "Too many open files" in str(error), error
            else:
                raise AssertionError("it was started")
            for descriptor in held:
                os.close(descriptor)
            before = len(os.listdir("/proc/self/fd"))
            with start() as child:
                assert ask(child, "say(1)") == 1
            """
        )

    def test_a_folder_that_is_gone(self, program):
        printed = program(
            """
            with start() as child:
                ask(child, "")
            import shutil
            Path("gone").mkdir()
            log = Path("child.log").absolute()
            os.chdir("gone")
            os.rmdir(os.getcwd())
            try:
                Child(PythonModule("fork_child"), log=log, environment={})
            except ChildDied as error:
                print(error)
            """
        )
        assert printed.startswith("a process could not be started (No such file or directory)")
