"""The contract of runtimes. `quantlab.runtimes.protocol` is the code that uses it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quantlab.formats import Format
from quantlab.processes import Child, ChildPool
from quantlab.runtimes.exchange import Job

__all__ = ["Host", "Runtime"]


@dataclass(frozen=True, slots=True)
class Host:
    """A program that runs variants: how its children are started, and what a child may be used for."""

    kind: Callable[[Job, ChildPool], str]
    """Name of the kind of child that can run a job of a study; a child of the same kind can run any such job."""
    start: Callable[[Job, ChildPool], Child]
    """Starts a child that answers requests for jobs of this kind (see `quantlab.runtimes.requests`).

    Raises RuntimeUnavailable or ChildDied.
    """
    lasting: bool = True
    """Whether a child may serve other studies of this program after its job."""
    opens_many: bool = True
    """Whether a child can keep several variants with taps open at the same time."""
    starts_ahead: bool = True
    """Whether a child may be started while another variant is timed, because it is idle until its first request."""
    shows_inside: bool = True
    """Whether its children can read tensors inside a variant."""
    stays_open: bool = False
    """Whether a child keeps a variant open that is run in parts (`Run.opened`); otherwise each part opens it."""
    tries: bool = False
    """Whether a child makes calls that may be wrong (the request `Try`)."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime: where a variant runs, by which program, on which backend."""

    name: str
    """`<host>-<backend>`, for example `node-wasm`."""
    description: str
    runs: Callable[[Format], bool]
    """Whether it runs a format; there are no trials for other formats."""
    environment: Callable[[Format], dict[str, str]]
    """Format → versions and flags that its outputs depend on, without running anything slow.

    Raises RuntimeUnavailable, which says what to do, if it is missing on this machine.
    """
    host: Host
    notes: Callable[[Mapping[str, str]], tuple[str, ...]] = lambda _: ()
    """Environment of a trial → notes for its row."""
    untimed: Callable[[Mapping[str, str]], str | None] = lambda _: None
    """Environment of a trial → why its times are meaningless and not shown, else None."""
    half: Callable[[Mapping[str, str]], bool] = lambda _: False
    """Environment of a trial → whether tensors were stored in half floats."""
    backend: str = ""
    default: bool = True
    """Whether it is used if the user names no runtimes."""
    targets: tuple[str, ...] = ()
    """The targets, that is, the places of use, for which it is measured."""
    fallback: str | None = None
    """The runtime that `--fallback` uses if this one lacks an op."""
    at: "Callable[[str], Runtime] | None" = None
    """Function from an address of the user (`--serving`) to the runtime there; None if it runs on this machine.

    Raises UsageError if it is no address."""
    address: str | None = None
    """The address where it runs, if `at` made it."""
    elsewhere: str | None = None
    """If `analyze` cannot run it, what users do who name it, as a sentence; None otherwise."""
