"""An error about one of the scored samples, which whoever knows where the samples come from names by its origin."""

from typing import Self

from quantlab.errors import UsageError

__all__ = ["OddSample"]


class OddSample(UsageError):
    """The ground truth of a sample, or what a function returned for it, cannot be used."""

    def __init__(self, before: str, place: int, after: str, *, name: str = "") -> None:
        """A sentence in three parts: before the sample's name, the sample, and after its name.

        Args:
            before: Ends without a space.
            place: Position among the arrays that the metric was given.
            after: Begins with a space or a comma.
            name: The sample in words; empty for its place.
        """
        super().__init__(f"{before} {name or f'sample {place} (counted from 0)'}{after}")
        self.before, self.place, self.after = before, place, after

    def named(self, name: str) -> Self:
        """The same error, about a sample with this name."""
        return type(self)(self.before, self.place, self.after, name=name)
