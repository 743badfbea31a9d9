"""The options of a study in shards."""

from dataclasses import dataclass
from typing import get_args

from quantlab.errors import UsageError
from quantlab.types import KeepSamples

__all__ = ["ShardOptions"]

_FOR_EACH_WORKER = 4
"""Shards for each worker if nothing is said: few, because each opens the artifact again, and enough that all workers
end at about the same time."""

_FORKED = "local"
"""The engine whose workers are forks of this program."""


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """How a study is cut into shards, and who runs them."""

    shards: int | None = None
    """Number of shards; None cuts by `shard_size`, or without one as before, or into four for each worker."""
    shard_size: int | None = None
    """Samples of a shard, rounded up to whole batches."""
    engine: str = _FORKED
    """Name of the engine that carries the tasks to workers."""
    address: str | None = None
    """Address of the engine's cluster; None starts workers on this machine."""
    workers: int | None = None
    """Number of workers on this machine; None means one per core. A cluster has its own."""

    keep_samples: KeepSamples = "all"
    """Which samples stay on the disk: all, or `few`, so that those of a few shards at a time are there, and the data is
    read again while variants run."""

    def __post_init__(self) -> None:
        if self.keep_samples not in get_args(KeepSamples):
            raise UsageError(f"there is no --keep-samples '{self.keep_samples}'; choose all or few")
        if self.keep_samples == "few" and self.shard_size is None:
            raise UsageError(
                "--keep-samples few keeps the samples of a few shards on the disk, and the size of a shard is not "
                "said; give it with --shard-size, for example 4096, and not with --shards"
            )
        if self.shards is not None and self.shard_size is not None:
            raise UsageError(
                f"--shards {self.shards} and --shard-size {self.shard_size} contradict each other; give one of them"
            )
        for option, value in (
            ("--shards", self.shards),
            ("--shard-size", self.shard_size),
            ("--workers", self.workers),
        ):
            if value is not None and value < 1:
                raise UsageError(f"{option} is {value} and must be at least 1")
        if self.address is not None and self.workers is not None:
            raise UsageError(
                f"the workers of the cluster at '{self.address}' are started there, and --workers is {self.workers}; "
                f"leave it out"
            )

    @property
    def forks_workers(self) -> bool:
        """Whether the workers are forks of this program, whose fork server then serves their children, too."""
        return self.engine == _FORKED

    def number(self, workers: int) -> int | None:
        """The number of shards for so many workers; None if the size of a shard is given."""
        if self.shard_size is not None:
            return None
        return self.shards or _FOR_EACH_WORKER * workers
