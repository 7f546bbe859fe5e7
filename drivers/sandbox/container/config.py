"""What an environment of a container engine may be told."""

from typing import Annotated

from leasehold.drivers.sandbox.limits import Limits
from leasehold.drivers.secret import Secret
from pydantic import AfterValidator, ConfigDict, Field

_PIDS = 4096


def _no_option(value: str) -> str:
    if value.startswith("-") or any(sign.isspace() for sign in value):
        raise ValueError(f"{value!r} is an option or has blanks")
    return value


def _bind(value: str) -> str:
    parts = _no_option(value).split(":")
    if not 1 <= len(parts) <= 2 or not all(part.startswith("/") for part in parts):
        raise ValueError(f"{value!r} is no absolute path, or two of them as HERE:THERE")
    return value


Word = Annotated[str, AfterValidator(_no_option), Field(min_length=1)]
Bind = Annotated[str, AfterValidator(_bind)]


class ContainerConfig(Limits):
    """The config of docker's and podman's places.

    Attributes:
        image: what containers are made of, best by digest: ``NAME@sha256:…``. It is pulled where it is missing.
        host: the engine's address, as in ``unix:///run/docker.sock``; none: as its command line finds it.
        network: ``none``, or the name of a network of the engine's, as ``bridge``.
        user: who commands run as; none: as the image says.
        pids: processes and threads at a time.
        read_only: files and folders of the engine's machine that commands see: ``HERE`` or ``HERE:THERE``.
        writable: such that they may change, too.
        pass_variables: variables of this machine, by name, that commands get.
        variables: variables of the environment's own, each named by a secret reference.
        probe: look at the engine before each lease.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: Word
    host: Word | None = None
    network: Word = "none"
    user: Word | None = None
    pids: Annotated[int, Field(ge=8)] | None = _PIDS
    read_only: tuple[Bind, ...] = ()
    writable: tuple[Bind, ...] = ()
    pass_variables: tuple[str, ...] = ()
    variables: dict[str, Secret] = Field(default_factory=dict)
    probe: bool = False
