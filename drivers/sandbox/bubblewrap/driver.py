"""The provider ``bubblewrap``: the local driver's places, and commands that see little of the machine."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from leasehold.drivers.capabilities import Capabilities, Mode, Transport
from leasehold.drivers.context import Context
from leasehold.drivers.driver import Health, Problem
from leasehold.drivers.execution import Supervision
from leasehold.drivers.local.driver import LocalDriver, guard
from leasehold.drivers.local.place import Place
from leasehold.drivers.local.worktree import repository_of
from leasehold.drivers.place import PlaceRequest
from leasehold.drivers.sandbox.bubblewrap.apart import Apart
from leasehold.drivers.sandbox.bubblewrap.config import BubblewrapConfig
from leasehold.drivers.sandbox.bubblewrap.namespaces import confinement, home_of
from leasehold.drivers.sandbox.bubblewrap.probe import look
from leasehold.drivers.sandbox.bubblewrap.target import ConfinedTarget
from leasehold.drivers.sandbox.cgroup import CgroupLimits
from leasehold.drivers.shown import shown
from leasehold.drivers.target import Target

NAME = "bubblewrap"


class BubblewrapDriver(LocalDriver):
    """A place is a folder as the local driver's; its supervisor, and so all commands, run in namespaces.

    They share processes, a /tmp and a home of the place's own; the system is read-only, the tree is not.
    Nothing survives the supervisor, which is process 1 there.
    """

    name = NAME
    Config = BubblewrapConfig

    def capabilities(self, config: BubblewrapConfig) -> Capabilities:
        return replace(
            super().capabilities(config),
            transport=Transport.SANDBOX,
            modes=(Mode.COPY, Mode.GIT_WORKTREE, Mode.IN_PLACE),
            provisions_in_place=True,
            limits=CgroupLimits(config).holding,
            summary="sandboxes of this machine by Linux namespaces: no daemon, no image",
        )

    def validate(self, request: PlaceRequest, config: BubblewrapConfig) -> list[Problem]:
        missing = [path for path in (*config.read_only, *config.writable) if not path.exists()]
        found = [Problem("config", f"{shown(path)} does not exist: make it, or do not name it") for path in missing]
        return found + super().validate(request, config)

    async def probe(self, config: BubblewrapConfig) -> Health:
        return await look(config, self._state_folder)

    def _target(self, place: Place, cwd: Path, env: Mapping[str, str], context: Context) -> Target:
        config: BubblewrapConfig = context.config
        inside = {name: value for name, value in env.items() if name != "TMPDIR"} | {"HOME": str(home_of(env))}
        confined = confinement(place, config, inside, context)
        limits = CgroupLimits(config)
        if config.any:
            confined = replace(confined, argv=[*limits.enter(place), *confined.argv])
            for lost in limits.advisory:
                context.progress(lost)
        return ConfinedTarget(
            cwd,
            env=inside,
            supervision=Supervision(place.supervision, place.key, confinement=confined),
            guard=guard(place, context),
            context=context,
        )

    def _gather(self, place: Place, context: Context, *, anew: bool = False) -> None:
        facts = place.realized() if place.stands() else None
        if facts and facts["mode"] == Mode.GIT_WORKTREE and facts["made"] and Path(facts["common"]).is_dir():
            apart = Apart.of(place, facts)
            apart.take_over(repository_of(place, facts, context))
            if anew:
                apart.remove(context.check)

    def _end_outside(self, place: Place) -> None:
        CgroupLimits.remove(place)
