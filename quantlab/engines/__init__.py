"""What carries the tasks of a study to workers: processes of this machine, or a cluster that exists already.

An engine only calls a function with a JSON document and brings back the document that it returns. What a task is, how
it is claimed, and where its result lies is known to `quantlab.study.shards`.
"""

from quantlab.engines.contract import Engine, EngineRequest, WorkerLost, Workers
from quantlab.engines.registry import ENGINES, engine_named
from quantlab.engines.shared import shared_engines

__all__ = ["ENGINES", "Engine", "EngineRequest", "WorkerLost", "Workers", "engine_named", "shared_engines"]
