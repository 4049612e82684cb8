"""Metrics that no panel and no alert shows, and why."""

from collections.abc import Mapping

FOR_DEBUGGING: Mapping[str, str] = {
    "core_api_commit_seconds": "core_ingest_batch_seconds says the same of every door",
    "core_api_probes_total": "tells who asks whether a key is taken; nothing follows from it",
    "ingress_spans_ended_total": "tracing is off by default; for whoever turns it on",
    "ingress_spans_exported_total": "likewise: the collector has metrics of its own",
    "publisher_shadow_batches_under_way": "explains why copies were skipped, which is shown",
    "publisher_way_batches_total": "publisher_way_records_total, which is shown, counts the same",
}
"""The reason by name. What is neither here nor shown is a finding of the linter."""
