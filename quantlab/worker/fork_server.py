"""The fork server: imports slow libraries once, and answers each request by forking a child from itself.

`python -P -m quantlab.worker.fork_server DESCRIPTOR` is started by `quantlab.processes.forks`, which holds the other
end of the Unix socket pair with this descriptor. A socket pair has no name: no other process can connect, no path can
be too long, and no file is left.

A request is the length of a JSON document (4 bytes, big endian) and the document:

- `preload`: `modules` that this process imports before it forks. A module that cannot be imported is skipped; the child
will report the error. Libraries named in `without` are hidden from these modules, because they are slow to import and
no child needs them. Modules named in `unused`, which these modules import in any case, are replaced by stand-ins during
the import. A child can still import all of them.
- `module`, `environment`, `folder`, `import_path`: the module that the child runs like `python -m`, its variables, its
working folder and its `sys.path`.
- `temporary`: a private folder of the child, created if missing before it starts, and removed after it ends, or if the
owner ends before the child is forked; or null.
- `forks`: whether the child may ask for children of its own on the socket in its variable QUANTLAB_FORK_SERVER.

The first bytes carry four descriptors: a control socket, and the child's standard input, output and error. A request
without a `module` only preloads; it may carry one descriptor, which is closed when the import is done. On the control
socket, the child sends `{"pid": …}` once it leads its own session. When the child has ended, this process sends
`{"status": …}`, which is its exit status or the negative number of the signal that ended it, or `{"error": …}` if the
child could not be made. A dead child stays a zombie, so that its process id is not reused, until the owner closes its
end of the control socket; then its process group is ended, too.

This process has no threads and runs no op of any library: a fork copies only one thread, and locks held by other
threads would stay locked in the child. It ends with its owner, and all children with it.
"""

import contextlib
import errno
import importlib
import json
import os
import random
import runpy
import select
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantlab.worker.importing_ahead import absent, keeping_all, standing_in

__all__: list[str] = []

_DESCRIPTORS = 4
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class _Fork:
    """A child that lives, or is dead and not yet released by the owner."""

    pid: int
    descriptor: int
    """Readable when the process has ended (pidfd_open(2))."""
    control: socket.socket
    temporary: str | None
    channel: socket.socket | None
    """Where it asks for children of its own; None if it may not."""

    @property
    def sockets(self) -> list[socket.socket]:
        """Own ends of its sockets; closed ones have the descriptor -1."""
        return [self.control, *filter(None, [self.channel])]


@dataclass(slots=True)
class _Server:
    owner: socket.socket
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    forks: dict[int, _Fork] = field(default_factory=dict)
    preloaded: set[str] = field(default_factory=set)
    asked: dict[str, Any] = field(default_factory=dict)
    """The request that is being answered."""

    def run(self) -> None:
        """Answer requests until the owner is gone, then end all children."""
        self.selector.register(self.owner, selectors.EVENT_READ)
        while self._answer():
            pass
        self._end_all()

    def _end_all(self) -> None:
        for fork in list(self.forks.values()):
            self._let_go(fork)

    def _answer(self) -> bool:
        """Handle pending events; return False if the owner is gone."""
        for key, _ in self.selector.select():
            # One event may close the descriptor of the next, whose number a new child may have by now.
            if self.selector.get_map().get(key.fd) is not key:
                continue
            if key.fd == self.owner.fileno():
                if not self._take_request(self.owner):
                    return False
            else:
                self._attend(key.fd)
        return True

    def _attend(self, descriptor: int) -> None:
        for fork in list(self.forks.values()):
            if descriptor == fork.descriptor:
                self._report(fork)
            elif descriptor == fork.control.fileno():
                self._let_go(fork)
            elif fork.channel and descriptor == fork.channel.fileno() and not self._take_request(fork.channel):
                self.selector.unregister(descriptor)
                fork.channel.close()

    def _take_request(self, channel: socket.socket) -> bool:
        try:
            self.asked, descriptors = self._receive_request(channel)
        except (EOFError, OSError):
            return False
        self._preload(**self.asked["preload"])
        if "module" in self.asked:
            self._fork(self.asked, descriptors)
        else:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _receive_request(self, channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
        head, descriptors, _, _ = socket.recv_fds(channel, 4, _DESCRIPTORS)
        request: dict[str, Any] = json.loads(_receive(channel, _receive_length(channel, head)))
        return request, descriptors

    def _preload(self, modules: list[str], without: list[str], unused: list[str]) -> None:
        missing = [name for name in modules if name not in self.preloaded]
        if not missing:
            return
        with self._ending_with_the_owner(), keeping_all(), absent(without), standing_in(unused):
            for name in missing:
                self.preloaded.add(name)
                try:
                    importlib.import_module(name)
                except BaseException:  # noqa: BLE001 (a broken library may raise anything; the child will report it)
                    traceback.print_exc()

    @contextlib.contextmanager
    def _ending_with_the_owner(self) -> Iterator[None]:
        """Check regularly during an import whether the owner lives; imports may take long on a busy machine."""

        def look(*_: object) -> None:
            poll = select.poll()
            poll.register(self.owner, 0)  # only checks whether the other end is closed
            if poll.poll(0):
                self._end_all()
                self._remove_unforked()
                os._exit(0)

        before = signal.signal(signal.SIGALRM, look)
        signal.siginterrupt(signal.SIGALRM, False)
        signal.setitimer(signal.ITIMER_REAL, _LOOK_SECONDS, _LOOK_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _remove_unforked(self) -> None:
        """Remove the folders of children that the owner, which is gone, has asked for, and that are not to be."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                _remove_temporary(self.asked)
                self.asked, _ = self._receive_request(self.owner)

    def _fork(self, request: dict[str, Any], descriptors: list[int]) -> None:
        control_descriptor, *standard = descriptors
        control = socket.socket(fileno=control_descriptor)
        ours: socket.socket | None = None
        theirs: socket.socket | None = None
        try:
            if _hung_up(control):
                _remove_temporary(request)
                control.close()
                return
            if len(descriptors) < _DESCRIPTORS:  # only as many as fit into this process
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            if request["temporary"] is not None:  # created here, so that it exists only if someone waits for the child
                Path(request["temporary"]).mkdir(parents=True, exist_ok=True)
            if request.get("forks"):
                ours, theirs = socket.socketpair()
            pid = _fork_quietly()
            if pid == 0:
                if ours is not None:  # else the child would never learn that this server has ended
                    ours.close()
                self._become(request, standard, control, theirs)
            descriptor = _watch(pid)
        except OSError as error:
            _say(control, {"error": f"{error.strerror}"})
            for own in filter(None, [control, ours]):
                own.close()
            return
        finally:
            for stream in standard:
                os.close(stream)
            if theirs is not None:
                theirs.close()
        fork = self.forks[pid] = _Fork(pid, descriptor, control, request["temporary"], ours)
        for watched in (descriptor, *(own.fileno() for own in fork.sockets)):
            self.selector.register(watched, selectors.EVENT_READ)

    def _report(self, fork: _Fork) -> None:
        """Report how a child ended; its process id stays reserved."""
        self.selector.unregister(fork.descriptor)
        ended = os.waitid(os.P_PID, fork.pid, os.WEXITED | os.WNOWAIT)
        status = 0 if ended is None else ended.si_status
        _say(fork.control, {"status": status if ended and ended.si_code == os.CLD_EXITED else -status})

    def _let_go(self, fork: _Fork) -> None:
        """Release a child: end it and its process group, and remove its temporary folder."""
        for end in (os.killpg, os.kill):  # the child leads a group only after its first instructions
            with contextlib.suppress(ProcessLookupError, PermissionError):
                end(fork.pid, signal.SIGKILL)
        os.waitpid(fork.pid, 0)
        for watched in (fork.descriptor, *(own.fileno() for own in fork.sockets)):
            with contextlib.suppress(KeyError, ValueError):  # ValueError for -1
                self.selector.unregister(watched)
        os.close(fork.descriptor)
        for own in fork.sockets:
            own.close()
        del self.forks[fork.pid]
        if fork.temporary is not None:
            shutil.rmtree(fork.temporary, ignore_errors=True)

    def _become(
        self, request: dict[str, Any], standard: list[int], control: socket.socket, asks: socket.socket | None
    ) -> None:
        """The child's side: run the module; never returns."""
        status = 1
        try:
            os.setsid()
            _say(control, {"pid": os.getpid()})
            for place, descriptor in enumerate(standard):
                os.dup2(descriptor, place)
            self.selector.close()
            for channel in (control, self.owner, *(own for fork in self.forks.values() for own in fork.sockets)):
                channel.close()
            for descriptor in (*standard, *(fork.descriptor for fork in self.forks.values())):
                os.close(descriptor)
            _settle(request)
            if asks is not None:
                os.environ["QUANTLAB_FORK_SERVER"] = str(asks.detach())
            status = _run_module(request["module"])
        except OSError as error:
            _say(control, {"error": f"{error.strerror}"})
            traceback.print_exc()  # to the child's log, if the control socket is closed
        finally:
            os._exit(status)


def _fork_quietly() -> int:
    with warnings.catch_warnings():
        # Python 3.12 also warns about threads of C libraries; this process has no Python threads (see above).
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _watch(pid: int) -> int:
    """Return a descriptor that signals the end of a child; if there is none, the child is ended."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _settle(request: dict[str, Any]) -> None:
    """Set the environment, folder and import path of the request, before the first op of any library."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[:] = request["import_path"]
    tempfile.tempdir = None  # determined again, from the child's own TMPDIR
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _run_module(module: str) -> int:
    """Run a module and return its exit status; exceptions are printed as Python does."""
    sys.argv = [module]
    with contextlib.suppress(OSError):  # the name that `ps -o comm` and `top` show
        Path("/proc/self/comm").write_text(module.rpartition(".")[2][:15])
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as left:
        if left.code is not None and not isinstance(left.code, int):
            print(left.code, file=sys.stderr)
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)  # as at the end of Python
        return 1
    except BaseException:  # noqa: BLE001 (nothing may return to the server's loop)
        traceback.print_exc()
        return 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    return 0


def _remove_temporary(request: dict[str, Any]) -> None:
    """Of a child that nobody waits for."""
    if request.get("temporary") is not None:
        shutil.rmtree(request["temporary"], ignore_errors=True)


def _hung_up(control: socket.socket) -> bool:
    """Whether the owner has closed the control socket."""
    try:
        return control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def _say(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the owner is gone
        control.sendall(json.dumps(message).encode() + b"\n")


def _receive_length(owner: socket.socket, head: bytes) -> int:
    if not head:
        raise EOFError
    return int.from_bytes(head + _receive(owner, 4 - len(head)), "big")


def _receive(owner: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = owner.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


if __name__ == "__main__":
    _Server(socket.socket(fileno=int(sys.argv[1]))).run()
    os._exit(0)  # skips TensorFlow's shutdown, for which the owner should not wait
