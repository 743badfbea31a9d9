"""Requests to a child: one JSON object per line on its standard input; `request` names the class.

Children of all runtimes understand `Wait`, `Run`, `Time`, `Tap` and `Prepare`; if `Host.tries` is true also `Try`.
The other requests are for the Python worker, which has the reference. The answers are in `quantlab.types.messages`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from quantlab.processes import Document, tagged, untagged
from quantlab.runtimes.calls import Call
from quantlab.runtimes.exchange import Job, Picture, TimingPlan

__all__ = [
    "REQUESTS",
    "ListTaps",
    "NonFiniteWeights",
    "Open",
    "Prepare",
    "Probe",
    "Request",
    "Run",
    "Tap",
    "Time",
    "Try",
    "Wait",
    "request_document",
    "request_from",
]


@dataclass(frozen=True, slots=True)
class Run:
    """Run the variant from the job's first sample to its last, and write the outputs."""

    request: ClassVar[str] = "run"
    job: Job
    opened: str = ""
    """Name under which the variant stays open in the child, in place of the one before; a later run with the same name
    does not open it again. Empty if it is opened for this run only."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Load the libraries that the job needs, and nothing else."""

    request: ClassVar[str] = "wait"
    job: Job


@dataclass(frozen=True, slots=True)
class Time:
    """Time the variant on the job's first batch; only for a child whose only earlier request was `Wait`."""

    request: ClassVar[str] = "time"
    job: Job
    plan: TimingPlan


@dataclass(frozen=True, slots=True)
class Tap:
    """Run some samples, and write the tensors named in the job's `taps`.

    The variant stays open for the next request with the same `taps.file`.
    """

    request: ClassVar[str] = "tap"
    job: Job
    start: int
    stop: int
    """Index after the last sample."""


@dataclass(frozen=True, slots=True)
class Try:
    """Make calls of the artifact, right or wrong, as a user's own program does; the job has no inputs or outputs.

    Each call is answered by a `Tried`. A library may end the process in one of them.
    """

    request: ClassVar[str] = "try"
    job: Job
    way: str
    """How the artifact is called: a key of `PythonExecutor.raw`; empty in JavaScript, where there is one way."""
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Prepare:
    """Run each step of `steps` on each picture, and write the pixels one behind the other into `target`.

    A picture for which a step fails costs only that step: `Prepared` has the reason.
    """

    request: ClassVar[str] = "prepare"
    job: Job
    """Only its backend counts, and what chooses the child."""
    pictures: tuple[Picture, ...]
    steps: tuple[str, ...]
    """Names by which the child knows the steps: decoders for files, resizers for pixels or, with a size, for files."""
    grey: bool
    """Whether decoders give one channel."""
    target: str
    """File that is created, or overwritten."""


@dataclass(frozen=True, slots=True)
class Open:
    """Open the model named in the job's options, and export the file or folder that converters read."""

    request: ClassVar[str] = "open"
    job: Job


@dataclass(frozen=True, slots=True)
class Probe:
    """Call the reference on the job's samples twice, and once for each of some single samples."""

    request: ClassVar[str] = "probe"
    job: Job


@dataclass(frozen=True, slots=True)
class ListTaps:
    """List every tensor inside the job's graph."""

    request: ClassVar[str] = "list-taps"
    job: Job


@dataclass(frozen=True, slots=True)
class NonFiniteWeights:
    """List the reference's variables that hold NaN or infinity."""

    request: ClassVar[str] = "non-finite-weights"
    job: Job


Request = Run | Wait | Time | Tap | Try | Prepare | Open | Probe | ListTaps | NonFiniteWeights

REQUESTS: Mapping[str, type[Request]] = {
    kind.request: kind for kind in (Run, Wait, Time, Tap, Try, Prepare, Open, Probe, ListTaps, NonFiniteWeights)
}
"""Every request by its name."""


def request_document(request: Request) -> Document:
    """A request as the JSON object that a child reads."""
    return tagged(request, "request")


def request_from(document: Mapping[str, object]) -> Request:
    """The request in a JSON object.

    Raises:
        ValueError: If it is not a request.
    """
    return untagged(document, REQUESTS, "request")
