import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ingress_testbed.demo.installation import Installation
from ingress_testbed.demo.targets import followed


def installation(consumer: str | None) -> Installation:
    found: Any = SimpleNamespace(
        metrics={
            "publisher-1": "http://127.0.0.1:1001/metrics",
            "publisher-2": "http://127.0.0.1:1002/metrics",
        },
        api_url="http://127.0.0.1:1003",
        consumer_metrics=consumer,
    )
    return cast("Installation", found)


def jobs(file: Path) -> dict[str, list[str]]:
    return {one["labels"]["job"]: one["targets"] for one in json.loads(file.read_text())}


def test_file_tells_where_metrics_are_while_the_demo_runs(tmp_path: Path) -> None:
    file = tmp_path / "targets.json"
    with followed(file, installation("http://127.0.0.1:1004/metrics")):
        assert jobs(file) == {
            "publisher": ["127.0.0.1:1001", "127.0.0.1:1002"],
            "api": ["127.0.0.1:1003"],
            "consumer": ["127.0.0.1:1004"],
        }
    assert jobs(file) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["targets.json"]


def test_over_http_there_is_no_consumer_to_scrape(tmp_path: Path) -> None:
    file = tmp_path / "targets.json"
    with followed(file, installation(None)):
        assert jobs(file).keys() == {"publisher", "api"}


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    with followed(None, installation(None)):
        assert list(tmp_path.iterdir()) == []
