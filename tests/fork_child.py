"""A child that runs the Python code it is sent, in which `say(value)` answers: tests look at a child from inside."""

from quantlab.processes import Document, Emit, serve


def handle(message: Document, emit: Emit) -> None:
    names = {"say": lambda value: emit({"type": "said", "value": value})}
    exec(message["code"], names)  # noqa: S102 (the tests' own code)


if __name__ == "__main__":
    serve(handle)
