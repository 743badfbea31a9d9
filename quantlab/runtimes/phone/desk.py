"""Passes jobs to the phone's page, one at a time, and messages back; an unfinished job is sent again.

Each time that a job is sent is a dispatch with a number of its own. A page that is reloaded, or a frame that was
replaced, knows only the number of an earlier dispatch, and is told to stop.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from quantlab.names import in_minutes
from quantlab.processes import Document, tagged
from quantlab.runtimes.page_files import Served
from quantlab.runtimes.page_http import Refused
from quantlab.runtimes.page_job import JobLimits, JobPaths, Parent
from quantlab.runtimes.phone.device import Device, plain
from quantlab.runtimes.phone.heard import Hearing, Refuted
from quantlab.runtimes.phone.tasks import Dispatch, Patience, Session, Task
from quantlab.runtimes.requests import Request, Run, Tap, request_document
from quantlab.types.messages import Failed, Message, Progress, Waiting

__all__ = ["Desk", "Gone"]

_LIMITS = JobLimits(message_bytes=4 << 20, write_bytes=1 << 30, file_bytes=1 << 30)
_MOST_LOGGED = 200
"""Most lines of the log of one dispatch."""
_NO_MEMORY = {"bytes": None, "reason": "the phone's browser does not report its memory"}


class Gone(Exception):
    """The parent does not wait for the answer any more."""


class Desk:
    """The jobs for a phone, for threads of the study on one side and of the page's server on the other."""

    def __init__(self, patience: Patience, host: str = "phone") -> None:
        self.patience, self._host = patience, host
        self.device: Device | None = None
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._contact = time.monotonic()
        self._waiting_pages = 0
        self._page = 0
        self._made = 0
        self._version = 0
        self._task: Task | None = None
        self._words: Document = {}
        self._over: str | None = None
        self._complete = False
        self._told_over = False
        self._missed = False
        self.tell: Callable[[str], None] = lambda _: None
        """Called with a sentence when the phone stops to answer, and when it comes back."""

    # For the study.

    def await_device(self, seconds: float) -> Device | None:
        """The phone, as soon as one has opened the page; None if there is none in time."""
        with self._changed:
            self._changed.wait_for(lambda: self.device is not None, seconds)
            return self.device

    def announce(self, words: str, number: int, of: int) -> None:
        """Tell the page what runs: in words, and as the n-th of all steps."""
        with self._changed:
            self._words = {"words": words, "number": number, "of": of}
            self._notify()

    def finish(self, words: str, seconds: float, *, complete: bool = False) -> None:
        """Tell the page that nothing follows, and wait some seconds until it knows; the first call counts.

        Args:
            words: What is left to say.
            seconds: Time limit for the page to ask.
            complete: Whether all was run.
        """
        with self._changed:
            if self._over is None:
                self._over, self._complete = words, complete
            self._notify()
            if self.device is not None:
                self._changed.wait_for(lambda: self._told_over, seconds)

    def perform(self, session: Session, request: Request) -> None:
        """Let the page answer a request, and pass its messages on; the last is `done` or `failed`.

        Raises:
            Gone: If the parent does not wait any more.
        """
        with self._own_turn(session):
            task = session.task
            follows = isinstance(request, Tap) and task is not None and task is self._task
            with self._changed:
                if task is not None and follows and not isinstance(task.outcome, Failed):
                    self._follow(task, request)
                else:
                    task = session.task = self._task = Task(request, session, request.job.start)
                self._notify()
            try:
                self._await(task)
            except Gone:
                self.leave(session)
                raise
        assert task.outcome is not None  # noqa: S101 (it has been awaited)
        session.put(tagged(task.outcome))
        if isinstance(task.request, Tap) and not isinstance(task.outcome, Failed):
            session.put({"type": "done"})
        session.flush()

    def leave(self, session: Session) -> None:
        """Forget what a child asked for; its frame is removed."""
        with self._changed:
            if session.task is not None and session.task is self._task:
                self._task = None
            session.task = None
            self._notify()

    @contextmanager
    def _own_turn(self, session: Session) -> Iterator[None]:
        """Wait until no other child has the page."""
        said = time.monotonic()
        while not self._turn.acquire(timeout=self.patience.look):
            said = self._sign(session, said)
        try:
            yield
        finally:
            self._turn.release()

    def _sign(self, session: Session, said: float) -> float:
        """Send a sign of life if the last one is long ago; return when it was sent."""
        if session.gone():
            raise Gone
        if time.monotonic() - said < self.patience.sign:
            return said
        session.put(tagged(Waiting()))
        session.flush()
        return time.monotonic()

    def _follow(self, task: Task, request: Request) -> None:
        """The next request for a variant that is open, if the page still has it."""
        task.request, task.outcome, task.barren = request, None, 0
        if task.dispatch is not None:
            task.dispatch.hearing.request = request
            task.dispatch.following.put(request_document(request))

    def _await(self, task: Task) -> None:
        said = time.monotonic()
        while True:
            with self._changed:
                if task.outcome is None:
                    self._changed.wait(self.patience.look)
                    if task.session.gone():
                        raise Gone
                    self._look_after(task)
                away, sentence = self._away, self._missing()
                ended = task.outcome is not None
            # Without the lock: a terminal and a child may take their time.
            if sentence is not None:
                self.tell(sentence)
            if ended:
                return
            if away:
                said = self._sign(task.session, said)

    @property
    def _away(self) -> bool:
        return not self._waiting_pages and time.monotonic() - self._contact > self.patience.present

    def _missing(self) -> str | None:
        """What to say once when the phone is away, and once when it is back."""
        if self._away == self._missed:
            return None
        self._missed = self._away
        if not self._missed:
            return "the phone is back"
        return (
            f"the phone has not answered for {self.patience.present:g} seconds: it computes a large batch, or is "
            f"locked, or lost the network; its row waits for {in_minutes(self.patience.wait / 60)}"
        )

    def _look_after(self, task: Task) -> None:
        """Fail a task if the phone does not come back, and send it again if its frame does not load."""
        now, dispatch = time.monotonic(), task.dispatch
        if self._away and now - self._contact > self.patience.wait:
            task.outcome = Failed(
                f"the phone has not answered for {in_minutes(self.patience.wait / 60)}; keep its screen on and the "
                f"page open, then run the same command again, which continues where this one stopped"
            )
            self._notify()
        elif (
            dispatch is not None and not dispatch.opened and not self._away and now - dispatch.made > self.patience.load
        ):
            dispatch.opened = True  # it counts
            self._lose(task, "its page did not load the job")

    def _lose(self, task: Task, why: str) -> None:
        """Give up a dispatch; the next one begins where it stopped."""
        began = task.dispatch is not None and task.dispatch.opened
        task.dispatch, task.barren = None, task.barren + began
        if task.barren >= self.patience.restarts:
            task.outcome = Failed(
                f"the phone stopped {task.barren} times without a new result ({why}), perhaps because its memory ran "
                f"out; close other apps and tabs, or make the study with a smaller --batch-size"
            )
        self._notify()

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()

    # For the server.

    def hello(self, device: Device) -> int:
        """Take note of a page that was opened, and return its number; earlier pages have to stop."""
        with self._changed:
            self.device = device
            self._page += 1
            if self._task is not None and self._task.dispatch is not None and self._task.outcome is None:
                self._lose(self._task, "its page was closed or opened again")
            elif self._task is not None:
                self._task.dispatch = None
            self._touch()
            self._notify()
            return self._page

    def news(self, page: int, seen: int) -> Document:
        """What a page should do, as soon as it is not what it has seen, or after a time.

        Raises:
            Refused: If a newer page is open.
        """
        with self._changed:
            self._refuse_old(page)
            self._touch()
            self._waiting_pages += 1
            try:
                self._changed.wait_for(lambda: self._version != seen or self._page != page, self.patience.poll)
            finally:
                self._waiting_pages -= 1
                self._touch()
            self._refuse_old(page)
            dispatch = self._dispatch(page)
            told: Document = {"version": self._version, "run": dispatch.key if dispatch else None}
            told |= {"over": self._over, "complete": self._complete}
            if self._over is not None:
                self._told_over = True
                self._changed.notify_all()
            if dispatch is None:
                return told
            job = dispatch.hearing.request.job
            task = self._task
            kind = dispatch.hearing.request.request
            done = task.done if task else job.start
            return {**told, **self._words, "kind": kind, "backend": job.backend, "done": done, "stop": job.stop}

    def paths(self, key: str) -> JobPaths:
        """The paths of a dispatch.

        Raises:
            Refused: If it is not the last one.
        """
        with self._changed:
            self._touch()
            dispatch = self._task.dispatch if self._task is not None else None
            if dispatch is None or dispatch.key != key:
                raise Refused(409)
            return dispatch.paths

    def lost(self, key: str, why: str) -> None:
        """A frame could not go on, for a reason that the next dispatch may not meet."""
        with self._changed:
            task = self._task
            if task is not None and task.dispatch is not None and task.dispatch.key == key and task.outcome is None:
                self._lose(task, plain(why) or "it gave no reason")

    def _touch(self) -> None:
        self._contact = time.monotonic()

    def _refuse_old(self, page: int) -> None:
        if page != self._page:
            raise Refused(409, "Another page of this phone was opened after this one; continue there.")

    def _dispatch(self, page: int) -> Dispatch | None:
        """The dispatch of a page, a new one if there is work; None if there is nothing to do."""
        task = self._task
        if task is None or isinstance(task.outcome, Failed):
            return None
        if task.dispatch is None and task.outcome is None:
            task.dispatch = self._new_dispatch(task, page)
        if isinstance(task.request, Tap):  # it stays open for the next samples
            return task.dispatch
        return task.dispatch if task.outcome is None else None

    def _new_dispatch(self, task: Task, page: int) -> Dispatch:
        self._made += 1
        request, start = task.request, task.done
        if isinstance(request, Run):
            job = request.job
            if start >= job.stop > job.start:  # the last batch again, because the page has more to say
                start = max(job.start, (job.stop - 1) // job.batch_size * job.batch_size)
            request = replace(request, job=replace(job, start=start))
        hearing = Hearing(request, f"{self._host}-{request.job.backend}")
        following: queue.Queue[Document] = queue.Queue()
        key = f"{page}-{self._made}"
        served = Served.of(request)

        def opened() -> None:
            dispatch.opened = True

        parent = Parent(
            opened,
            lambda message: self._hear(dispatch, message),
            lambda seconds: following.get(timeout=seconds),
            lambda: _NO_MEMORY,
            lambda name, position, length: self._wrote(dispatch, name, position, length),
        )
        paths = JobPaths(served, parent, _LIMITS, heard_first=True)
        dispatch = Dispatch(key, page, start, hearing, paths, time.monotonic(), following)
        return dispatch

    def _wrote(self, dispatch: Dispatch, name: str, position: int, length: int) -> None:
        with self._changed:
            dispatch.hearing.wrote(name, position, length)

    def _hear(self, dispatch: Dispatch, document: Document) -> None:
        """Take a message of a page, and pass it on."""
        with self._changed:
            task = self._task
            if task is None or task.dispatch is not dispatch:
                return
            if document["type"] == "log":
                self._log(task, dispatch, document)
            elif task.outcome is None:
                self._take(task, _heard(dispatch, document))
        task.session.flush()

    def _take(self, task: Task, message: Message) -> None:
        if isinstance(message, Progress) and isinstance(task.request, Run):
            if message.done <= task.done:  # it was told before
                return
            task.done, task.barren = message.done, 0
        if message.type in {"done", "failed", "tapped"}:
            task.outcome = message
            self._notify()
        else:
            task.session.put(tagged(message))

    def _log(self, task: Task, dispatch: Dispatch, document: Document) -> None:
        dispatch.logged += 1
        if dispatch.logged <= _MOST_LOGGED:
            task.session.put({"type": "log", "text": plain(document.get("text"), 1000)})


def _heard(dispatch: Dispatch, document: Document) -> Message:
    """The message, or that it cannot be."""
    try:
        return dispatch.hearing.hear(document)
    except Refuted as refuted:
        return Failed(
            f"the phone reported {refuted}, which cannot be; open the page again in a browser without extensions, "
            f"and run the same command again"
        )
