"""Telling who listens. What goes wrong with a listener is its own, and stops nothing that it is told of."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def tell(listener: Callable[[T], None], news: T) -> None:
    """Call a listener; what it raises goes to the event loop's exception handler."""
    try:
        listener(news)
    except Exception as error:  # noqa: BLE001 - whatever it is, a lease or a worker goes on
        asyncio.get_running_loop().call_exception_handler({"message": "a listener failed", "exception": error})
