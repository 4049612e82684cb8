"""The queue's door: reads envelopes from Kafka and hands them to the ingest handler, in batches."""
