"""The adapters: kinds of program that use a target, and the transports that each works over."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from leasehold.drivers import Transport


@dataclass(frozen=True, slots=True)
class Adapter:
    """One kind of program."""

    type: str
    transports: frozenset[Transport]


_REMOTE = frozenset({Transport.LOCAL, Transport.SSH, Transport.SANDBOX})

# the original's remote adapters, and one for whoever just wants a shell
BUILT_IN: tuple[Adapter, ...] = (
    *(
        Adapter(name, _REMOTE)
        for name in ("codex_local", "claude_local", "gemini_local", "opencode_local", "pi_local", "cursor")
    ),
    Adapter("shell", frozenset(Transport)),
)


class Adapters:
    """The adapters that a platform has registered, beside the built-in ones."""

    def __init__(self, extra: Iterable[Adapter] = ()) -> None:
        self._adapters = {adapter.type: adapter for adapter in (*BUILT_IN, *extra)}

    def register(self, adapter: Adapter) -> None:
        """Add one, or replace the one of that type."""
        self._adapters[adapter.type] = adapter

    def refusal(self, adapter_type: str | None, transport: Transport) -> str | None:
        """Why this adapter cannot work over this transport; none where it can, or none was named."""
        if adapter_type is None:
            return None
        adapter = self._adapters.get(adapter_type)
        if adapter is None:
            return f'adapter "{adapter_type}" is not registered; known: {", ".join(sorted(self._adapters))}'
        if transport not in adapter.transports:
            over = ", ".join(sorted(adapter.transports))
            return f'adapter "{adapter_type}" works over {over}, not over {transport}'
        return None

    def listing(self) -> Mapping[str, Adapter]:
        """All of them, by type."""
        return dict(self._adapters)
