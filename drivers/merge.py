"""The three-way decision about one path. A version is a short text; ``None`` stands for no file."""

from enum import StrEnum


class Verdict(StrEnum):
    """What becomes of one path here."""

    DONE = "done"
    APPLY = "apply"
    CONFLICT = "conflict"


def judge(sent: str | None, there: str | None, here: str | None) -> Verdict:
    """What was sent, what is there now, what is here now: only what is untouched here is replaced."""
    if here == there or there == sent:
        return Verdict.DONE
    return Verdict.APPLY if here == sent else Verdict.CONFLICT
