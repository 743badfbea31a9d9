"""`quantlab phone`: the rows of the user's own phone."""

import contextlib
import io
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantlab.cli.analysis_options import AnalysisGroup, analyze_options
from quantlab.cli.analyze import begin_early
from quantlab.cli.analyze_table import analyzed
from quantlab.cli.exit_status import COULD_NOT_RUN, OK
from quantlab.cli.options import AsJson, ImageOptions, InsideOptions, ModelGroup, TimeLimit, rendering_of, words
from quantlab.cli.output import print_result, say
from quantlab.cli.spread import spread
from quantlab.errors import RuntimeUnavailable, UsageError
from quantlab.names import choose, in_minutes, refuse_address, study_folder

if TYPE_CHECKING:
    from quantlab.runtimes import Runtime
    from quantlab.runtimes.phone import Phone, PhonePlace
    from quantlab.study.devices import DeviceOptions
    from quantlab.types import Study

__all__ = ["phone"]


@dataclass(frozen=True, slots=True)
class PhoneAnalysis(AnalysisGroup):
    """Options that say what is measured, on which samples; `runtimes` are those of the phone."""

    runtimes: Annotated[
        str | None,
        typer.Option(
            help="Runtimes of the phone: comma-separated names and globs. [default: phone-wasm,phone-webgl, and "
            "phone-webgpu where the phone has it]"
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options that say how the phone reaches this machine."""

    network: Annotated[
        bool, typer.Option("--network", help="Let the phone come over the local network, at this machine's address.")
    ] = False
    host: Annotated[str | None, typer.Option(help="Listen on this address of this machine. [default: 127.0.0.1]")] = (
        None
    )
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0
    https: Annotated[
        bool,
        typer.Option("--https", help="Encrypt with a self-made certificate, of which the phone's browser warns once."),
    ] = False
    wait: Annotated[float, typer.Option(min=0.01, help="Wait at most N minutes for a phone that does not answer.")] = (
        10.0
    )

    def place(self) -> "PhonePlace":
        """Where to listen; raises UsageError if this machine has no address in a network."""
        from quantlab.runtimes.phone import PhonePlace, local_addresses, write_certificate

        host = self.host
        if host is None and self.network:
            addresses = local_addresses()
            if not addresses:
                raise UsageError(
                    "this machine has no address in a network; connect it, name an address with --host, or connect "
                    "the phone by USB and leave --network out"
                )
            host = addresses[0]
        if host in {"0.0.0.0", "::"}:  # noqa: S104 (it is refused)
            raise UsageError(
                f"--host {host} would listen in every network; name one address of this machine, or give --network"
            )
        host = host or "127.0.0.1"
        names = ("localhost",) if host == "127.0.0.1" else ()
        secured = write_certificate([host, *names]) if self.https else None
        return PhonePlace(host, self.port, names, secured)


@spread
def phone(
    subject: Annotated[
        Path, typer.Argument(metavar="STUDY|MODEL", help="Folder of a study, or a model, which is analyzed first.")
    ],
    *,
    data: Annotated[
        str | None,
        typer.Option(help="Samples of a MODEL: .npz, .npy, a folder of images, or module:function."),
    ] = None,
    asked: PhoneAnalysis,
    server: ServerOptions,
    opening: ModelGroup,
    image: ImageOptions,
    inside: InsideOptions,
    time_limit: TimeLimit = 600.0,
    json: AsJson = False,
) -> int:
    """Run a study's artifacts in the browser of your phone.

    The phone opens a page by a QR code, which runs the same files on the same samples. Rows phone-webgl and others
    join the table, with layers and times of that phone. The command continues where it was stopped.
    """
    from quantlab.runtimes.phone import Patience, Phone

    folder = _study(subject, data, asked, opening=opening, image=image, inside=inside, time_limit=time_limit)
    names = _named(asked.runtimes)
    with Phone.open(server.place(), Patience(wait=60 * server.wait)) as opened:
        _tell(opened, server)
        if opened.desk.await_device(60 * server.wait) is None:
            raise RuntimeUnavailable(
                f"no phone has opened the page within {in_minutes(server.wait)}; run the same command again, and "
                f"raise --wait if you need longer"
            )
        say(f"Connected: {opened.device.text}")
        chosen = words(asked.settings) if folder == subject else None  # of a model, all that was made
        options = _device_options(chosen, inside, time_limit, unsafe=opening.unsafe)
        done = _measured(folder, opened, names, options)
        opened.desk.finish(_FAREWELL, 5.0, complete=True)
    from quantlab_reports import trial_table

    print_result(rendering_of("terminal", as_json=json)(trial_table(done, wide=False)))
    say(f"Study saved in '{folder}'. Times of the phone: quantlab show costs {shlex.quote(str(folder))}")
    rows = [trial for trial in done.trials if trial.runtime in names]
    return OK if all(trial.failure is None for trial in rows) else COULD_NOT_RUN


def _known() -> "dict[str, Runtime]":
    """Every runtime of a phone by its name."""
    from quantlab.runtimes import RUNTIMES
    from quantlab.runtimes.phone import on_phones

    return {runtime.name: runtime for runtime in RUNTIMES.values() if on_phones(runtime)}


def _named(asked: str | None) -> list[str]:
    """The runtimes of the phone that may run; raises UsageError for an unknown name."""
    known = list(_known())
    return known if asked is None else list(choose("runtime", words(asked) or (), known))


def _study(
    subject: Path,
    data: str | None,
    asked: PhoneAnalysis,
    *,
    opening: ModelGroup,
    image: ImageOptions,
    inside: InsideOptions,
    time_limit: float,
) -> Path:
    """The folder of the study; a model is analyzed first."""
    refuse_address(subject)
    if (subject / "study.json").is_file():
        given = {"data": data, **asked.keys}
        named = next((key for key, value in given.items() if value and key not in {"settings", "runtimes"}), None)
        if named is not None:
            raise UsageError(
                f"'{subject}' is a study, which has its samples and artifacts; leave --{named.replace('_', '-')} out, "
                f"or name a model"
            )
        from quantlab.gate import refuse_scores_only
        from quantlab.study import load_study

        refuse_scores_only(load_study(subject), "'quantlab phone'")  # before somebody takes out a phone
        return subject
    if data is None:
        raise UsageError(f"'{subject}' is no study; for a model, give its samples with --data")
    from quantlab.cli.progress import shown
    from quantlab.study import analyze

    keys = {**asked.keys, "model": subject, "data": data, "time_limit": time_limit, "runtimes": None}
    what = analyzed(keys)
    refuse_address(what.study or study_folder(what.model))
    begin_early(what.model, what.study)
    options = analyze_options(what, asked, opening=opening, image=image, inside=inside)
    with shown() as progress:
        analyze(what.model, data=what.data, options=options, progress=progress)
    return what.study or study_folder(what.model)


def _device_options(
    settings: tuple[str, ...] | None, inside: InsideOptions, time_limit: float, *, unsafe: bool
) -> "DeviceOptions":
    """What is measured on the phone."""
    from quantlab.study.devices import DeviceOptions

    return DeviceOptions(settings=settings, time_limit=time_limit, unsafe=unsafe, **inside.options)


def _measured(folder: Path, opened: "Phone", names: list[str], options: "DeviceOptions") -> "Study":
    """The study with the rows of the phone."""
    from quantlab.cli.progress import shown
    from quantlab.runtimes.phone import runtimes_on
    from quantlab.study.devices import DevicePlace, measure_on_device

    there = {name: runtime for name, runtime in runtimes_on(opened, _known().values()).items() if name in names}
    offered = {name: runtime for name, runtime in there.items() if opened.offers(runtime)}
    for name in there.keys() - offered.keys():
        say(f"{name} is left out: {_WITHOUT.get(name.rpartition('-')[2], 'this browser does not have it')}")
    if not offered:
        raise RuntimeUnavailable("the phone's browser has none of the named runtimes; name others with --runtimes")
    place = DevicePlace(offered, opened.device.machine, opened.device.text, opened.desk.announce)
    with shown() as progress:
        opened.desk.tell = progress.warn
        return measure_on_device(folder, place, options, progress=progress)


_FAREWELL = "The rows are in the table on the computer. You can close this page."

_WITHOUT = {
    "webgpu": "the browser offers no WebGPU here; it needs a phone that has it, and https or a USB cable",
    "webgl": "the browser has no WebGL 2",
}


def _tell(opened: "Phone", server: ServerOptions) -> None:
    """Print how the phone gets to the page."""
    host, port = str(opened.server.server_address[0]), opened.server.port
    loopback = host == "127.0.0.1"
    address = opened.server.address("localhost" if loopback else host)
    _print_code(address)
    if loopback:
        say(f"1. Connect the phone by USB, allow USB debugging, and run: adb reverse tcp:{port} tcp:{port}")
        say(f"2. Scan the code, or open on the phone: {address}")
        say("Without a cable: --network lets the phone come over the local network.")
    else:
        say(f"Scan the code, or open on the phone, in the same network: {address}")
    if server.https:
        say("The browser will warn that the certificate is not trusted: choose Advanced, then continue to this site.")
    elif not loopback:
        say("! Plain http: the model and the samples cross the network unencrypted; --https or USB encrypt them.")
    say("Keep the page in front. The address is for one phone, and ends with this command. Ctrl-C keeps what is done.")


def _print_code(address: str) -> None:
    """Print a QR code on standard error; in a terminal with colours, so that it is dark on light in any theme."""
    import segno

    drawn = io.StringIO()
    segno.make(address, error="l", micro=False).terminal(drawn, compact=True)
    begin, end = ("\x1b[97;40m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    # The address follows as text, for a stream that is closed or has no such characters.
    with contextlib.suppress(OSError, ValueError):
        for line in drawn.getvalue().splitlines():
            print(f"{begin}{line}{end}", file=sys.stderr)
