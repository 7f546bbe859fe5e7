"""What a driver raises when a place fails. A command that fails is a result, never an error."""


class DriverError(Exception):
    """A place could not be obtained, used or ended.

    Attributes:
        retry_safe: whether the same call may be made again without harm.
        hint: what an operator can do, in one sentence; may be empty.
    """

    retry_safe = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Unavailable(DriverError):
    """The provider or host did not answer, or cannot serve now."""

    retry_safe = True


class Refused(DriverError):
    """The provider answered, and said no: credentials, quota, a rule of its own."""


class TimedOut(DriverError):
    """The call did not end within its deadline; whether it took effect is not known."""


class Conflict(DriverError):
    """Something else stands where the place, or the workspace, should go."""


class Gone(DriverError):
    """The place was there and is no more."""


class Stale(DriverError):
    """The verb came under an older epoch than the place has seen, and was refused there.

    Attributes:
        seen: the newest epoch that the place has seen, where it said so.
    """

    def __init__(self, message: str, *, seen: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.seen = seen


class Unusable(DriverError):
    """The workspace cannot be used as it is: missing, unreadable, not what the mode needs."""


class Damaged(DriverError):
    """What was found at the place is not what we left there; a person should look."""


class SyncConflict(DriverError):
    """Both sides changed the same file: both versions were kept.

    Attributes:
        paths: the files, relative to the workspace.
    """

    def __init__(self, message: str, *, paths: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.paths = paths


class Stopped(DriverError):
    """The verb was told to stop, and did, before it was done."""

    retry_safe = True
