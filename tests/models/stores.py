"""Which kinds of store a test of the command line runs on, where that is not the default."""

import pytest

both = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
