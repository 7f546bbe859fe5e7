"""DBOS Transact, its workflows taken from a queue."""

from functools import partial

import dbos_lives

opened = partial(dbos_lives.opened, flavour="queue")
