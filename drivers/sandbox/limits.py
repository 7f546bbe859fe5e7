"""How much of a machine a sandbox may use."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise ValueError("a size is bytes, or a number with k, m, g or t, as in 512m")
    return int(float(found[1]) * 1024 ** _UNITS[found[2].lower()])


Size = Annotated[int, BeforeValidator(_bytes)]


class Limits(BaseModel):
    """What a sandbox may use; none: as much as the machine gives.

    Attributes:
        memory: bytes of memory, swap included, of all its processes; or as in ``512m``, ``2g``.
        pids: processes and threads at a time.
        cpus: processors, in parts of one too: ``0.5`` is half of one's time.
    """

    memory: Annotated[Size, Field(ge=4 * 1024 * 1024)] | None = None
    pids: Annotated[int, Field(ge=8)] | None = None
    cpus: Annotated[float, Field(gt=0)] | None = None

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return any(value is not None for value in (self.memory, self.pids, self.cpus))
