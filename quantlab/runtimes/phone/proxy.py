"""The child of a study whose jobs run on a phone: `python quantlab/runtimes/phone/proxy.py SOCKET`.

It passes requests on to `quantlab phone`, which has the phone's page, and messages back. So the study treats a phone
like any other runtime: with a time limit, a log, and an end.
"""

import json
import os
import socket
import sys
import threading

__all__ = ["main"]


def main() -> None:
    """Pass lines on until one of the two sides ends."""
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # from here on, all prints go to the log
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(sys.argv[1])
    threading.Thread(target=_pass_requests, args=(connection,), daemon=True).start()
    with connection.makefile("rb") as lines:
        for line in lines:
            message = json.loads(line)
            if message["type"] == "log":
                print(message["text"], file=sys.stderr, flush=True)
            else:
                channel.write(line)


def _pass_requests(connection: socket.socket) -> None:
    try:
        for line in sys.stdin.buffer:
            connection.sendall(line)
    finally:
        os._exit(0)  # the parent is gone


if __name__ == "__main__":
    main()
