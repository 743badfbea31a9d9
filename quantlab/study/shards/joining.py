"""What all shards of a run tell together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantlab.errors import TrialError
from quantlab.study.shards.task import Ran
from quantlab.types import JoinedShards, Repeated, Timing

__all__ = ["JoinedRun", "joined_run"]


@dataclass(frozen=True, slots=True)
class JoinedRun:
    """What the workers told about a run."""

    ran_on: str
    environment: Mapping[str, str]
    timing: Timing
    repeated: tuple[Repeated, ...]
    shards: JoinedShards


def joined_run(runtime: str, ran: Sequence[Ran], shards: JoinedShards) -> JoinedRun:
    """What all shards tell together.

    Raises:
        TrialError: If runtimes told different things about what outputs depend on.
    """
    first = ran[0]
    for other in ran[1:]:
        one, two = ({**told.environment, "the backend": told.ran_on} for told in (first, other))
        names = sorted(name for name in one | two if one.get(name) != two.get(name))
        if names:
            raise TrialError(
                f"{runtime} differs between the workers on {first.worker.host} and {other.worker.host} in "
                f"{', '.join(names)}, on which outputs depend; use workers of one kind"
            )
    timing = Timing(sum(one.timing.samples for one in ran), sum(one.timing.seconds for one in ran))
    ways: dict[str, Repeated] = {}
    for repeated in (repeated for one in ran for repeated in one.repeated):
        known = ways.get(repeated.way)
        # The worst shard counts; where none differs, it is the first one, as without shards.
        if known is None or repeated.share > known.share:
            ways[repeated.way] = repeated
    return JoinedRun(first.ran_on, first.environment, timing, tuple(ways.values()), shards)
