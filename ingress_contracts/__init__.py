"""The contract between publisher and core: what travels, and how it is written down.

- `envelope`: the one message there is, a CloudEvents 1.0 event
- `kinds`: which messages exist, by `type`, and the registry that later majors join
- `canonical`, `control`: the bodies that are ours; a provider's own bytes are never touched
- `content_id`: the id that every copy of a message carries
- `http`, `kafka`: the bindings, and the answer of the HTTP door
- `schema`, `golden`: JSON Schemas of all this, and samples of every binding and kind

Pure: no I/O, no clock, and nothing of ours is imported.
"""

from ingress_contracts.envelope import MAX_DATA_BYTES, Envelope
from ingress_contracts.kinds import KINDS, Kind, Role, UnknownKind

__all__ = ["KINDS", "MAX_DATA_BYTES", "Envelope", "Kind", "Role", "UnknownKind"]
