"""What a journal row says. Rows are append-only; folding them gives the lease (``fold.py``)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """What a row says of its event."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    ABANDONED = "abandoned"
    NOTE = "note"


class Note(StrEnum):
    """The events of note rows: they move no state, but say who holds the lease and until when."""

    TAKE_OVER = "take_over"
    ATTACH = "attach"
    DETACH = "detach"
    EXTEND = "extend"


class Entry(NamedTuple):
    """One journal row of one lease.

    ``seq`` counts from 1 without a gap; ``at`` is the store's time in microseconds since 1970 UTC;
    ``source`` and ``dest`` are lease states for lease events, cleanup states for cleanup events.
    """

    seq: int
    at: int
    event: str
    kind: Kind
    source: str | None
    dest: str | None
    attempt: str | None
    owner: str | None
    epoch: int
    error_code: str | None = None
    duration_ms: int | None = None
    details: Mapping[str, Any] = {}
