"""What can go wrong with the store itself."""


class StoreError(Exception):
    """The store did not do what was asked; nothing of it is written. ``hint`` says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class StoreLost(StoreError):
    """The store stopped answering before it said whether a commit holds."""


class StoreUrlWrong(StoreError):
    """The URL names no store that this code can use."""


class StoreAbsent(StoreError):
    """There is no store at the URL, and it was not to be made."""

    def __init__(self, where: str) -> None:
        super().__init__(f"there is no store at {where}", hint="check the URL; leasehold db upgrade makes one there")


class StoreTooNew(StoreError):
    """The store was migrated by a newer Leasehold than this one."""


class StoreBehind(StoreError):
    """A place has seen an epoch that this store has not drawn: the store was restored from a backup."""

    def __init__(self, what: str, seen: int, drawn: int) -> None:
        super().__init__(
            f"store_behind: {what} has seen epoch {seen}, and this store has drawn none after {drawn}; "
            "nothing was written or destroyed",
            hint="if the store was restored from a backup, or made anew, run leasehold db restored",
        )


class StaleWrite(Exception):
    """The lease has moved on: its version or epoch is not the one that the write expected."""


class HoldConflict(Exception):
    """Another lease holds the subject. ``holder`` is that lease's id."""

    def __init__(self, subject: str, holder: str) -> None:
        super().__init__(subject)
        self.subject = subject
        self.holder = holder


class PlaceTaken(Exception):
    """The parked place of ``lease_id``, which another lease wanted, has another fate by now."""

    def __init__(self, lease_id: str) -> None:
        super().__init__(lease_id)
        self.lease_id = lease_id


class EnvironmentChanged(Exception):
    """The environment was changed or archived since it was read: resolve it again."""
