"""Chooses the tensors that are compared, and those compared per channel, by the names of layers and tensors."""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quantlab.errors import UsageError
from quantlab.names import nearest

__all__ = ["TapChoice"]


@dataclass(frozen=True, slots=True)
class TapChoice:
    """The values of `--taps` and `--channels`: names and globs of layers and tensors."""

    taps: tuple[str, ...] | None
    """None means every tensor."""
    channels: tuple[str, ...]

    def wants(self, *names: str) -> bool:
        """Whether a tensor with these names (its own, its layer's, the reference's) is compared."""
        return self.taps is None or _any_matches((*self.taps, *self.channels), names)

    def by_channel(self, *names: str) -> bool:
        """Whether each of its channels gets a row of its own."""
        return _any_matches(self.channels, names)

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Refuse names that match no layer and no tensor.

        Raises:
            UsageError: If a name matches nothing; the message lists similar names.
        """
        names = [name for name in dict.fromkeys(known) if name]
        for pattern in (*(self.taps or ()), *self.channels):
            if not _any_matches((pattern,), names):
                raise UsageError(
                    f"there is no tap '{pattern}', neither a layer nor a tensor of the model or of a variant; "
                    f"{nearest(pattern, names)}"
                )


def _any_matches(patterns: Sequence[str], names: Sequence[str]) -> bool:
    # A name may contain brackets, which are special in globs, so equality is checked first.
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names if name)
