"""DBOS Transact, its workflows started from threads."""

from functools import partial

import dbos_lives

opened = partial(dbos_lives.opened, flavour="sync")
