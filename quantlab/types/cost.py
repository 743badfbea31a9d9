"""What a variant costs whoever runs it: time and memory, as measured on one machine and named so."""

from dataclasses import dataclass

__all__ = ["Cost", "Costs", "DownloadSize", "Machine"]


@dataclass(frozen=True, slots=True)
class DownloadSize:
    """Slow-to-compute delivery data of an artifact: Brotli size and minimum runtime; kept by the artifact's hash."""

    brotli_bytes: int
    """As `Variant.brotli_bytes`."""
    minimum_runtime: str | None
    """As `Variant.minimum_runtime`."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where costs were measured; milliseconds of another machine are other milliseconds, and never a phone's."""

    cpu: str
    """The processor's model name, or its architecture where the system does not tell."""
    cores: int
    """That quantlab may use; a measurement uses one."""
    system: str
    """As `Linux x86_64`."""

    @property
    def text(self) -> str:
        """As a sentence's part: `Intel(R) Xeon(R) CPU, 2 cores, Linux x86_64`."""
        return f"{self.cpu}, {self.cores} core{'s' if self.cores != 1 else ''}, {self.system}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one trial costs: measured in a process of its own, on one thread, while nothing else of the study runs.

    Times and memory are None where they were not measured, and `reason` or `memory_reason` says why.
    """

    setting: str
    runtime: str
    sha256: str
    """Of the artifact that was measured; empty where there is none."""
    machine: Machine
    ran_on: str | None = None
    """The runtime it really ran on; differs from `runtime` only under `--fallback`."""
    batch: int = 1
    """Samples a run."""
    load_ms: float | None = None
    """From files to a variant that can be called; the runtime's library was loaded and started before."""
    first_run_ms: float | None = None
    """The first call, in which libraries do what they put off."""
    runs: int = 0
    """How many calls the steady times are of; calls to warm up come before and are not counted."""
    steady_median_ms: float | None = None
    """Of one call on one sample: the model's call and the reading of its outputs."""
    steady_fastest_ms: float | None = None
    """Fastest run in milliseconds, the figure least affected by other load."""
    steady_q1_ms: float | None = None
    """A quarter of the runs took less."""
    steady_q3_ms: float | None = None
    """A quarter of the runs took more."""
    steady_p95_ms: float | None = None
    """One run in twenty took more; None also where there are fewer than twenty."""
    peak_memory_bytes: int | None = None
    """The most that the process held at once, up to the last run; in Python without pages of shared libraries."""
    idle_memory_bytes: int | None = None
    """The same before the variant was loaded: the runtime and its library, in Python all that the process inherited."""
    memory_reason: str | None = None
    """Why the memory is not known, else None."""
    reason: str | None = None
    """Why nothing was measured, else None."""
    notes: tuple[str, ...] = ()
    """What the reader of the row must know, as `no faster than tfjs-float32`."""

    @property
    def own_memory_bytes(self) -> int | None:
        """What loading and running the variant added; 0 where starting the library took more."""
        if self.peak_memory_bytes is None or self.idle_memory_bytes is None:
            return None
        return self.peak_memory_bytes - self.idle_memory_bytes


@dataclass(frozen=True, slots=True)
class Costs:
    """What every trial of a study costs, in the table's order, as `costs.json` keeps it."""

    rows: tuple[Cost, ...]
    machine: Machine
    notes: tuple[str, ...] = ()
    """What the reader must know of all rows."""
    schema: int = 1
