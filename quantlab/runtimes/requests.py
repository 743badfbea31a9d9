"""What a child is asked: one JSON object a line on its standard input, whose `request` tells which of these it is.

Every child of every runtime understands `Wait`, `Run`, `Time` and `Tap`; the others are for the Python worker, where
the reference is. See `quantlab.types.messages` for the answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from quantlab.processes import Document, tagged, untagged
from quantlab.runtimes.exchange import Job, TimingPlan

__all__ = [
    "REQUESTS",
    "ListTaps",
    "Open",
    "Probe",
    "Request",
    "Run",
    "Tap",
    "Time",
    "Wait",
    "request_document",
    "request_from",
]


@dataclass(frozen=True, slots=True)
class Run:
    """Run the variant from the job's first sample to its last, and write the outputs."""

    request: ClassVar[str] = "run"
    job: Job


@dataclass(frozen=True, slots=True)
class Wait:
    """Load the library that the job needs, and nothing else."""

    request: ClassVar[str] = "wait"
    job: Job


@dataclass(frozen=True, slots=True)
class Time:
    """Time the variant on the job's first batch; only in a child that has done nothing before but wait."""

    request: ClassVar[str] = "time"
    job: Job
    plan: TimingPlan


@dataclass(frozen=True, slots=True)
class Tap:
    """Run some samples, and write the tensors that the job's `taps` name.

    The variant stays open for the next request with the same `taps.file`.
    """

    request: ClassVar[str] = "tap"
    job: Job
    start: int
    stop: int
    """One past the last sample."""


@dataclass(frozen=True, slots=True)
class Open:
    """Open the model that the job's options name, and export what converters start from."""

    request: ClassVar[str] = "open"
    job: Job


@dataclass(frozen=True, slots=True)
class Probe:
    """Call the reference on the job's samples twice, and on some of them one by one."""

    request: ClassVar[str] = "probe"
    job: Job


@dataclass(frozen=True, slots=True)
class ListTaps:
    """List every tensor inside the job's graph."""

    request: ClassVar[str] = "list-taps"
    job: Job


Request = Run | Wait | Time | Tap | Open | Probe | ListTaps

REQUESTS: Mapping[str, type[Request]] = {kind.request: kind for kind in (Run, Wait, Time, Tap, Open, Probe, ListTaps)}
"""Every request by its name."""


def request_document(request: Request) -> Document:
    """A request as the JSON object that a child reads."""
    return tagged(request, "request")


def request_from(document: Mapping[str, object]) -> Request:
    """The request that a child was sent.

    Raises:
        ValueError: If it is none.
    """
    return untagged(document, REQUESTS, "request")
