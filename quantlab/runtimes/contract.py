"""What every runtime is, and what it is handed to work with: the contract of this family."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from quantlab.formats import Format
from quantlab.processes import Child, ChildPool, Lane, Message
from quantlab.runtimes.exchange import Job, TimingPlan

__all__ = ["Runtime"]


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
    run: Callable[[Job, "ChildPool"], Generator[Message, None, None]]
    """Starts or takes a child and gives on its messages, the last being `done` or `failed`.

    Raises ChildDied or ChildStalled; then the child is gone, and the next call starts another.
    """
    time: Callable[[Job, TimingPlan, "ChildPool"], Generator[Message, None, None]]
    """As `run`, in a child that has done nothing before and is ended after: `timed` comes before `done`.

    The first message is `waiting`: a child that is slow to start has started, so that another may while it waits, and
    what is timed begins when the next message is asked for. Nothing is written.
    """
    start: Callable[[Message, "ChildPool"], Child] | None
    """Starts a child on a job document, for reading inside a variant; None where that is the Python worker's.

    Without a default: a runtime that forgot it would show what Python computed as its own layers.
    """
    read: Callable[[Message, Lane, "ChildPool"], Generator[Message, None, None]] | None = None
    """Answers one request for what is inside a variant, in a kept child that answers for others of its lane too.

    None where a variant that is read inside needs a child of its own, or the Python worker.
    """
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
