"""Fork servers: when they are started and how they end, that none outlives its program, and systems with limits."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from fork_child import __file__ as fork_child
from fork_fixtures import ON_LINUX, SECONDS, ask, is_gone, obituary, server_of

from quantlab.processes import ChildDied, Preload, fork_servers
from quantlab.processes.fork_server import ForkServer

pytestmark = ON_LINUX


_START_CHILD = """
    import builtins
    from pathlib import Path
    from quantlab.processes import Child, PythonModule, inherit_fork_server
    inherit_fork_server()
    builtins.kept = Child(PythonModule("fork_child"), log=Path("grandchild.log"), environment={})
    builtins.kept.send({"code": "import os; say([os.getppid(), os.getpid(), 'QUANTLAB_FORK_SERVER' in os.environ])"})
    say(next(builtins.kept.messages(60))["value"])
"""


@contextmanager
def asked_of(server: ForkServer) -> Iterator[socket.socket]:
    """The control socket of a child that a server is asked for; its standard input is open while the block runs."""
    ours, theirs = socket.socketpair()
    stdin, kept = os.pipe()
    request = {
        "preload": asdict(Preload()),
        "module": "fork_child",
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "import_path": sys.path,
        "temporary": None,
    }
    with ours, theirs, os.fdopen(stdin) as read, os.fdopen(kept, "w"), Path(os.devnull).open("wb") as nothing:
        assert server.ask(request, [theirs.fileno(), read.fileno(), nothing.fileno(), nothing.fileno()])
        theirs.close()
        read.close()
        yield ours


def pid_of(control: socket.socket) -> int:
    """What a child tells first, read as often as asked."""
    control.settimeout(20)
    told = control.recv(4096, socket.MSG_PEEK)
    return json.loads(told.partition(b"\n")[0])["pid"]


def stop(process: int) -> None:
    """Stop a process, and wait until it is: before, it may still be told of what happens after."""
    os.kill(process, signal.SIGSTOP)
    until = time.monotonic() + SECONDS
    while Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "T" and time.monotonic() < until:
        time.sleep(0.01)


class TestChildrenOfChildren:
    """A child that was started with `forks` has the server of the program for its own children."""

    def test_the_server_forks_them_and_ends_them_with_the_child(self, start_fork, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with start_fork(forks=True) as child, start_fork(forks=True) as other:
            parent, grandchild, told = ask(child, _START_CHILD)
            assert (parent, told) == (server_of(child), False)
            parent, of_other, _ = ask(other, _START_CHILD)
            assert parent == server_of(child)
            os.kill(child.pid, signal.SIGKILL)
            assert is_gone(grandchild)
            assert ask(other, "import builtins; say(builtins.kept.alive)")
        assert is_gone(of_other)
        with start_fork() as after:
            assert server_of(after) == parent

    def test_a_child_whose_server_was_killed_has_another_one(self, start_fork, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with start_fork(forks=True) as child:
            server, before, _ = ask(child, _START_CHILD)
            os.kill(server, signal.SIGKILL)
            assert is_gone(server)
            own, after, _ = ask(child, _START_CHILD)
            assert own not in {server, child.pid}
        assert all(is_gone(process) for process in (before, after, own))
        assert server not in fork_servers()  # which also waits for it as its parent

    def test_others_have_a_server_of_their_own(self, start_fork, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with start_fork() as child:
            parent, grandchild, _ = ask(child, _START_CHILD)
            assert parent not in {server_of(child), os.getpid()}
        assert is_gone(grandchild)


class TestServers:
    """There is one server for each set of variables that libraries read at import, and it can be replaced."""

    def test_children_of_the_same_variables_share_one(self, start_fork):
        with start_fork() as one, start_fork(environment={"ANOTHER": "1", "TF_NUM_INTRAOP_THREADS": "3"}) as other:
            assert server_of(one) == server_of(other)
            assert server_of(one) in fork_servers()

    def test_each_mode_of_onednn_has_its_own(self, start_fork):
        with (
            start_fork(environment={"TF_ENABLE_ONEDNN_OPTS": "0"}) as off,
            start_fork(environment={"TF_ENABLE_ONEDNN_OPTS": "1"}) as on,
        ):
            assert server_of(off) != server_of(on)
            code = "import os; say(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
            assert (ask(off, code), ask(on, code)) == ("0", "1")
            started = (
                "say(open(f'/proc/{__import__(\"os\").getppid()}/environ').read().count('TF_ENABLE_ONEDNN_OPTS=0'))"
            )
            assert (ask(off, started), ask(on, started)) == (1, 0)

    def test_a_variable_that_is_set_later_is_honoured(self, start_fork, monkeypatch):
        with start_fork() as before:
            server = server_of(before)
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
        with start_fork() as after:
            assert ask(after, "import os; say(os.environ['TF_ENABLE_ONEDNN_OPTS'])") == "0"
            assert server_of(after) != server

    def test_none_where_they_are_not_wanted(self, start_fork, monkeypatch):
        monkeypatch.setenv("QUANTLAB_FORK", "0")
        with start_fork() as child:
            assert server_of(child) == os.getpid()

    def test_one_that_was_killed_is_replaced(self, start_fork):
        with start_fork() as child:
            server = server_of(child)
            os.kill(server, signal.SIGKILL)
            assert is_gone(server)
            assert ask(child, "say('lives on')") == "lives on"
            with start_fork() as other:
                assert server_of(other) in fork_servers() - {server}
            assert child.alive
            assert obituary(child, "import os; os._exit(3)") == (
                "the process ended: the fork server ended too, so its exit status is not known"
            )

    def test_one_without_room_for_descriptors_goes_on(self, start_fork):
        environment = {"TF_OF_THIS_TEST": "few descriptors"}
        before = fork_servers()
        with start_fork(environment=environment) as child:
            assert ask(child, "say('here')") == "here"
        (server,) = fork_servers() - before
        limits = resource.prlimit(server, resource.RLIMIT_NOFILE)
        held = len(list(Path(f"/proc/{server}/fd").iterdir()))
        resource.prlimit(server, resource.RLIMIT_NOFILE, (held + 1, limits[1]))  # the control socket, to say so by
        with start_fork(environment=environment) as refused, pytest.raises(ChildDied) as died:
            refused.receive(SECONDS)
        assert str(died.value) == "the process could not be started (Too many open files)"
        resource.prlimit(server, resource.RLIMIT_NOFILE, limits)
        with start_fork(environment=environment) as child:
            assert ask(child, "say('still here')") == "still here"
        assert server in fork_servers()

    def test_the_end_of_a_child_is_not_that_of_the_next_one_with_its_descriptors(self):
        server = ForkServer.start(os.environ)
        try:
            with asked_of(server) as first:
                pid = pid_of(first)
                stop(server.process.pid)  # as if it was in an import meanwhile
                # In this order: the first is released, the next is asked for, and the process of the first ends.
                first.shutdown(socket.SHUT_WR)
                with asked_of(server) as second:
                    os.kill(pid, signal.SIGKILL)
                    assert is_gone(pid)
                    os.kill(server.process.pid, signal.SIGCONT)
                    assert pid_of(second) != pid
                    with asked_of(server) as third:  # while the second lives
                        assert pid_of(third) not in {pid, pid_of(second)}
        finally:
            server.process.kill()
            server.close()

    def test_one_that_is_killed_before_it_answers_costs_one_child(self, start_fork):
        with start_fork() as child:
            server = server_of(child)
        os.kill(server, signal.SIGSTOP)
        with start_fork() as child:
            os.kill(server, signal.SIGKILL)
            assert obituary(child, "") == "the process ended: the fork server ended before it"
        with start_fork() as child:
            assert server_of(child) != server

    def test_a_child_that_is_ended_before_its_server_looks_never_runs(self, start_fork, tmp_path):
        with start_fork() as child:
            server = server_of(child)
        os.kill(server, signal.SIGSTOP)
        try:
            waiting = start_fork()
            waiting.send({"code": f"open({str(tmp_path / 'ran')!r}, 'w')"})
            began = time.monotonic()
            waiting.close()
            assert time.monotonic() - began < 5
            assert not waiting.alive
        finally:
            os.kill(server, signal.SIGCONT)
        with start_fork() as child:
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

    def test_no_room_for_a_childs_folder(self, start_fork, tmp_path):
        (tmp_path / "file").touch()
        with start_fork(temporary=tmp_path / "file") as child:
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
            with start() as child:
                assert ask(child, "say(1)") == 1
            """
        )

    def test_few_descriptors(self, program):
        printed = program(
            """
            import resource
            with start() as child:
                ask(child, "")
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

            def is_open(descriptor):
                try:
                    return bool(os.fstat(descriptor))
                except OSError:
                    return False

            def refused():
                before = list(map(is_open, range(64)))
                try:
                    start().close()
                except ChildDied:
                    assert list(map(is_open, range(64))) == before
                    return True

            held = []
            try:
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            while refused():
                os.close(held.pop())
                print("one more")
            """
        )
        assert printed.count("one more") > 5  # the log, two pipes and a pair of sockets

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
