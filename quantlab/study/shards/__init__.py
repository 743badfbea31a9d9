"""Studies in shards: the samples are cut into ranges that workers run, on this machine or on others.

A task is one shard through one variant in one runtime. Its result is one file, named by the hash of everything that it
depends on. Results are joined in the order of the shards into the same output files as without shards, so that all that
follows is the same.
"""

from quantlab.study.shards.delivery import JOINED_KEYS, RESULTS, result_name
from quantlab.study.shards.earlier import JOINED
from quantlab.study.shards.machine import this_worker
from quantlab.study.shards.options import ShardOptions
from quantlab.study.shards.sharding import JoinedRun, ShardedRun, Sharding
from quantlab.study.shards.started import started_workers

__all__ = [
    "JOINED",
    "JOINED_KEYS",
    "RESULTS",
    "JoinedRun",
    "ShardOptions",
    "ShardedRun",
    "Sharding",
    "result_name",
    "started_workers",
    "this_worker",
]
