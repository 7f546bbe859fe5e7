"""Ours, in a process that holds 10,000 other leases all the while, and renews itself each second."""

from functools import partial

import leasehold_lives

opened = partial(leasehold_lives.opened, held=10_000, claim_seconds=3.0)
