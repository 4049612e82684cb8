import tomllib

import pytest

from ingress_testbed.demo.installation import streams_toml
from ingress_testbed.demo.processes import environment
from telematics_publisher.streams import StreamsFile


def test_streams_file_asks_for_every_label_of_every_vehicle() -> None:
    labels = {"bus 1": ("gps", "speed"), 'the "old" büs': ("analyses.estimated_range",)}

    text = streams_toml("publisher-1", "ws://127.0.0.1:1/api/v2/live", labels)
    file = StreamsFile.model_validate(tomllib.loads(text))

    assert file.workspaces["demo"].publisher == "publisher-1"
    assert file.streams[0].url == "ws://127.0.0.1:1/api/v2/live"
    assert tomllib.loads(text)["streams"][0]["vehicles"] == {
        vid: list(found) for vid, found in labels.items()
    }


def test_processes_inherit_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGRESS_LOG_LEVEL", "debug")
    monkeypatch.setenv("CORE_API_PORT", "1")
    monkeypatch.setenv("PUBLISHER_WINDOW", "1")

    made = environment(INGRESS_LOG_FORMAT="json")

    assert made["INGRESS_LOG_FORMAT"] == "json"
    assert "PATH" in made
    assert not {"INGRESS_LOG_LEVEL", "CORE_API_PORT", "PUBLISHER_WINDOW"} & made.keys()
