"""Sends one message by Apprise, in a process of its own that may reach checked addresses and nothing else.

Apprise makes its connections itself, and its URLs can name files and programs. So an audit hook judges what this
process does, and stops what no receiver needs. `apprise` starts it: the order comes by standard input as JSON, and the
answer goes to standard output as one line.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Sequence
from importlib.resources import files
from ipaddress import ip_address, ip_network
from typing import Any

from reconciler.notifying.addresses import Network, is_allowed

ADDRESS, ELSE, UNKNOWN, REFUSED, TAKEN = "address", "else", "unknown", "refused", "taken"
"""The answers: a forbidden address, another forbidden act, a URL that Apprise does not know, not sent, sent."""

_FORBIDDEN = ("ctypes.dlopen", "os.exec", "os.fork", "os.posix_spawn", "os.remove", "os.rename", "os.system")
_ENTIRELY = ("pty.", "subprocess.", "syslog.", "shutil.")


class _Forbidden(Exception):
    """What is to be sent wants something that it may not have."""


class _Judge:
    """Decides about events of Python's audit; `why` is the first answer that was a no."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self.why: str | None = None
        self._networks = networks
        certificates = ssl.get_default_verify_paths()
        places = (sys.prefix, sys.base_prefix, str(files("reconciler")), certificates.cafile, certificates.capath)
        self._readable = tuple(os.path.realpath(place) for place in places if place)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            if not self._is_open(args[1]):
                self._refuse(ADDRESS)
        elif event == "open":
            if not self._is_readable(*args[:2]):
                self._refuse(ELSE)
        elif event.startswith((*_FORBIDDEN, *_ENTIRELY)):
            self._refuse(ELSE)

    def _is_open(self, place: object) -> bool:
        try:
            host = str(place[0]) if isinstance(place, tuple) else ""
            return is_allowed(ip_address(host.partition("%")[0]), self._networks)
        except ValueError:
            return False

    def _is_readable(self, path: object, mode: object) -> bool:
        if isinstance(path, int) or path == os.devnull:
            return True
        real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        below = any(real == place or real.startswith(f"{place}/") for place in self._readable)
        return below and (mode is None or not set(str(mode)) & set("wax+"))

    def _refuse(self, why: str) -> None:
        self.why = self.why or why
        raise _Forbidden


def _send(order: dict[str, Any]) -> str:
    import apprise  # noqa: PLC0415 - the service imports this module too, and not Apprise

    receiver = apprise.Apprise()
    judge = _Judge([ip_network(text) for text in order["networks"]])
    # Before the URL is read: some of what Apprise knows looks at the machine for that.
    sys.addaudithook(judge)
    try:
        if not receiver.add(order["url"]):
            return judge.why or UNKNOWN
        taken = bool(receiver.notify(body=order["text"], title=order["title"]))
    except _Forbidden:
        taken = False
    return TAKEN if taken else judge.why or REFUSED


if __name__ == "__main__":
    sys.stdout.write(_send(json.load(sys.stdin)))
