"""The contract sheet of a model: what its artifacts take and give, and what became of calls that are not right."""

from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "RIGHT_CALL",
    "Answered",
    "CallSnippet",
    "ContractPort",
    "ContractSheet",
    "Outcome",
    "SheetArtifact",
    "TriedCall",
]

RIGHT_CALL: Final = "right call"
"""Family of the first row of each artifact and runtime, which compares its right call with the model."""

Outcome = Literal["same answer", "another answer", "refused"]
"""What became of a call: its answer is that of the right call, it is another one without an error, or an error."""


@dataclass(frozen=True, slots=True)
class SheetArtifact:
    """One thing that can be called: the model, its SavedModel signature, or an artifact."""

    name: str
    """`model`, `signature`, the name of a setting, or that of a file that the user named."""
    kind: str
    """Kind of a model, or format of an artifact."""
    path: str
    """The file or folder as the user named it; empty if quantlab converted it."""
    sha256: str
    """Hash of its files."""
    runtimes: tuple[str, ...]
    """Where it was called."""
    notes: tuple[str, ...] = ()
    """Remarks that can be read from the file."""
    failure: str | None = None
    """Why it could not be made or read; None if it could."""


@dataclass(frozen=True, slots=True)
class ContractPort:
    """One input or output of an artifact."""

    artifact: str
    direction: Literal["input", "output"]
    name: str
    """Name in the model."""
    tensor: str
    """Name in the artifact, by which a library finds it."""
    position: int
    """Index among the artifact's inputs or outputs, from 0."""
    shape: tuple[int | None, ...]
    """Batch first; None for a dimension of any size."""
    dtype: str
    lowest: float | None = None
    """Smallest finite value that was seen, in the unit of the port's dtype; None if nothing was seen."""
    highest: float | None = None
    """Largest finite value that was seen."""
    samples: int = 0
    """Number of samples in which these were seen."""
    scale: float | None = None
    """Step between two codes; None if it holds no codes."""
    zero_point: int | None = None
    """The code that stands for 0; None if it holds no codes."""
    formula: str | None = None
    """How its codes are computed from values, or values from its codes; None if it holds no codes."""


@dataclass(frozen=True, slots=True)
class TriedCall:
    """One call of one artifact in one runtime, and what became of it."""

    artifact: str
    runtime: str
    """Where it ran, or how it was called: `model(x)`, `model.predict(x)`."""
    family: str
    """Name of the family of attempts, as `dtypes`."""
    call: str
    """What was fed, in words."""
    outcome: Outcome
    detail: str = ""
    """The message of a refusal, in one line; for an answer, its shape if that is not the right one."""
    largest_difference: float | None = None
    """Largest absolute difference from the right call's answer over all outputs; None without a comparison."""
    same_top1: int | None = None
    """Samples whose largest class is that of the right call; None if no output has classes."""
    samples: int | None = None
    """Number of samples in the compared answer; None without a comparison."""


@dataclass(frozen=True, slots=True)
class CallSnippet:
    """Code that makes the right call, to copy."""

    artifact: str
    language: str
    """`Python`, `JavaScript`, `Kotlin` or `curl`."""
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """Counts of the outcomes of one artifact in one runtime."""

    same: int
    another: int
    refused: int


@dataclass(frozen=True, slots=True)
class ContractSheet:
    """Everything that `quantlab inspect` finds."""

    subject: str
    """The model or the artifacts, as the user named them."""
    samples: str
    """What was fed, in words."""
    own_samples: bool
    """Whether the user gave samples; otherwise random values were fed."""
    artifacts: tuple[SheetArtifact, ...]
    ports: tuple[ContractPort, ...]
    calls: tuple[TriedCall, ...]
    snippets: tuple[CallSnippet, ...] = ()

    def answered(self, artifact: str, runtime: str) -> Answered:
        """Count the outcomes of the attempts on one artifact in one runtime."""
        rows = [row for row in self.calls if (row.artifact, row.runtime) == (artifact, runtime)]
        ends = [row.outcome for row in rows if row.family != RIGHT_CALL]
        return Answered(ends.count("same answer"), ends.count("another answer"), ends.count("refused"))

    @property
    def silent(self) -> tuple[TriedCall, ...]:
        """The attempts that went wrong without an error."""
        return tuple(row for row in self.calls if row.outcome == "another answer" and row.family != RIGHT_CALL)
