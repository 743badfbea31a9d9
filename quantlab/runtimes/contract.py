"""What every runtime is: the contract of this family. `quantlab.runtimes.protocol` does with it all that is done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quantlab.formats import Format
from quantlab.processes import Child, ChildPool
from quantlab.runtimes.exchange import Job

__all__ = ["Host", "Runtime"]


@dataclass(frozen=True, slots=True)
class Host:
    """A program that runs variants: how a child of it is started, and what such a child may be used for."""

    kind: Callable[[Job], str]
    """Names the children that can work on a job: one of the same name, started for another job, will do."""
    start: Callable[[Job, ChildPool], Child]
    """Starts a child that answers requests about jobs of this kind (see `quantlab.runtimes.requests`).

    Raises RuntimeUnavailable or ChildDied.
    """
    lasting: bool = True
    """Whether a child that is done with its job may serve other studies of this program."""
    opens_many: bool = True
    """Whether a child keeps several variants open for reading inside, and answers for each in turn."""
    starts_ahead: bool = True
    """Whether a child may be started while another variant is timed, because it does nothing until it is asked."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A member of the family: where a variant runs, by which program, on which backend."""

    name: str
    """`<host>-<backend>`, as `node-wasm`."""
    description: str
    runs: Callable[[Format], bool]
    """Whether it runs a format; a variant of another is not a trial here."""
    environment: Callable[[Format], dict[str, str]]
    """Format → versions and flags that its outputs depend on, without running anything slow.

    Raises RuntimeUnavailable, with the way out, where this machine lacks it.
    """
    host: Host
    notes: Callable[[Mapping[str, str]], tuple[str, ...]] = lambda _: ()
    """From where a trial ran to what the reader of its row must know."""
    untimed: Callable[[Mapping[str, str]], str | None] = lambda _: None
    """From where a trial ran to why its times mean nothing and are not shown, else None."""
    backend: str = ""
    default: bool = True
    """Whether it is used when no runtimes are asked for."""
    targets: tuple[str, ...] = ()
    """What it stands for where artifacts are shipped to."""
    fallback: str | None = None
    """Where `--fallback` runs what this backend lacks an op for."""
