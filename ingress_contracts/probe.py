"""The question whether core takes messages of a workspace and publisher under the key that asks.

It is a checkpoint whose body is `{}`. Core answers `refused`: `foreign_workspace`,
`foreign_publisher`, or where the key is the right one `unreadable_body`, then with the key's end in
the detail if it has one. Nothing is stored, and nothing counts as refused.
"""

import re
from datetime import UTC, datetime

from ingress_contracts.content_id import content_id
from ingress_contracts.envelope import Envelope
from ingress_contracts.kinds import CHECKPOINT

TAKEN = "unreadable_body"
"""The reason of an answer that says yes."""

_EMPTY = b"{}"
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)  # never ahead of anybody's clock
_ENDS = re.compile(r"This key ends at (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\.")


def probe(workspace: str, publisher: str) -> Envelope:
    """Return the question."""
    return Envelope(
        id=str(content_id(CHECKPOINT, "publisher", workspace, _EMPTY)),
        source=f"/publisher/{workspace}/{publisher}",
        type=CHECKPOINT,
        datacontenttype="application/json",
        workspaceid=workspace,
        receivedtime=_LONG_AGO,
        publisherid=publisher,
        data=_EMPTY,
    )


def is_probe(envelope: Envelope) -> bool:
    """Return whether `envelope` is the question."""
    return envelope.type == CHECKPOINT and envelope.data == _EMPTY


def end_detail(ends: datetime | None) -> str | None:
    """Return the detail of an answer under a key that ends at `ends`, in whole seconds."""
    return None if ends is None else f"This key ends at {ends.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}."


def end_of(detail: str) -> datetime | None:
    """Return the key's end from the detail of an answer; None where it does not speak of one."""
    found = _ENDS.search(detail)
    return found and datetime.fromisoformat(found["at"])
