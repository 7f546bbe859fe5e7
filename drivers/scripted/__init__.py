"""A driver that fails, hangs, lies and answers late on script, for tests: ours and our users'."""

from leasehold.drivers.scripted.config import Fault, Reply, ScriptedConfig
from leasehold.drivers.scripted.driver import ScriptedDriver
from leasehold.drivers.scripted.provider import Provider, Standing
from leasehold.drivers.scripted.stage import Call
from leasehold.drivers.scripted.target import ScriptedTarget

__all__ = [
    "Call",
    "Fault",
    "Provider",
    "Reply",
    "ScriptedConfig",
    "ScriptedDriver",
    "ScriptedTarget",
    "Standing",
]
