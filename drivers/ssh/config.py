"""What an environment of the ssh driver may be told."""

from leasehold.drivers.secret import Secret
from pydantic import BaseModel, ConfigDict, Field, field_validator


class SshConfig(BaseModel):
    """The ssh driver's config. What is not given here, the user's ``ssh_config`` says.

    Attributes:
        host: a host's name, or an alias of the user's ``ssh_config``.
        port: the port of its sshd.
        username: who to log in as.
        identity: a private key, named by a secret reference; none: the agent's, or those of ``ssh_config``.
        known_hosts: the file that has the host's key; none: that of ``ssh_config``.
        strict_host_key_checking: refuse a host whose key is not known.
        root: the folder there in which places stand; ``~`` is the login's home.
        pass_variables: variables of this machine, by name, that commands there get.
        variables: variables of the environment's own, each named by a secret reference.
        connect_timeout: seconds within which the host has to answer.
        alive_interval: seconds between signs of life; after three without an answer the connection is dead.
        ssh_config: a file to read instead of the user's own.
        probe: look at the host before each lease.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1)
    port: int | None = Field(None, ge=1, le=65535)
    username: str | None = None
    identity: Secret | None = None
    known_hosts: str | None = None
    strict_host_key_checking: bool = True
    root: str = "~/.leasehold/places"
    pass_variables: tuple[str, ...] = ()
    variables: dict[str, Secret] = Field(default_factory=dict)
    connect_timeout: float = Field(10.0, gt=0)
    alive_interval: int = Field(5, ge=1)
    ssh_config: str | None = None
    probe: bool = False

    @field_validator("host", "username")
    @classmethod
    def _no_option(cls, value: str | None) -> str | None:
        if value is not None and (value.startswith("-") or any(sign.isspace() for sign in value)):
            raise ValueError("this is no name of a host or a user")
        return value
