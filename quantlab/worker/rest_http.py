"""HTTP with limits: each request has a time limit as a whole, each answer a number of bytes, and a run of requests.

No redirect is followed, no proxy is used, and certificates are checked.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from quantlab.errors import TrialError
from quantlab.names import without_controls
from quantlab.runtimes.serving import Address, Limits

__all__ = ["Answer", "Connection"]

_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that came whole."""

    status: int
    body: bytes


class Connection:
    """A connection to a server that is kept for several requests.

    Args:
        address: Where the server is.
        limits: What it may take.
    """

    def __init__(self, address: Address, limits: Limits) -> None:
        self._address, self._limits = address, limits
        self._open: http.client.HTTPConnection | None = None
        self._asked = 0

    def ask(self, method: str, path: str, body: bytes | None = None, *, most_bytes: int) -> Answer:
        """Send a request and read its answer.

        Args:
            method: `GET` or `POST`.
            path: Path on the server.
            body: JSON.
            most_bytes: Limit of the answer, if it is lower than that of `Limits`.

        Raises:
            TrialError: If no whole answer comes within the limits, or the server sends the client elsewhere.
        """
        self._asked += 1
        if self._asked > self._limits.requests:
            raise TrialError(
                f"the samples need more than {self._limits.requests:,} requests to the server; score fewer with "
                f"--limit, or send more in each with --batch-size"
            )
        kept = self._open is not None
        try:
            return self._once(method, path, body, most_bytes)
        except _Hung:
            raise TrialError(
                f"the server at {self._address} took more than {self._limits.seconds:g} seconds for a request; send "
                f"fewer samples in each with --batch-size, or look for what holds it up"
            ) from None
        except (http.client.RemoteDisconnected, ConnectionError) as error:
            if not kept:
                raise TrialError(self._closed(error)) from error
        # A server may close a connection that it has kept; a second try on a new one tells whether it is there.
        try:
            return self._once(method, path, body, most_bytes)
        except (_Hung, OSError, http.client.HTTPException) as error:
            raise TrialError(self._closed(error)) from error

    def _closed(self, error: BaseException) -> str:
        if isinstance(error, ConnectionRefusedError):
            return f"no server answers at {self._address}; start it, or correct --serving"
        return (
            f"the server at {self._address} closed the connection before it had answered "
            f"({_said(error)}); its log may say why"
        )

    def _once(self, method: str, path: str, body: bytes | None, most_bytes: int) -> Answer:
        most = min(most_bytes, self._limits.response_bytes)
        with self._within_time() as (connection, guard), self._explained():
            headers = {"Accept": "application/json", "Content-Type": "application/json"}
            if connection.sock is None:
                connection.connect()
            guard(connection.sock)
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            if response.status in range(300, 400):
                elsewhere = without_controls((response.getheader("Location") or "")[:200])
                raise TrialError(
                    f"the server at {self._address} sends requests on to '{elsewhere}', "
                    f"which quantlab does not follow; give that address with --serving if you trust it"
                )
            data = self._read(response, most)
            if response.will_close:
                self.close()
            return Answer(response.status, data)

    def _read(self, response: http.client.HTTPResponse, most: int) -> bytes:
        told = response.length  # None if the answer comes in chunks, or ends with the connection
        if told is not None and told > most:
            raise self._too_long(f"{told:,}", most)
        data = bytearray()
        while block := response.read(min(_BLOCK_BYTES, most + 1 - len(data))):
            data += block
            if len(data) > most:
                raise self._too_long(f"more than {most:,}", most)
        if told is not None and len(data) < told:
            raise TrialError(
                f"the answer of the server at {self._address} ends after {len(data):,} of {told:,} bytes; its log may "
                f"say why"
            )
        return bytes(data)

    def _too_long(self, size: str, most: int) -> TrialError:
        return TrialError(
            f"the server at {self._address} sends an answer of {size} bytes, and at most {most:,} are read; is it the "
            f"model's address? For large outputs, send fewer samples in each request with --batch-size"
        )

    @contextmanager
    def _within_time(self) -> Iterator[tuple[http.client.HTTPConnection, Callable[[socket.socket], None]]]:
        """A connection, and a function for its socket, which is shut down when the time is over.

        However slowly bytes still come. The connection forgets its socket before an answer that ends with it is read.
        """
        connection = self._open or self._connection()
        self._open = connection
        over, guarded = threading.Event(), list[socket.socket]()

        def guard(one: socket.socket) -> None:
            guarded.append(one)
            if over.is_set():  # the time was over before there was a socket to shut down
                raise _Hung

        def end() -> None:
            over.set()
            for one in guarded:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self._limits.seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield connection, guard
            if over.is_set():  # an answer that ends with the connection seems whole
                raise _Hung
        except BaseException as error:
            self.close()
            timed_out = over.is_set() or isinstance(error, TimeoutError)
            if timed_out:
                raise _Hung from error
            raise
        finally:
            timer.cancel()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Name what is wrong with a certificate, a name or an answer that is not HTTP."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise TrialError(
                f"the certificate of {self._address} is refused ({error.verify_message}); give the server a valid one, "
                f"or name the file of its authority in SSL_CERT_FILE"
            ) from error
        except ssl.SSLError as error:
            raise TrialError(
                f"{self._address} does not answer in TLS ({_said(error)}); is it an http:// address?"
            ) from error
        except socket.gaierror as error:
            raise TrialError(
                f"the host '{self._address.host}' is not known ({_said(error)}); correct --serving"
            ) from error
        except (http.client.RemoteDisconnected, ConnectionError, TimeoutError):
            raise
        except http.client.IncompleteRead as error:
            raise TrialError(
                f"the answer of the server at {self._address} ends after {len(error.partial):,} bytes of a chunk; its "
                f"log may say why"
            ) from error
        except http.client.HTTPException as error:
            raise TrialError(f"{self._address} does not answer in HTTP ({_said(error)}); correct --serving") from error

    def _connection(self) -> http.client.HTTPConnection:
        host, port, seconds = self._address.host, self._address.port, self._limits.seconds
        if self._address.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=seconds)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._open is not None:
            self._open.close()
        self._open = None


class _Hung(Exception):
    """The time of a request is over."""


def _said(error: BaseException) -> str:
    return without_controls(" ".join(str(error).split()) or type(error).__name__)[:200]
