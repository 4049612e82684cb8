"""`docs/metrics.md`: the convention, the hops, how to scrape, and a table for each room."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from ingress_testbed.metrics_document import Definition

_HEAD = """\
# Metrics

Generated from the definitions by `make docs`; do not edit.

Each process serves its own metrics in Prometheus' text format, without a key:

| process | address | settings | prefixes |
|---|---|---|---|
| publisher | `127.0.0.1:9464/metrics` | `PUBLISHER_METRICS_HOST`, `PUBLISHER_METRICS_PORT` | `publisher_`, `kafka_`, `ingress_` |
| API | `127.0.0.1:8080/metrics` | `CORE_API_HOST`, `CORE_API_PORT` | `core_api_`, `core_ingest_`, `ingress_` |
| consumer | `127.0.0.1:9465/metrics` | `CORE_CONSUMER_METRICS_HOST`, `CORE_CONSUMER_METRICS_PORT` | `core_consumer_`, `core_ingest_`, `kafka_`, `ingress_` |

[settings.md](settings.md) has the settings, and `ops/prometheus/prometheus.yml` scrapes all three: its
jobs are `publisher`, `api` and `consumer`. A process that works by several rooms has the metrics of
each: what core makes of messages is `core_ingest_*`, in the API with `door="http"` and in the consumer
with `door="kafka"`. Besides, there is what prometheus_client tells of every process (`process_*`,
`python_*`): `process_start_time_seconds`, `process_resident_memory_bytes` and the like.

## How to read a name

The prefix is the room that measures. A counter ends in `_total` and only ever grows, until its process
starts again: use `rate` or `increase`. Times are in `_seconds`, sizes in `_bytes`, instants are
`_timestamp_seconds` since 1970; anything else is counted in the plural noun of its name (`_records`,
`_envelopes`). `_limit` beside a gauge is the most that it can be. A histogram has three series:
`_bucket` with the label `le`, `_sum` and `_count`. A state is a gauge with a label of its own name:
1 for the state that it is in, 0 for all others.

What holds a queue up is counted while it goes on (`*_backpressure_seconds_total`,
`*_held_seconds_total`, `publisher_standstill_seconds_total`): a rate of 1 means that it has been held
up ever since the window began.

## The hops

```
 provider's time ── provider ──▶ receivedtime ── publisher ──▶ sent ── transport ──▶ arrived ── core ──▶ committed
```

`core_ingest_hop_seconds` measures each hop on the messages themselves, once they are committed. The
provider's time is the newest reading's; `receivedtime` is when the edge had the frame; sent is when the
edge sent it; arrived is when it was at core's door. `core_ingest_freshness_seconds` is all of it, and
`core_ingest_delivery_seconds` all but the provider's hop. Duplicates and replays are left out. What has
not arrived can't be measured so: for that, look at what waits (`publisher_journal_*`,
`core_consumer_lag_*`).

## Labels

Labels are bounded. None names a vehicle, a workspace, a publisher, a signal or an asset: logs and the
API tell of those. Where a label's values are known beforehand, its series are there from the start.

"""

LABELS: Mapping[str, str] = {
    "cause": "why it ended, failed or stands still",
    "door": "by which door it came into core: `http`, `kafka`; `poller` is reserved",
    "hop": "`provider`, `publisher`, `transport`, `core`",
    "kind": "what an error of the database means",
    "outcome": "what core made of it: see [contract.md](contract.md)",
    "partition": "number of a partition of the topic",
    "provider": "name of an installed provider; `other` for any that no interpreter is installed for",
    "python": "version of Python",
    "queue": "which queue of the edge, in a record's order: `intake`, `journal`, `window`",
    "reason": "why; a word of the code, never text from outside",
    "result": "what came of it: `ok`, or why not",
    "route": "path of the API as a template",
    "state": "which state",
    "statement": "name of an SQL text in core",
    "status": "HTTP status",
    "stream": "name of a stream in streams.toml: as many as the operator wrote there",
    "transport": "`http`, `kafka`, `queue-first`, `shadow`",
    "version": "version of this package",
    "way": "under queue-first, which way a batch went: `kafka`, `http`",
}
"""Every label that a metric may have, besides a state's own, and what its values are."""

_OF_THIS_MACHINE = frozenset({"version", "python"})
"""Labels whose values differ from one machine to the next, and so have no place in a document."""


def metrics_table(found: Sequence[Definition]) -> str:
    """Return `docs/metrics.md` of these definitions, which come room by room."""
    labels = "".join(f"| `{name}` | {text} |\n" for name, text in LABELS.items())
    sections = [f"{_HEAD}| label | values |\n|---|---|\n{labels}"]
    for room, those in groupby(found, key=lambda one: one.room):
        rows = "".join(map(_row, those))
        sections.append(
            f"## `{room}`\n\n| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n{rows}"
        )
    return "\n".join(sections)


def _row(one: Definition) -> str:
    labels = "; ".join(_label(one, name) for name in one.labels)
    text = one.text.replace("|", "\\|")
    return f"| `{one.name}` | {one.kind} | {labels} | {one.unit} | {text} |\n"


def _label(one: Definition, name: str) -> str:
    shown = "own name" if name == one.name else f"`{name}`"
    values = () if name in _OF_THIS_MACHINE else one.values.get(name, ())
    return f"{shown}: {', '.join(f'`{value}`' for value in values)}" if values else shown
