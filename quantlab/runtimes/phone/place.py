"""A phone as a place where variants run: its server, and the runtimes there."""

import contextlib
import ssl
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from quantlab.errors import RuntimeUnavailable, UsageError
from quantlab.formats import Format
from quantlab.processes import Child, ChildPool
from quantlab.runtimes.bundle import DIST, bundle_environment
from quantlab.runtimes.contract import Host, Runtime
from quantlab.runtimes.exchange import Job
from quantlab.runtimes.phone.channel import Channel
from quantlab.runtimes.phone.desk import Desk
from quantlab.runtimes.phone.device import Device
from quantlab.runtimes.phone.server import PhoneServer
from quantlab.runtimes.phone.tasks import Patience

_FAREWELL_SECONDS = 2.0
"""For the page to hear that nothing follows."""

__all__ = ["HOST", "WITHOUT", "Phone", "PhonePlace", "environment", "on_phones", "runtimes_on"]


def environment(_: Format) -> dict[str, str]:
    """Refuses: only `quantlab phone` knows a phone."""
    raise RuntimeUnavailable(WITHOUT)


def _no_child(_: Job, __: ChildPool) -> Child:
    raise RuntimeUnavailable(WITHOUT)


WITHOUT = "the runtimes phone-* run on your phone; measure a study there with 'quantlab phone STUDY'"

HOST = Host(lambda *_: "phone", _no_child, lasting=False, opens_many=False, starts_ahead=False)
"""A phone; it has one job at a time."""


@dataclass(frozen=True, slots=True)
class PhonePlace:
    """Where the server for a phone listens."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes any that is free."""
    names: tuple[str, ...] = ()
    """Further names under which the page may be opened, as `localhost`."""
    secured: ssl.SSLContext | None = None


@dataclass(slots=True)
class Phone:
    """A server to which a phone may come; use it as `with Phone.open(…) as phone`."""

    desk: Desk
    server: PhoneServer
    channel: Channel

    @classmethod
    @contextlib.contextmanager
    def open(cls, place: PhonePlace, patience: Patience) -> Iterator["Phone"]:
        """Listen until the block ends.

        Raises:
            UsageError: If the port or the address is not available, or no socket can be made.
            RuntimeUnavailable: If the JavaScript of quantlab is not complete.
        """
        bundle_environment(None)
        desk = Desk(patience)
        with contextlib.closing(_channel(desk)) as channel:
            server = _server(desk, place)
            server.begin()
            try:
                yield cls(desk, server, channel)
            finally:
                desk.finish("The command on the computer has ended. You can close this page.", _FAREWELL_SECONDS)
                channel.close()  # first, so that no child asks for more
                server.stop()

    @property
    def device(self) -> Device:
        """The phone that opened the page; raises RuntimeUnavailable if none did."""
        if self.desk.device is None:
            raise RuntimeUnavailable("no phone has opened the page yet")
        return self.desk.device

    def runtime(self, known: Runtime) -> Runtime:
        """A runtime `phone-*` as it runs on this phone."""
        graphics = known.backend.startswith("webg")

        def told(format_: Format) -> dict[str, str]:
            return {**bundle_environment(format_.javascript), **self.device.environment(graphics=graphics)}

        return replace(known, environment=told, host=replace(HOST, start=self._start), elsewhere=None)

    def offers(self, known: Runtime) -> bool:
        """Whether the phone's browser has a runtime."""
        if known.backend == "webgpu":
            return bool(self.device.webgpu)
        return known.backend != "webgl" or bool(self.device.renderer)

    def _start(self, _: Job, pool: ChildPool) -> Child:
        return Child(
            # As a file and not as a module, whose package would import all runtimes; it needs none of them.
            [sys.executable, "-P", str(Path(__file__).with_name("proxy.py")), str(self.channel.path)],
            log=pool.folder / "phone.log",
            environment={"PYTHONUNBUFFERED": "1"},
        )


def _channel(desk: Desk) -> Channel:
    try:
        return Channel(desk)
    except OSError as error:
        raise UsageError(
            f"no socket can be made for the children of the study ({error.strerror or error}); make room in /tmp, or "
            f"raise the limit of open files"
        ) from error


def _server(desk: Desk, place: PhonePlace) -> PhoneServer:
    try:
        return PhoneServer(desk, DIST, (place.host, place.port), hosts=place.names, secured=place.secured)
    except OSError as error:
        raise UsageError(
            f"the server cannot listen on {place.host} port {place.port} ({error.strerror or error}); choose another "
            f"--port, or an address of this machine with --host"
        ) from error


def on_phones(runtime: Runtime) -> bool:
    """Whether a runtime is one of phones."""
    return runtime.elsewhere == WITHOUT


def runtimes_on(phone: Phone, known: Collection[Runtime]) -> dict[str, Runtime]:
    """The runtimes of a phone by name, of those that are known."""
    return {runtime.name: phone.runtime(runtime) for runtime in known if on_phones(runtime)}
