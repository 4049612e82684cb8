"""Messages written by hand: a provider's datapoints, and the items that a publisher makes of them."""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from ingress_contracts.content_id import content_id
from ingress_contracts.kinds import PROVIDER_MESSAGE
from ingress_testbed.recordings import Frame
from ingress_testbed.simulator.protocol import message

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EPOCH = UUID("01930000-0000-7000-8000-000000000001")
SPEED = "Vehicle.Speed"
LONG = "9" * 5_000


def frame(label: str, value: object, at: datetime = NOON) -> str:
    """Return a ViriCiti datapoint as text; a `value` that is text stands there as it is."""
    shown = value if isinstance(value, str) else json.dumps(value)
    return message(Frame("bus_1", label, shown, round(at.timestamp() * 1_000))).decode()


@dataclass
class Edge:
    """Writes items of a batch for one workspace, as a publisher numbers them."""

    workspace: str
    numbers: Iterator[int] = field(default_factory=count)

    def item(self, data: str | bytes | None = None, /, **more: Any) -> dict[str, Any]:
        """Return an item: a speed of its own second unless told otherwise; None leaves out."""
        number = next(self.numbers)
        if data is None:
            data = frame("speed", number, NOON + number * SECOND)
        raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
        item = {
            "specversion": "1.0",
            "id": str(content_id(PROVIDER_MESSAGE, "viriciti", self.workspace, raw)),
            "source": f"/viriciti/{self.workspace}/buses",
            "type": PROVIDER_MESSAGE,
            "provider": "viriciti",
            "workspaceid": self.workspace,
            "receivedtime": "2026-01-31T12:30:00Z",
            "publisherid": "edge-1",
            "publisherepoch": str(EPOCH),
            "sequence": str(number),
            "data_base64": b64encode(raw).decode(),
        } | more
        return {name: value for name, value in item.items() if value is not None}
