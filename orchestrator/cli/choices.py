"""What the global options chose, for the commands and for the report of an error."""

import shlex
from dataclasses import dataclass


@dataclass(slots=True)
class Choices:
    """The global options of one invocation.

    ``lifecycle_failed`` is the exit code of a failure that is no answer and no wrong usage: ``run`` and
    ``exec`` set it to 125, because 1 may be their command's own.
    """

    store: str | None = None
    debug: bool = False
    lifecycle_failed: int = 1

    def command(self, name: str, *arguments: str) -> str:
        """A command of ours on the same store, that somebody may paste."""
        store = () if self.store is None else ("--store", self.store)
        return shlex.join(("leasehold", *store, name, *arguments))
