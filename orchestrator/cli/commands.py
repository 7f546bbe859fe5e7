"""Every command, as one table. A command's module is imported when it is invoked, and not before."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One row.

    Attributes:
        name: as it is typed.
        summary: its line in the list of commands.
        target: ``module:function`` in this package; the function's docstring is the command's help.
        section: the heading that it stands under.
        passes_on: what follows ``--`` is another program's, and is passed on untouched.
        commands: the commands below it, of a group. A group's own function runs where none is named.
    """

    name: str
    summary: str
    target: str = ""
    section: str = ""
    passes_on: bool = False
    commands: tuple["Command", ...] = ()


_RUN = "Run something"
_END = "End what is held"
_LOOK = "Look"
_PLACES = "Environments and drivers"
_HEALTH = "Health"

COMMANDS: tuple[Command, ...] = (
    Command("run", "A whole life around one command.", "run:run", _RUN, passes_on=True),
    Command("acquire", "Take a lease and let go of it; prints its id.", "acquire:acquire", _RUN),
    Command("exec", "Run a command in a held lease.", "held:execute", _RUN, passes_on=True),
    Command("shell", "Open a shell in a held lease, or in a kept place.", "held:shell", _RUN),
    Command("release", "End a lease as wanted, or the keeping of its place.", "ending:release", _END),
    Command("fail", "End a lease as failed, with all that a crash left.", "ending:fail", _END),
    Command("replay", "Settle what is stuck: ask its driver, follow the plan.", "replay:replay", _END),
    Command("extend", "Let a lease live for longer.", "ending:extend", _END),
    Command("forget", "Take a place out of Leasehold's care.", "ending:forget", _END),
    Command("ls", "List leases; --stuck: what needs help, and which.", "listing:ls", _LOOK),
    Command("show", "Show one lease.", "listing:show", _LOOK),
    Command("journal", "Show what happened to one lease, step by step.", "listing:journal", _LOOK),
    Command("diagram", "Draw the machine, or one lease's path on it.", "diagram:diagram", _LOOK),
    Command(
        "env",
        "Environments: add, list, show, probe, archive.",
        section=_PLACES,
        commands=(
            Command("add", "Make an environment.", "environment:add"),
            Command("list", "List the environments.", "environment:list_"),
            Command("show", "Show one environment.", "environment:show"),
            Command("probe", "Ask whether an environment would work now.", "environment:probe"),
            Command("archive", "Stop new leases of an environment.", "environment:archive"),
        ),
    ),
    Command(
        "drivers",
        "What each driver can do; check: test one.",
        "drivers:drivers",
        _PLACES,
        commands=(Command("check", "Run the conformance suite against an environment.", "drivers:check"),),
    ),
    Command("doctor", "What works on this machine, and how to mend the rest.", "doctor:doctor", _HEALTH),
    Command("worker", "Do the duties: settle, clean up, sweep, until stopped.", "worker:worker", _HEALTH),
    Command("sweep", "Find places that belong to no lease; --apply: destroy them.", "sweep:sweep", _HEALTH),
    Command("verify", "Check every lease against its journal.", "verify:verify", _HEALTH),
    Command("prune", "Delete leases that ended long ago, with their journals.", "prune:prune", _HEALTH),
    Command(
        "db",
        "The store: upgrade, current, restored.",
        section=_HEALTH,
        commands=(
            Command("upgrade", "Create the store, or bring it to this version.", "database:upgrade"),
            Command("current", "Say which version the store is at.", "database:current"),
            Command("restored", "After restoring a backup: see what stands, settle it.", "database:restored"),
        ),
    ),
)
