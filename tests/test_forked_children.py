"""Children of a fork server: what they inherit, how they end, and that they cannot disturb others."""

import contextlib
import sys
import time
from pathlib import Path

import pytest
from fork_fixtures import ON_LINUX, SECONDS, ask, is_gone, obituary, server_of

from quantlab.processes import ChildDied, ChildPool, ChildStalled, Preload, fork_servers, import_path, wait_for_preload
from quantlab.user_modules import look_in_current_folder

pytestmark = ON_LINUX


def open_files() -> set[str]:
    """What the descriptors of this process stand for: each pipe and socket has a number of its own."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed by another thread
            found.add(str(descriptor.readlink()))
    return found


class TestSurroundings:
    """A child finds what a process that was started anew would find."""

    def test_environment_folder_path_and_arguments(self, start_fork, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with start_fork(environment={"A_VARIABLE": "né"}) as child:
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
        assert surroundings == ["né", "né", str(tmp_path), import_path(), [], "fork_child.py", "fork_child"]

    def test_a_session_and_a_group_of_its_own(self, start_fork):
        with start_fork() as child:
            pid, group, session = ask(child, "import os; say([os.getpid(), os.getpgid(0), os.getsid(0)])")
            assert pid == group == session == child.pid
            assert child.pid not in fork_servers()

    def test_signals_are_handled_as_in_a_new_process(self, start_fork, monkeypatch):
        code = "import signal; say([str(signal.getsignal(number)) for number in sorted(signal.valid_signals())])"
        with start_fork() as child:
            forked = ask(child, code), ask(child, "import signal; say(len(signal.pthread_sigmask(0, [])))")
        monkeypatch.setenv("QUANTLAB_FORK", "0")
        with start_fork() as child:
            assert (ask(child, code), ask(child, "import signal; say(len(signal.pthread_sigmask(0, [])))")) == forked

    def test_nothing_is_open_that_a_new_process_has_not(self, start_fork, monkeypatch):
        code = """
            import os
            listed = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if number != "x"
                      and os.path.exists(f"/proc/self/fd/{number}")]
            say(sorted(target.partition(":")[0] for target in listed))
            """
        with start_fork(), start_fork() as child:
            forked = ask(child, code)
        monkeypatch.setenv("QUANTLAB_FORK", "0")
        with start_fork() as child:
            assert ask(child, code) == forked

    def test_siblings_draw_other_numbers(self, start_fork):
        code = """
            import random, numpy, uuid
            say([random.random(), float(numpy.random.rand()), float(numpy.random.default_rng().random()),
                 str(uuid.uuid4())])
            """
        with start_fork(preload=("numpy",)) as one, start_fork(preload=("numpy",)) as other:
            drawn = ask(one, code), ask(other, code)
            assert server_of(one) == server_of(other)
        assert all(a != b for a, b in zip(*drawn, strict=True))

    def test_what_is_preloaded_does_without_what_no_child_needs(self, start_fork):
        code = "import sys; say('_pydecimal' in sys.modules); import _decimal; say('_decimal' in sys.modules)"
        with start_fork(environment={"TF_DECIMAL": "1"}, preload=("decimal",), without=("_decimal",)) as child:
            child.send({"code": code})
            assert [said.get("value") for said in child.messages(SECONDS)] == [True, True, None]

    def test_what_is_preloaded_gets_what_it_does_not_use_when_it_calls_it(self, start_fork):
        code = """
            import sys
            import imports_unused
            before = 'fileinput' in sys.modules
            say([before, imports_unused.hook_encoded('utf-8').__module__, 'fileinput' in sys.modules])
            """
        with start_fork(environment={"TF_UNUSED": "1"}, preload=("imports_unused",), unused=("fileinput",)) as child:
            assert ask(child, code) == [False, "fileinput", True]

    def test_a_preload_can_be_waited_for(self):
        environment = {"TF_WAITED": "1", "OMP_NUM_THREADS": "1"}
        before = fork_servers()
        wait_for_preload(environment, Preload(("fork_child",)))
        (server,) = fork_servers() - before
        wait_for_preload(environment, Preload(("fork_child",)))
        assert fork_servers() - before == {server}

    def test_temporary_files_go_with_the_child(self, start_fork, tmp_path):
        with start_fork(temporary=tmp_path / "temporary") as child:
            file = Path(ask(child, "import tempfile; say(tempfile.mkstemp()[1])"))
            assert file.parent.parent == tmp_path / "temporary"
            assert file.exists()
        assert list((tmp_path / "temporary").iterdir()) == []

    def test_no_library_is_taken_from_the_current_folder(self, start_fork, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("json.py", "keras.py", "wave.py"):
            (tmp_path / name).write_text("raise SystemExit('taken from the current folder')")
        (tmp_path / "own_layers.py").write_text("MINE = 'found'")
        with start_fork() as child:
            assert ask(child, "import json, wave; say(wave.__file__)") != str(tmp_path / "wave.py")
            code = "from quantlab.processes import import_modules; import_modules(['own_layers', 'wave']); import sys;"
            assert ask(child, f"{code} say(sys.modules['own_layers'].MINE)") == "found"
            assert ask(child, "import sys; say(sys.path[-1])") == str(tmp_path)

    def test_a_loader_of_the_user_changes_neither_the_server_nor_where_children_look(
        self, start_fork, tmp_path, monkeypatch
    ):
        with start_fork() as child:
            before, servers = ask(child, "import sys; say(sys.path)"), fork_servers()
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.chdir(tmp_path)
        look_in_current_folder(first=True)
        assert sys.path[0] == str(tmp_path)
        with start_fork() as child:
            assert ask(child, "import sys; say(sys.path)") == before
        assert fork_servers() == servers


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
                "the process was ended by SIGKILL, perhaps because the system ran out of memory",
                id="is killed",
            ),
            pytest.param(
                "import ctypes; ctypes.string_at(0)", "the process was ended by SIGSEGV", id="reads at address 0"
            ),
        ],
    )
    def test_status_and_signal(self, code, sentence, fork, start_fork, monkeypatch):
        monkeypatch.setenv("QUANTLAB_FORK", fork)
        with start_fork() as child:
            assert obituary(child, code) == sentence

    @pytest.mark.parametrize("fork", ["1", "0"], ids=["forked", "new"])
    def test_a_library_that_leaves_costs_one_request(self, fork, start_fork, monkeypatch):
        monkeypatch.setenv("QUANTLAB_FORK", fork)
        with start_fork() as child:
            child.send({"code": "import sys; sys.exit('no more')"})
            assert list(child.messages(SECONDS)) == [
                {"type": "failed", "reason": "SystemExit: no more", "expected": False}
            ]
            assert ask(child, "say('still here')") == "still here"

    def test_a_module_that_is_not_there(self, start_fork):
        with start_fork("no_such_module") as child:
            assert obituary(child, "") == (
                "the process exited with status 1; its log ends with: ImportError: No module named no_such_module"
            )

    def test_what_it_started_ends_with_it(self, start_fork):
        with start_fork() as child:
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
    def test_a_child_that_does_not_answer(self, code, start_fork):
        with start_fork() as child:
            ask(child, "")
            child.send({"code": code})
            with pytest.raises(ChildStalled):
                child.receive(0.3)
            assert not child.alive

    def test_what_a_pool_has_ended_holds_no_descriptors(self, start_fork, tmp_path):
        theirs = set()
        with ChildPool(tmp_path, SECONDS) as pool:
            pool.keep(start_fork()).close()
            for _ in range(5):
                before = open_files()
                child = pool.keep(start_fork())
                theirs |= open_files() - before
                child.close()
            assert theirs
            child = pool.keep(start_fork())  # now the pool forgets the last one that has ended
            until = time.monotonic() + SECONDS
            while theirs & open_files() and time.monotonic() < until:  # of threads that read
                time.sleep(0.01)
            assert theirs & open_files() == set()


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
    def test_to_the_next(self, code, start_fork):
        look = """
            import gc, json, os, signal, sys
            say([json.dumps(json.loads("[1]")), sorted(os.environ), os.getcwd(), sys.path,
                 len(os.listdir("/proc/self/fd")), gc.isenabled(), str(signal.getsignal(15)), os.getppid()])
            """
        with start_fork() as child:
            before = ask(child, look)
        with start_fork() as child:
            child.send({"code": code})
            with contextlib.suppress(ChildDied):
                child.receive(SECONDS)
            with start_fork() as sibling:
                assert ask(sibling, look) == before
        with start_fork() as child:
            assert ask(child, look) == before

    def test_a_fork_that_comes_back_says_nothing(self, start_fork):
        with start_fork() as child:
            assert ask(child, "import os; forked = os.fork(); say(1); os.waitpid(forked, 0)") == 1
            assert ask(child, "say(2)") == 2

    @pytest.mark.parametrize("then", ["", "1 / 0"], ids=["and is imported", "and raises"])
    def test_a_module_that_forks_is_imported_by_one_process(self, then, start_fork, tmp_path, monkeypatch):
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
        with start_fork() as child:
            ask(child, code)
        assert (tmp_path / "did").read_text() == "once "
