"""The suite that every driver passes, ours or a third party's.

With pytest, in a module of one's own tests::

    from leasehold.drivers.conformance import DriverConformance

    class TestMine(DriverConformance):
        driver = "my_package.driver:MyDriver"

Each test's docstring is the rule that it checks. ``verdicts`` tries the same rules without pytest.
"""

from leasehold.drivers.conformance.ending import Ending
from leasehold.drivers.conformance.execution import Execution
from leasehold.drivers.conformance.faults import Faults
from leasehold.drivers.conformance.files import Files
from leasehold.drivers.conformance.lifecycle import Lifecycle
from leasehold.drivers.conformance.probing import Probing
from leasehold.drivers.conformance.rule import Verdict, rule, verdicts
from leasehold.drivers.conformance.scene import Scene


class DriverConformance(Probing, Lifecycle, Execution, Ending, Files, Faults):
    """All groups of rules. A subclass names the ``driver`` and overrides what differs (see ``Suite``).

    The groups are ``probing``, ``lifecycle``, ``execution``, ``ending``, ``files`` and ``faults``.
    """


__all__ = ["DriverConformance", "Scene", "Verdict", "rule", "verdicts"]
