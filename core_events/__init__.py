"""After acceptance: will relay the outbox to the event bus, and hold its subscribers.

Holds nothing yet. Canonical state is served by `core_api`.
"""
