"""The process that converts: `python -m quantlab_converters.child`, answering one request after another.

A request is a `Convert`. Before a scheme is worked on the process says `Converting`, after it `Converted`.
"""

import time
from pkgutil import resolve_name

from quantlab.processes import Document, Emit, serve, tagged, untagged
from quantlab.types.messages import Converted, Converting
from quantlab_converters.contract import Convert
from quantlab_converters.decision_forests import register_ops


def _handle(document: Document, emit: Emit) -> None:
    asked = untagged(document, {Convert.request: Convert}, "request")
    began, previous = time.perf_counter(), ""
    register_ops(asked.conversion.source)
    for scheme in resolve_name(asked.function)(asked.conversion):
        now = time.perf_counter()
        if previous and previous != scheme:
            emit(tagged(Converted(previous, now - began)))
            began = now
        if previous != scheme:
            emit(tagged(Converting(scheme)))
        previous = scheme
    emit(tagged(Converted(previous, time.perf_counter() - began)))


if __name__ == "__main__":
    serve(_handle)
