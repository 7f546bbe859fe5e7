"""The refusal of an event that no row allows."""


class IllegalTransition(Exception):
    """An event was refused; nothing has changed.

    Attributes:
        lease: the lease's id.
        event: the event that was refused.
        state: where the lease, or its cleanup, stands.
        why: the guard's reason, or that no row leads from there.
    """

    def __init__(self, lease: str, event: str, state: str, why: str) -> None:
        super().__init__(f"lease {lease}: {event} is not possible at {state}: {why}")
        self.lease = lease
        self.event = event
        self.state = state
        self.why = why
