"""The errors of the edge. Each adapter translates its library's exceptions into these, once.

PublisherError
├── StreamsError              streams.toml, or a credential that it refers to
├── WayClosed                 nothing can be sent like this: no topic, an extra not installed
├── JournalError
│   ├── JournalInUse          another process holds the journal
│   ├── JournalMismatch       it belongs to another publisher, or to a newer version
│   ├── JournalDamaged        its file is damaged, or is no journal
│   ├── JournalFull           no room on the disk; nothing was written
│   └── JournalBroken         an fsync failed, or a read: the process must end
└── TransportError            a batch was not confirmed as durable on the other side
    ├── Unreachable           no connection, or it broke                       (retried)
    ├── DeadlineExceeded      no answer in time; it may have arrived           (retried)
    ├── Unavailable           the other side asks for patience: 429, 503, …    (retried)
    │   └── ClockAhead        our stamps lie in core's future                  (retried)
    ├── UnexpectedAnswer      an answer that is not core's                     (retried)
    ├── BatchRefused          refused for what is in it: 400, 413, 422         (split)
    ├── NotAuthorised         401, 403, or somebody else's publisher id        (sender stops)
    └── EverythingRefused     one record after the other refused for itself    (sender stops)
"""


class PublisherError(Exception):
    """Base of all errors of this package."""


class StreamsError(PublisherError):
    """`streams.toml` is not valid. The text has one line a problem: file, key, rule, remedy."""


class WayClosed(PublisherError):
    """Nothing can ever be sent the way that the settings name. The text says what to do."""


class JournalError(PublisherError):
    """The journal cannot be used."""


class JournalInUse(JournalError):
    """Another process has the journal open."""


class JournalMismatch(JournalError):
    """The journal belongs to another publisher or workspace, or a newer version wrote it."""


class JournalDamaged(JournalError):
    """The file is damaged or no journal. The text says what is wrong, without the path."""


class JournalFull(JournalError):
    """The disk has no room. The transaction was undone, and may be tried again."""


class JournalBroken(JournalError):
    """The journal cannot go on. What was confirmed before is safe; the process must end."""


class TransportError(PublisherError):
    """A batch was not confirmed. `cause` is a short stable word for metrics."""

    cause = "error"


class Unreachable(TransportError):
    """No connection came about, or it broke before the answer was complete."""

    cause = "unreachable"


class DeadlineExceeded(TransportError):
    """The attempt took longer than its deadline. The batch may have arrived all the same."""

    cause = "deadline"


class Unavailable(TransportError):
    """The other side cannot take the batch now. `retry_after` is its own wish, in seconds."""

    cause = "unavailable"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClockAhead(Unavailable):
    """Core refuses stamps from its future: the batch's furthest is `ahead_seconds` away.

    `skew_seconds` is how far they may be.
    """

    cause = "clock_ahead"

    def __init__(
        self, message: str, retry_after: float | None, ahead_seconds: float, skew_seconds: float
    ) -> None:
        super().__init__(message, retry_after)
        self.ahead_seconds = ahead_seconds
        self.skew_seconds = skew_seconds


class UnexpectedAnswer(TransportError):
    """The answer is none that core gives: a proxy's page, a redirect, the wrong address."""

    cause = "unexpected_answer"


class BatchRefused(TransportError):
    """The batch as a whole was refused for its content or size. `reason` is a snake_case word."""

    cause = "refused"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotAuthorised(TransportError):
    """The API key is unknown, revoked, or bound to another publisher or workspace."""

    cause = "not_authorised"


class EverythingRefused(TransportError):
    """So many records were refused in a row that the fault cannot be theirs."""

    cause = "everything_refused"


STOPPING = (NotAuthorised.cause, EverythingRefused.cause)
"""Causes of errors that stop a sender."""

CAUSES = (
    *(Unreachable.cause, DeadlineExceeded.cause, Unavailable.cause, ClockAhead.cause),
    *(UnexpectedAnswer.cause, BatchRefused.cause, *STOPPING),
)
"""Causes of everything that a transport raises."""
