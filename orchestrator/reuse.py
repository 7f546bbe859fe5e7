"""Reuse: a new lease takes over the place that an earlier one parked, if one fits.

Where none fits, the oldest is ended on its own lease and replaced: one for one, so that a change of config costs
no lease more than one end. The others serve whom they fit, make room where it is needed, and end with their time.
"""

import random
from collections.abc import Container

from leasehold.drivers import Transport
from leasehold.orchestrator.lease import Lease
from leasehold.orchestrator.ledger import Ledger, Row
from leasehold.orchestrator.takeover import Takeover
from leasehold.orchestrator.terms import Terms
from leasehold.states import Policy


class Reuse:
    """Finds parked places."""

    def __init__(self, ledger: Ledger, others: Takeover) -> None:
        self._ledger = ledger
        self._others = others

    async def find(self, lease: Lease, passed: Container[str]) -> str:
        """Have the lease take a parked place that fits; gives why it gets none, or has to replace one.

        An empty answer: ``lease.parked`` is set. Those of the leases ``passed`` are passed over.
        """
        lease.parked = None
        assert lease.driver is not None
        # a local place is made out of its workspace; into any other, realize puts whatever is asked for
        local = lease.driver.capabilities(lease.config).transport is Transport.LOCAL
        by_workspace = local or lease.terms.policy is Policy.REUSE_BY_EXECUTION_WORKSPACE
        rows = [
            row
            for row in await self._ledger.parked(lease.terms, by_workspace=by_workspace)
            if row.terms.id not in passed and self._others.reaches(row)  # only its own machine can use or end it
        ]
        fitting = [row for row in rows if _misfit(row, lease.terms) is None]
        if fitting:
            lease.parked = self._others.lease_of(random.choice(fitting))  # many who ask at once seldom want the same
            return ""
        if not rows:
            return "no place is parked for it"
        await self._others.make_room(lease, rows[0], "another run replaced it")
        return f"the place of lease {rows[0].terms.id} was replaced: {_misfit(rows[0], lease.terms)}"


def _misfit(row: Row, terms: Terms) -> str | None:
    if row.kept_over:
        return "its time was over"
    if row.terms.fingerprint != terms.fingerprint:
        return "its config, driver, secrets or way of use differ"
    return None
