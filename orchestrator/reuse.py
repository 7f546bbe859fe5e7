"""Reuse: a new lease takes over the place that an earlier one parked, if it fits.

What does not fit, or has stood for too long, is ended on its own lease first.
"""

from leasehold.drivers import Transport
from leasehold.orchestrator.errors import LeaseLost
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Ledger, Row
from leasehold.orchestrator.takeover import Takeover
from leasehold.orchestrator.terms import Terms
from leasehold.states import IllegalTransition, Policy


class Reuse:
    """Finds parked places."""

    def __init__(self, ledger: Ledger, others: Takeover) -> None:
        self._ledger = ledger
        self._others = others

    async def find(self, lease: Lease) -> str:
        """Have the lease take the first parked place that fits; gives why it gets none, or has to replace one.

        An empty answer: ``lease.parked`` is set.
        """
        why = "no place is parked for it"
        lease.parked = None
        assert lease.driver is not None
        # a local place is made out of its workspace; into any other, realize puts whatever is asked for
        local = lease.driver.capabilities(lease.config).transport is Transport.LOCAL
        by_workspace = local or lease.terms.policy is Policy.REUSE_BY_EXECUTION_WORKSPACE
        for row in await self._ledger.parked(lease.terms, by_workspace=by_workspace):
            if not self._others.reaches(row):
                continue  # only its own machine can use or end it
            misfit = _misfit(row, lease.terms)
            if misfit is None:
                lease.parked = self._others.lease_of(row)
                return ""
            why = f"the place of lease {row.terms.id} was replaced: {misfit}"
            try:
                await self._others.clean_up(row, force=False)
            except (LeaseLost, IllegalTransition):
                continue  # somebody else ended it, or took it over, just then
        return why


def _misfit(row: Row, terms: Terms) -> str | None:
    if row.facts.keep_until is not None and row.facts.keep_until <= row.now:
        return "its time was over"
    if row.terms.fingerprint != terms.fingerprint:
        return "its config, driver, secrets or way of use differ"
    return None
