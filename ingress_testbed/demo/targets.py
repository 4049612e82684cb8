"""Where the demo's processes serve metrics, as a file that a Prometheus follows.

The format is that of its file-based service discovery (`file_sd_configs`): a list of targets with
labels. The jobs are named as in ops/prometheus/prometheus.yml, so dashboards and alerts fit.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ingress_testbed.demo.installation import Installation


@contextmanager
def followed(file: Path | None, installation: Installation) -> Iterator[None]:
    """Keep `file`, if there is one, telling what runs; at the end nothing does."""
    if file is None:
        yield
        return
    _write(file, targets(installation))
    try:
        yield
    finally:
        _write(file, [])


def targets(installation: Installation) -> list[dict[str, object]]:
    """Return the groups of targets, one a job."""
    jobs = {
        "publisher": list(installation.metrics.values()),
        "api": [installation.api_url],
        "consumer": [installation.consumer_metrics] if installation.consumer_metrics else [],
    }
    return [
        {"targets": [urlsplit(url).netloc for url in urls], "labels": {"job": job}}
        for job, urls in jobs.items()
        if urls
    ]


def _write(file: Path, groups: list[dict[str, object]]) -> None:
    """Replace the file at once: who follows it never reads half of it."""
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(groups, indent=2) + "\n", encoding="utf-8")
    part.replace(file)
