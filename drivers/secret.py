"""A reference to a secret: the only form in which a config may name one."""

import os
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from leasehold.drivers.errors import Refused
from pydantic import AfterValidator, PlainSerializer

_KINDS = ("env", "file", "cmd")


class SecretRef(str):
    """``env:NAME``, ``file:PATH`` or ``cmd:COMMAND``. Only ``resolve`` reads the value."""

    def resolve(self) -> str:
        """The secret's value, without its last newline. Raises ``Refused`` where it cannot be read."""
        kind, _, name = self.partition(":")
        if kind == "env":
            value = os.environ.get(name)
            if value is None:
                raise Refused(f"{self}: the variable is not set", hint=f"set {name} and try again")
            return value
        if kind == "file":
            try:
                return Path(name).expanduser().read_text("utf-8").rstrip("\n")
            except (OSError, UnicodeDecodeError) as error:
                raise Refused(f"{self}: {error.__class__.__name__}", hint=f"make {name} readable") from None
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", name],
                capture_output=True,
                encoding="utf-8",
                timeout=30,
                check=True,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
            raise Refused(f"{kind}: the command failed ({error.__class__.__name__})") from None
        return done.stdout.rstrip("\n")


def can_be_read(references: Collection[str]) -> str:
    """Read secrets, and say how many there are. May block. Raises ``Refused`` for one that cannot be read."""
    for reference in references:
        SecretRef(reference).resolve()
    return f"{len(references)} can be read"


def _parse(value: Any) -> SecretRef:
    kind, separator, name = str(value).partition(":")
    if kind not in _KINDS or not separator or not name:
        raise ValueError("a secret is named by env:NAME, file:PATH or cmd:COMMAND, never given as a value")
    return SecretRef(value)


Secret = Annotated[str, AfterValidator(_parse), PlainSerializer(str)]
