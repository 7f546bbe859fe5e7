"""What tests of real processes share."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import pytest


class Eventually(Protocol):
    """Waits for something outside of this process."""

    async def __call__(self, holds: Callable[[], bool], seconds: float = 20.0) -> None: ...


@pytest.fixture
def eventually() -> Eventually:
    """Looks again and again until something holds; fails after some seconds."""

    async def wait(holds: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it did not come to hold in time"
            await asyncio.sleep(0.01)

    return wait
