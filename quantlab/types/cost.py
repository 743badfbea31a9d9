"""Time and memory cost of a variant, with the machine on which they were measured."""

from dataclasses import dataclass

__all__ = ["Cost", "Costs", "DownloadSize", "Machine", "SteadyTimes"]


@dataclass(frozen=True, slots=True)
class DownloadSize:
    """Slow-to-compute delivery data of an artifact: Brotli size and minimum runtime; kept by the artifact's hash."""

    brotli_bytes: int
    """The same as `Variant.brotli_bytes`."""
    minimum_runtime: str | None
    """The same as `Variant.minimum_runtime`."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine on which costs were measured. Times from different machines, or from a phone, are not comparable."""

    cpu: str
    """Model name of the processor, or its architecture if the system does not report a name."""
    cores: int
    """Number of cores that quantlab may use; each measurement uses one."""
    system: str
    """Operating system and architecture, for example `Linux x86_64`."""

    @property
    def text(self) -> str:
        """One-line description, for example `Intel(R) Xeon(R) CPU, 2 cores, Linux x86_64`."""
        return f"{self.cpu}, {self.cores} core{'s' if self.cores != 1 else ''}, {self.system}"


@dataclass(frozen=True, slots=True)
class SteadyTimes:
    """Times of the calls that one process made, in milliseconds, after warm-up."""

    runs: int
    """Number of calls."""
    median_ms: float
    fastest_ms: float
    q1_ms: float
    q3_ms: float
    p95_ms: float | None
    """None with fewer than 20 calls."""
    session: str = ""
    """Names the command that measured it: artifacts that were timed by one command were timed in turns, so that a slow
    minute slowed all of them. Empty in studies of an older quantlab."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one trial, on one thread, while no other work of the study runs.

    Each round of timing is a process of its own. All trials are timed once, then all again, so that a slow minute of
    the machine slows all of them. Calls of one process are not independent of each other, so intervals come from the
    rounds. Times and memory that were not measured are None; `reason` or `memory_reason` says why.
    """

    setting: str
    runtime: str
    sha256: str
    """SHA-256 of the measured artifact; empty if there is none."""
    machine: Machine
    ran_on: str | None = None
    """The runtime that executed the variant; it differs from `runtime` only with `--fallback`."""
    batch: int = 1
    """Samples per call."""
    load_ms: float | None = None
    """Time to load the variant in the first round, in milliseconds, after the runtime's library has been loaded and
    started."""
    first_run_ms: float | None = None
    """Time of the first call of the first round, in milliseconds. It includes work that libraries postpone until
    then."""
    runs: int = 0
    """Number of calls in the steady times of all rounds; warm-up calls come before and are not counted."""
    steady_median_ms: float | None = None
    """Median over the rounds of the median time of one call with one sample, in milliseconds: the model's call and
    reading its outputs."""
    steady_median_lower_ms: float | None = None
    """Lower end of the interval of the median, from the rounds; None with one round."""
    steady_median_upper_ms: float | None = None
    """Upper end of the interval of the median, from the rounds; None with one round."""
    steady_median_coverage: float | None = None
    """Exact coverage of the interval, 0 to 1: 0.75 with three rounds; None with one round."""
    steady_fastest_ms: float | None = None
    """Fastest run of all rounds in milliseconds, the figure least affected by other load."""
    steady_q1_ms: float | None = None
    """First quartile of the steady times, in milliseconds: the median over the rounds, like the next two."""
    steady_q3_ms: float | None = None
    """Third quartile of the steady times, in milliseconds."""
    steady_p95_ms: float | None = None
    """95th percentile of the steady times, in milliseconds; None if a round has fewer than 20 calls."""
    rounds: tuple[SteadyTimes, ...] = ()
    """The steady times of each round; empty in studies of an older quantlab."""
    peak_memory_bytes: int | None = None
    """Peak memory of the process until the last call, in bytes; for Python without pages of shared libraries."""
    idle_memory_bytes: int | None = None
    """Peak memory before the variant is loaded: runtime and library; for Python everything the process inherited."""
    memory_reason: str | None = None
    """Why memory was not measured, otherwise None."""
    reason: str | None = None
    """Why nothing was measured, otherwise None."""
    notes: tuple[str, ...] = ()
    """Remarks about this row, for example `not shown to be faster than tfjs-float32`."""

    @property
    def own_memory_bytes(self) -> int | None:
        """Memory that loading and running the variant added, in bytes; 0 if starting the library needed more."""
        if self.peak_memory_bytes is None or self.idle_memory_bytes is None:
            return None
        return self.peak_memory_bytes - self.idle_memory_bytes


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost of every trial of a study, in table order; the content of `costs.json`."""

    rows: tuple[Cost, ...]
    machine: Machine
    notes: tuple[str, ...] = ()
    """Remarks that apply to all rows."""
    schema: int = 1
    """Version of the file's layout."""
