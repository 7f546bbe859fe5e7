"""What tests of real processes share."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

_PATIENCE = 20.0


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Looks at something outside of this process again and again until it holds."""

    async def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            assert time.monotonic() < deadline, "it did not come to hold in time"
            await asyncio.sleep(0.01)

    return wait
