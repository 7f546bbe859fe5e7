"""How well something works, shown: the checks of a probe."""

from typing import Any

from leasehold.drivers import Health
from leasehold.orchestrator.cli.display import table


def health_record(health: Health) -> dict[str, Any]:
    """A probe's answer for scripts."""
    return {
        "ok": health.ok,
        "checks": [
            {
                "name": check.name,
                "ok": check.ok,
                "detail": check.detail,
                "mend": check.mend,
                "optional": check.optional,
                "duration_ms": round(check.duration * 1000),
            }
            for check in health.checks
        ],
    }


def show_health(health: Health) -> None:
    """A probe's answer for a person: each check, and how to mend what failed."""
    table(
        ("CHECK", "", "DETAIL"),
        [
            (
                check.name,
                "ok" if check.ok else "not here" if check.optional else "failed",
                check.detail if check.ok or not check.mend else f"{check.detail}; {check.mend}",
            )
            for check in health.checks
        ],
        folds=("DETAIL",),
    )
