"""The store's times, as people and scripts read them."""

from datetime import UTC, datetime


def iso(at: int | None) -> str | None:
    """ISO 8601 in UTC for microseconds since 1970; none for none."""
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
