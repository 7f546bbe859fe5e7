"""What an environment of the local driver may be told."""

from pathlib import Path

from leasehold.drivers.secret import Secret
from pydantic import BaseModel, ConfigDict, Field


class LocalConfig(BaseModel):
    """The local driver's config.

    Attributes:
        root: the folder in which places stand; none: ``places`` in the state folder.
        pass_variables: further variables of this host, by name, that commands get.
        variables: variables of the environment's own, each named by a secret reference.
        probe: look at this machine before each lease.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Path | None = None
    pass_variables: tuple[str, ...] = ()
    variables: dict[str, Secret] = Field(default_factory=dict)
    probe: bool = False
