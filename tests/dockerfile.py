"""What a Dockerfile says: its stages, and the steps of each."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Copy", "Stage", "Step", "stages"]


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction, for example RUN, and all that follows it, in one line."""

    word: str
    text: str

    @property
    def words(self) -> tuple[str, ...]:
        """The text as words: of the exec form, which is a list of JSON, or as a shell would split it."""
        return tuple(json.loads(self.text)) if self.text.startswith("[") else tuple(shlex.split(self.text))


@dataclass(frozen=True, slots=True)
class Copy:
    """A COPY: what it copies, from the context or another stage, and where to."""

    sources: tuple[str, ...]
    target: str
    stage: str | None

    @classmethod
    def of(cls, step: Step) -> "Copy":
        """Read a step; options other than --from are refused."""
        words = list(step.words)
        stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
        if words[0].startswith("--"):
            raise ValueError(f"COPY with {words[0]} is not known here")
        return cls(tuple(words[:-1]), words[-1], stage)


@dataclass(frozen=True, slots=True)
class Stage:
    """What begins with FROM."""

    image: str
    name: str
    """Empty if it has none."""
    steps: tuple[Step, ...]

    def texts(self, word: str) -> list[str]:
        """What follows an instruction, each time."""
        return [step.text for step in self.steps if step.word == word]

    @property
    def copies(self) -> list[Copy]:
        return [Copy.of(step) for step in self.steps if step.word == "COPY"]

    @property
    def command(self) -> tuple[str, ...]:
        """What a container runs: ENTRYPOINT and CMD."""
        last = {step.word: step.words for step in self.steps}
        return last.get("ENTRYPOINT", ()) + last.get("CMD", ())


def stages(text: str) -> list[Stage]:
    r"""The stages of a Dockerfile, in order.

    >>> first, = stages("# one\nFROM python AS build\nRUN a \\\n && b\n")
    >>> first.image, first.name, first.steps
    ('python', 'build', (Step(word='RUN', text='a   && b'),))
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    steps = [_step(line) for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()]
    begins = [place for place, step in enumerate(steps) if step.word == "FROM"]
    return [_stage(steps[start:stop]) for start, stop in zip(begins, [*begins[1:], len(steps)], strict=True)]


def _step(line: str) -> Step:
    word, _, text = line.strip().partition(" ")
    return Step(word.upper(), text.strip())


def _stage(steps: Sequence[Step]) -> Stage:
    image, _, name = steps[0].text.partition(" AS ")
    return Stage(image, name, tuple(steps[1:]))
