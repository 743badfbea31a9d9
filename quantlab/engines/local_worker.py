"""A worker of the engine `local`: `python -m quantlab.engines.local_worker`."""

from quantlab.engines.calling import call
from quantlab.processes import Document, Emit, inherit_fork_server, serve

__all__: list[str] = []


def _handle(request: Document, emit: Emit) -> None:
    emit({"type": "answer", "document": call(request["function"], request["document"])})


if __name__ == "__main__":
    inherit_fork_server()
    serve(_handle)
