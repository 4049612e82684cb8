"""The queue's door: will read envelopes from Kafka and hand them to the ingest handler.

Holds nothing yet. The HTTP door is `core_api`.
"""
