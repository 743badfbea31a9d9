"""Which tensors are compared, and which of them channel by channel, by the names of layers and tensors."""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quantlab.errors import UsageError
from quantlab.names import nearest

__all__ = ["TapChoice"]


@dataclass(frozen=True, slots=True)
class TapChoice:
    """What `--taps` and `--channels` name: layers or tensors, as globs too."""

    taps: tuple[str, ...] | None
    """None is every tensor."""
    channels: tuple[str, ...]

    def wants(self, *names: str) -> bool:
        """Whether a tensor is compared that goes by these names: its own, its layer's, the reference's."""
        return self.taps is None or _any_matches((*self.taps, *self.channels), names)

    def by_channel(self, *names: str) -> bool:
        """Whether each of its channels gets a row of its own."""
        return _any_matches(self.channels, names)

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Check every name against those of the layers and tensors that there are.

        Raises:
            UsageError: If one names nothing, with the nearest names.
        """
        names = [name for name in dict.fromkeys(known) if name]
        for pattern in (*(self.taps or ()), *self.channels):
            if not _any_matches((pattern,), names):
                raise UsageError(
                    f"there is no tap '{pattern}', neither a layer nor a tensor of the model or of a variant; "
                    f"{nearest(pattern, names)}"
                )


def _any_matches(patterns: Sequence[str], names: Sequence[str]) -> bool:
    # A name may hold brackets, which are a glob's too: hence equality first.
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names if name)
