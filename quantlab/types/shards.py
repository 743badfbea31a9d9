"""A study in shards: what was cut, and which workers ran it."""

from collections.abc import Mapping
from dataclasses import dataclass

from quantlab.types.repeated import Repeated
from quantlab.types.trial import Timing

__all__ = ["JoinedShard", "JoinedShards", "Shard", "ShardWorker", "Shards"]


@dataclass(frozen=True, slots=True)
class Shard:
    """A range of the scored samples that is run as a whole, always by the same batches."""

    start: int
    """The first sample, a multiple of the batch size."""
    stop: int
    """Index after the last sample."""

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class ShardWorker:
    """A machine on which shards were run."""

    host: str
    """Its name in the network."""
    system: str
    """Its operating system and processor architecture."""
    processor: str
    """The name of its processor; empty if the system does not tell it."""
    instructions: tuple[str, ...]
    """The vector instructions of its processor, by which libraries choose kernels: outputs depend on them."""
    cores: int
    memory_bytes: int
    versions: Mapping[str, str]
    """Package → version, of the packages on which outputs depend."""


@dataclass(frozen=True, slots=True)
class Shards:
    """How a study was run in shards; the content of `shards.json`."""

    engine: str
    """The engine that carried the tasks."""
    shards: tuple[Shard, ...]
    """In the order of the samples."""
    workers: tuple[ShardWorker, ...]
    """Every machine whose results are in the study, by name."""
    schema: int = 1
    """Version of the file's layout."""


@dataclass(frozen=True, slots=True)
class JoinedShard:
    """One shard of stored outputs."""

    key: str
    """Hash of everything that its outputs depend on: another study with the same shard need not run it."""
    start: int
    """The first of its samples among those of the study."""
    stop: int
    """Index after the last sample."""
    sha256: str
    """SHA-256 of its outputs, one output behind the other."""
    ran_on: str
    """The backend that was used."""
    environment: Mapping[str, str]
    """What the runtime told of itself."""
    timing: Timing
    repeated: tuple[Repeated, ...]
    """How the outputs of its first samples differed when they ran again."""
    worker: ShardWorker


@dataclass(frozen=True, slots=True)
class JoinedShards:
    """The shards of the outputs beside which this record lies."""

    shards: tuple[JoinedShard, ...]
    """In the order of the samples."""
