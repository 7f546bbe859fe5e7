"""Makes the pages and pictures that are made from the code. ``--check`` only says which are out of date."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import cast

from leasehold.drivers import Capabilities, Registry, Result
from leasehold.orchestrator import (
    EnvironmentRunError,
    IllegalTransition,
    Lease,
    LeaseLost,
    NoSuch,
    Orchestrator,
    StillHeld,
    StoreError,
    WrongUsage,
)
from leasehold.orchestrator.cli.commands import COMMANDS
from leasehold.orchestrator.error_table import ERROR_TABLE
from leasehold.orchestrator.settings import Settings
from leasehold.orchestrator.verify import FREE
from leasehold.states import (
    CLEANUP_TABLE,
    LEASE_TABLE,
    POLICY_TABLE,
    REPLAY_TABLE,
    STATUS_TABLE,
    CleanupState,
    ErrorCode,
    LeaseState,
    Stuck,
)
from leasehold.states.svg import machine_svg

DOCS = Path(__file__).parent
MADE = "<!-- made by docs/generate.py: change the code, then run `make docs` -->\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def code(*names: object) -> str:
    """Names as code, or a dash for none."""
    return ", ".join(f"`{name}`" for name in names) or "–"


def states() -> str:
    """The five tables."""
    return "\n".join(
        [
            "# States\n",
            MADE,
            "A lease is a persisted state machine. These tables are the literals in `states/`; the engine, the",
            "pictures, the model check and the tests read the same ones.\n",
            "![The lease and its cleanup](../images/machine.svg)\n",
            "## Where a lease stands\n",
            table(
                ("state", "meaning", "who moves it on", "what a crash here means"),
                ((code(state), state.meaning, state.moved_by, state.crash) for state in LeaseState),
            ),
            "## What moves a lease\n",
            table(
                ("event", "from", "to", "intent", "codes where it fails", "why"),
                (
                    (
                        code(row.event) + (" (operator)" if row.operator else ""),
                        code(*row.sources),
                        code(row.dest),
                        "yes" if row.intent else "",
                        code(*row.codes),
                        row.why,
                    )
                    for row in LEASE_TABLE
                ),
            ),
            "## What is owed to its place\n",
            table(("cleanup", "meaning"), ((code(state), state.meaning) for state in CleanupState)),
            table(
                ("event", "from", "to", "intent", "why"),
                (
                    (
                        code(row.event) + (" (operator)" if row.operator else ""),
                        code(*row.sources),
                        code(row.dest) + (f", else {code(row.failure)}" if row.failure else ""),
                        "yes" if row.intent else "",
                        row.why,
                    )
                    for row in CLEANUP_TABLE
                ),
            ),
            "## Policy × outcome\n",
            table(
                ("policy", "outcome", "begins", "why"),
                ((code(row.policy), code(row.outcome), code(row.event), row.why) for row in POLICY_TABLE),
            ),
            "## Status: the operator's word, the first row that fits\n",
            table(
                ("status", "state", "cleanup", "code", "why"),
                (
                    (
                        code(row.status),
                        "live" if len(row.states) > 1 else code(*row.states),
                        code(*row.cleanups),
                        code(*row.codes),
                        row.why,
                    )
                    for row in STATUS_TABLE
                ),
            ),
            "## Why a lease is stuck\n",
            table(("reason", "meaning"), ((code(reason), reason.gloss) for reason in Stuck)),
            "## What becomes of an open step\n",
            table(
                ("open", "the driver says", "abandon (default)", "resume", "why"),
                (
                    (code(row.open), code(row.answer), code(*row.abandon), code(*row.resume), row.why)
                    for row in REPLAY_TABLE
                ),
            ),
        ]
    )


def errors() -> str:
    """The codes, and what leads to each."""
    events = {
        code_: [row.event.value for row in LEASE_TABLE if code_ in row.codes]
        or [row.event.value for row in CLEANUP_TABLE if row.failure]
        for code_ in ErrorCode
    }
    return "\n".join(
        [
            "# Error codes\n",
            MADE,
            "Every failure of a lease has exactly one code. The first stands on the lease for good, with its stage",
            "and message; what goes wrong at its place afterwards has `cleanup_error_code`.\n",
            table(("code", "meaning", "at"), ((code(c), c.gloss, code(*events[c])) for c in ErrorCode)),
            "## What a driver raises, and the code that it becomes\n",
            "The first row that fits counts; `Exception` is whatever is not named above it.\n",
            table(
                ("event", "error", "code"),
                ((code(row.event), code(row.error.__name__), code(row.code)) for row in ERROR_TABLE),
            ),
        ]
    )


LEAST = {
    "ssh": {"host": "HOST"},
    "docker": {"image": "IMAGE"},
    "podman": {"image": "IMAGE"},
    "kubernetes": {"image": "IMAGE"},
}
"""What a driver has to be told at least."""


def capabilities() -> str:
    """What each driver offers with the least config that it takes."""
    registry = Registry(entry_points=dict)
    offers: dict[str, Capabilities] = {}
    for name in registry.names():
        driver = registry.get(name)
        offers[name] = driver.capabilities(driver.Config.model_validate(LEAST.get(name, {})))
    rows = [
        (code(field.name), *(shown(getattr(offer, field.name)) for offer in offers.values()))
        for field in fields(Capabilities)
    ]
    return "\n".join(
        [
            "# Capabilities\n",
            MADE,
            "What each driver offers with the least config that it takes (`leasehold drivers` shows those of this",
            "machine). A request that needs what a driver lacks is refused before a place is paid for.\n",
            table(("", *(code(name) for name in offers)), rows),
        ]
    )


def shown(value: object) -> str:
    """A capability for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return code(*cast("tuple[object, ...]", value)) if isinstance(value, tuple) else str(value)


def cli() -> str:
    """Every command's help, as it is printed."""
    parts = ["# Command line\n", MADE, helped()]
    for command in COMMANDS:
        parts += [f"## leasehold {command.name}\n", helped(command.name)]
        for below in command.commands:
            parts += [f"### leasehold {command.name} {below.name}\n", helped(command.name, below.name)]
    return "\n".join(parts)


def helped(*words: str) -> str:
    """What ``--help`` prints."""
    env = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    command = [str(Path(sys.executable).with_name("leasehold")), *words, "--help"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60)
    return f"```text\n{done.stdout.strip()}\n```\n"


def verified() -> str:
    """What verify looks at, and what it leaves free."""
    return "\n".join(
        [
            "# What `leasehold verify` checks\n",
            MADE,
            "Every lease's row against the fold of its journal, every journal row against the tables, holds",
            "against what is owed, places and resource keys against handles, epochs against the ledger's",
            "sequence. Each finding names the lease and the invariant (DESIGN section 12). These columns are free:\n",
            table(("column", "why"), ((code(f"{t}.{c}"), reason) for (t, c), reason in FREE.items())),
        ]
    )


def settings() -> str:
    """The settings, from their model."""
    rows = [
        (
            code(f"LEASEHOLD_{name.upper()}"),
            code(name),
            "" if field.default_factory or field.default is None else code(field.default),
            field.description,
        )
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(
        [
            "# Settings\n",
            MADE,
            "A variable goes over `leasehold.toml` in your configuration folder, and that over the default. The file "
            "is `~/.config/leasehold/leasehold.toml` (macOS: `~/Library/Application Support/leasehold/leasehold.toml`)"
            ", the state folder `~/.local/state/leasehold` (macOS: the same folder as the file's); `XDG_CONFIG_HOME` "
            "and `XDG_STATE_HOME` count. `leasehold doctor` shows both as they are here.\n",
            "A name in the file that is no setting is refused. A variable `LEASEHOLD_…` that is none does nothing, and "
            "`leasehold doctor` says so.\n",
            table(("variable", "in the file", "default", "meaning"), rows),
        ]
    )


def library() -> str:
    """The public classes, from their docstrings."""
    lines = ["# The library\n", MADE]
    lines += ["Without `await`, the same is in `leasehold.orchestrator.sync`. Durations are seconds, or as `5m`.\n"]
    for kind, hidden in ((Orchestrator, ()), (Lease, _ENGINES_OWN), (Result, ())):
        lines += [f"## {kind.__name__}\n", inspect.cleandoc(kind.__doc__ or "") + "\n"]
        for name, member in inspect.getmembers(kind):
            if name.startswith("_") or name in hidden:
                continue
            if isinstance(member, property):
                lines += [f"### `{name}`\n", inspect.cleandoc(member.__doc__ or "") + "\n"]
            elif callable(member):
                lines += [f"### `{name}`\n", f"```python\n{signed(name, member)}\n```\n"]
                lines += [inspect.cleandoc(member.__doc__ or "") + "\n"]
    lines += ["## Errors\n"]
    rows = [(code(error.__name__), (error.__doc__ or "").partition("\n")[0]) for error in _RAISED]
    return "\n".join([*lines, table(("error", "when"), rows)])


def signed(name: str, function: Callable[..., object]) -> str:
    """A function as its caller sees it: one argument a line, types without their modules."""
    signature = inspect.signature(function)
    arguments = [str(each) for each in signature.parameters.values() if each.name != "self"]
    kinds = [each.kind for each in signature.parameters.values() if each.name != "self"]
    keyword = next((at for at, kind in enumerate(kinds) if kind is inspect.Parameter.KEYWORD_ONLY), None)
    if keyword is not None and inspect.Parameter.VAR_POSITIONAL not in kinds:
        arguments.insert(keyword, "*")
    inner = "".join(f"\n    {argument}," for argument in arguments)
    answer = "" if signature.return_annotation is inspect.Signature.empty else f" -> {signature.return_annotation}"
    text = f"{name}({inner}{chr(10) if inner else ''}){answer}"
    text = re.sub(r"<class '([^']+)'>", r"\1", text)
    return re.sub(r"<(\w+\.\w+): [^>]+>", r"\1", re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", text))


_ENGINES_OWN = (
    "ahead", "began", "end_commands", "ended", "interrupt", "lose", "machine_cleanup", "machine_state", "tell",
)  # fmt: skip
_RAISED = (EnvironmentRunError, LeaseLost, IllegalTransition, StillHeld, NoSuch, WrongUsage, StoreError)

PAGES = {
    "reference/library.md": library,
    "reference/states.md": states,
    "reference/errors.md": errors,
    "reference/capabilities.md": capabilities,
    "reference/cli.md": cli,
    "reference/verify.md": verified,
    "reference/settings.md": settings,
    "images/machine.svg": machine_svg,
}


def main() -> int:
    """Write what changed; with ``--check``, write nothing and fail where something would change."""
    check = "--check" in sys.argv[1:]
    stale: list[str] = []
    for name, make in PAGES.items():
        path, text = DOCS / name, make().rstrip("\n") + "\n"
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.write_text(text)
    for name in stale:
        print(f"docs/{name}: {'out of date: run make docs' if check else 'made'}")  # noqa: T201 - a program
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
