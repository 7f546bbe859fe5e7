"""What an answer of the API that is no means."""

import json
from typing import Any

from leasehold.drivers.errors import Conflict, DriverError, Gone, Refused, TimedOut, Unavailable


def meaning(status: int, body: bytes | str, *, doing: str) -> DriverError:
    """The error that an answer of this HTTP status is. ``doing`` is what was asked."""
    said = _message(body) or f"HTTP status {status}"
    line = f"{doing}: {said}"
    if "exceeded quota" in said:
        return Refused(line, hint="end other pods of the namespace, or have its quota raised")
    if status == 401:
        return Refused(line, hint="log in to the cluster anew, or look at the kubeconfig")
    if status == 403:
        return Refused(line, hint="have the rights given: docs/how-to/kubernetes.md has the role")
    if status == 404:
        if said.startswith("namespaces "):
            return Refused(line, hint="make the namespace, or set another")
        return Gone(line, hint="take a new lease")
    if status == 409:
        return Conflict(line, hint="try again")
    if status in (400, 413, 414, 422):
        return Refused(line, hint="look at the settings of the environment")
    return Unavailable(line, hint="look at the cluster's API server")


def unreached(error: Exception, host: str) -> DriverError:
    """The error that is meant where there was no answer."""
    if isinstance(error, TimeoutError):
        return TimedOut(f"{host} gave no answer in time", hint="look at the network and the cluster's API server")
    said = " ".join(str(error).split()) or type(error).__name__
    if "CERTIFICATE" in said.upper():
        return Refused(f"{host}: {said}", hint="look at the kubeconfig's certificate authority")
    return Unavailable(f"{host} cannot be reached: {said}", hint="look at the network and the cluster's API server")


def _message(body: bytes | str) -> str:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    try:
        value: Any = json.loads(text)
        text = str(value["message"])
    except (ValueError, KeyError, TypeError):
        pass
    return " ".join(text.split())[:500]
