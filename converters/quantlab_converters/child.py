"""The process that converts: `python -m quantlab_converters.child`, answering one request after another.

A request is a `ConversionRequest` as JSON; `convert` names the function that does it. Before a scheme is worked on the
process says `{"type": "converting", "scheme": …}`, after it `{"type": "converted", "scheme": …, "seconds": …}`.
"""

import time
from pathlib import Path
from pkgutil import resolve_name

from quantlab.processes import Emit, Message, serve
from quantlab_converters.contract import ConversionRequest


def _handle(message: Message, emit: Emit) -> None:
    request = ConversionRequest(
        source=Path(message["source"]),
        signature=message["signature"],
        schemes={scheme: Path(folder) for scheme, folder in message["schemes"].items()},
        sample_shapes={name: tuple(shape) for name, shape in message["sample_shapes"].items()},
        calibration={name: Path(file) for name, file in message["calibration"].items()},
        work=Path(message["work"]),
        model=Path(message["model"]),
        format=message["format_of_source"],
    )
    began, previous = time.perf_counter(), None
    for scheme in resolve_name(message["convert"])(request):
        now = time.perf_counter()
        if previous is not None and previous != scheme:
            emit({"type": "converted", "scheme": previous, "seconds": now - began})
            began = now
        if previous != scheme:
            emit({"type": "converting", "scheme": scheme})
        previous = scheme
    emit({"type": "converted", "scheme": previous, "seconds": time.perf_counter() - began})


if __name__ == "__main__":
    serve(_handle)
