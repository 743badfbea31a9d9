"""The paths of one job, as a page asks for them.

A page requests the job, the artifact's files, ranges of the inputs' bytes, and the next request of the parent. It
sends the bytes of its outputs, and messages. The names are:

- `GET job`: the request with its job, with names instead of paths (`artifact`, `input/0`, `output/0`, `scratch`);
- `GET artifact`, `artifact/<file>`: the variant's file, or a file in its folder; `external/<n>`: the n-th file of
external data in the job's `options`;
- `GET input/<n>` and `GET output/<n>` with a range: bytes of the job's input n, or of the output n that the page wrote;
- `POST output/<n>?at=<byte>`: bytes into the job's output n, within the file's size; `POST scratch?at=<byte>` as well,
  into the file for taps, which grows;
- `GET fed/<call>/<n>`: the n-th array of a call that may be wrong; `POST answer/<call>-<n>.bin?at=<byte>`: bytes of its
output n;
- `POST message?seq=<n>`: a JSON object for the parent, or for its log (`type` is `log`, with `text`);
- `GET request?seq=<n>`: the parent's next request for the same job; 204 if there is none;
- `GET memory`: the browser's peak memory.

A page whose connection broke does not know what arrived, so everything may be sent again: bytes have a position, and
messages and requests a number, by which what came before is told.
"""

import json
import os
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantlab.runtimes.page_files import Served
from quantlab.runtimes.page_http import PIECE_BYTES, Answering, Refused

__all__ = ["JobLimits", "JobPaths", "Parent"]

_SLICE_SECONDS = 0.25
"""How often a thread that waits for the parent's next request checks whether the server stops."""


@dataclass(frozen=True, slots=True)
class Parent:
    """Callbacks of the process that serves the page; called from several threads."""

    opened: Callable[[], None]
    """Called when the page asks for its job, that is, when it and its modules have loaded."""
    say: Callable[[dict[str, Any]], None]
    """Called with each message of the page."""
    ask: Callable[[float], Mapping[str, Any] | None]
    """Waits at most so many seconds for the parent's next request, and raises `queue.Empty` then; None at the end."""
    memory: Callable[[], Mapping[str, Any]]
    """Returns peak memory as `bytes`, or null with a `reason`."""
    wrote: Callable[[str, int, int], None] = lambda *_: None
    """Called after bytes were written, with the name, the position and the number of bytes."""


@dataclass(frozen=True, slots=True)
class JobLimits:
    """The most that a page may send at once, and write where a file grows."""

    message_bytes: int = 64 << 20
    write_bytes: int = 1 << 40
    file_bytes: int = 1 << 50
    """Of a file that grows."""


@dataclass(slots=True)
class JobPaths:
    """Answers the requests of a page for one job."""

    served: Served
    parent: Parent
    limits: JobLimits = field(default_factory=JobLimits)
    heard_first: bool = False
    """Whether the parent hears a message before the page gets its answer; not if the last message ends the browser."""
    _one_message: threading.Lock = field(default_factory=threading.Lock)
    _heard: int = 0
    """Number of the last numbered message."""
    _one_request: threading.Lock = field(default_factory=threading.Lock)
    _asked: list[Mapping[str, Any] | None] = field(default_factory=list)
    """The parent's numbered requests, for a page that lost an answer."""

    def get(self, name: str, page: Answering) -> None:
        """Answer a GET request; raises Refused for what is no name of the job."""
        if name == "job":
            self.parent.opened()
            page.answer_json(self.served.asked)
        elif name == "memory":
            page.answer_json(self.parent.memory())
        elif name == "request":
            request = self._next_request(page)
            page.answer(b"", status=204) if request is None else page.answer_json(request)
        elif name in self.served.readable:
            _send_range(self.served.readable[name], page)
        elif (file := self.served.find(name)) is not None:
            page.answer_file(file)
        else:
            raise Refused(404)

    def post(self, name: str, page: Answering) -> None:
        """Answer a POST request; raises Refused for what is no name of the job, or too much."""
        length = page.length
        if name == "message":
            self._take_message(page)
        elif (file := self.served.target(name)) is not None:
            self._write(name, file, length, page)
        else:
            raise Refused(404)

    def _next_request(self, page: Answering) -> Mapping[str, Any] | None:
        """The parent's request with the asked number, or the next one; None at the end, or if the server stops."""
        number = page.asked("seq")
        with page.waiting(), self._one_request:
            if number.isdecimal() and len(number) < _DIGITS and int(number) < len(self._asked):
                return self._asked[int(number)]
            while not page.server.stopping:
                try:
                    request = self.parent.ask(_SLICE_SECONDS)
                except queue.Empty:
                    continue
                self._asked.append(request)
                return request
        return None

    def _take_message(self, page: Answering) -> None:
        body = page.body(self.limits.message_bytes)
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Refused(400)
        # Answered first, because the last message ends the browser. Passed on before the next message, which a page
        # sends after this answer, perhaps on another connection and so to another thread.
        with self._one_message:
            new = self._is_new(page.asked("seq"))
            if new and self.heard_first:
                self.parent.say(message)
                new = False
            try:
                page.answer(b"", status=204)
            finally:  # a page that did not get the answer sends it again, and then it is not new
                if new:
                    self.parent.say(message)

    def _is_new(self, number: str) -> bool:
        """Whether a message was not heard before; one without a number is new.

        Raises Refused for one that comes before its turn.
        """
        if not number:
            return True
        if not (number.isdecimal() and len(number) < _DIGITS) or int(number) > self._heard + 1:
            raise Refused(409)
        new = int(number) == self._heard + 1
        self._heard = max(self._heard, int(number))
        return new

    def _write(self, name: str, file: Path, length: int, page: Answering) -> None:
        at, grows = page.asked("at"), self.served.grows(name)
        if not (at.isdecimal() and len(at) < _DIGITS):
            raise Refused(400)
        most = self.limits.file_bytes if grows else file.stat().st_size
        if int(at) + length > most:
            raise Refused(416)
        if length > self.limits.write_bytes:
            raise Refused(413)
        try:
            _receive(page, file, int(at), length)
        except ConnectionError:
            raise
        except OSError as error:
            raise Refused(507) from error
        self.parent.wrote(name, int(at), length)
        page.answer(b"", status=204)


def _send_range(file: Path, page: Answering) -> None:
    first, _, last = (page.headers.get("Range") or "").removeprefix("bytes=").partition("-")
    if not (first.isdecimal() and last.isdecimal()):
        raise Refused(416)
    page.answer_part(file, int(first), int(last))


def _receive(page: Answering, file: Path, position: int, length: int) -> None:
    """Write the request's body at a position, in pieces; the file is created if it does not exist.

    Raises:
        ConnectionError: If the page disconnects before its end.
        OSError: If there is not enough disk space.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while length:
            data = page.rfile.read(min(length, PIECE_BYTES))
            if not data:
                raise ConnectionResetError
            page.renew()
            length -= len(data)
            # If the disk fills up, the first write is partial and only the second one raises.
            view = memoryview(data)
            while view:
                written = os.pwrite(descriptor, view, position)
                view, position = view[written:], position + written
    finally:
        os.close(descriptor)


_DIGITS = 16
"""Digits of a number that no position has."""
