"""A child that runs Python code sent by a test; the code answers with `say(value)`."""

from quantlab.processes import Document, Emit, serve


def handle(message: Document, emit: Emit) -> None:
    names = {"say": lambda value: emit({"type": "said", "value": value})}
    exec(message["code"], names)  # noqa: S102 (the tests' own code)


if __name__ == "__main__":
    serve(handle)
