"""The addresses of this machine in its network, and a certificate for them."""

import contextlib
import ipaddress
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from quantlab.errors import UsageError

__all__ = ["local_addresses", "write_certificate"]

_DAYS = 2
_SECONDS = 30.0


def local_addresses() -> tuple[str, ...]:
    """The IPv4 addresses at which others in the network reach this machine, the likeliest first; none without any.

    Nothing is sent: connecting a datagram socket only chooses the interface.
    """
    found = []
    for target in ("192.0.2.1", "10.255.255.255", "192.168.255.255", "172.31.255.255"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            found.append(str(probe.getsockname()[0]))
    with contextlib.suppress(OSError):
        found += [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    return tuple(one for one in dict.fromkeys(found) if not ipaddress.ip_address(one).is_loopback)


def write_certificate(hosts: Sequence[str]) -> ssl.SSLContext:
    """A context with a new self-signed certificate for these addresses, valid for two days, made by OpenSSL's program.

    Raises:
        UsageError: If there is no `openssl`, or it fails.
    """
    program = shutil.which("openssl")
    if program is None:
        raise UsageError(
            "--https needs the program 'openssl'; install it ('apt-get install openssl' on Debian), or connect the "
            "phone by USB and leave --https out"
        )
    names = ",".join(f"IP:{host}" if _is_address(host) else f"DNS:{host}" for host in hosts)
    with tempfile.TemporaryDirectory(prefix="quantlab-phone-") as folder:
        key, certificate = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
        command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-days", str(_DAYS), "-subj", "/CN=quantlab phone", "-addext", f"subjectAltName={names}"]
        command += ["-addext", "extendedKeyUsage=serverAuth", "-keyout", str(key), "-out", str(certificate)]
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=_SECONDS)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(certificate, key)
        except (OSError, subprocess.SubprocessError) as error:
            raise UsageError(
                f"'{program}' made no certificate ({error}); connect the phone by USB and leave --https out"
            ) from error
    return context


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
