from pathlib import Path

import pytest

from ingress_testbed.servers import embedded_kafka, kafka_installation, tansu
from ingress_testbed.servers.errors import NoServerError
from ingress_testbed.servers.kafka import running_kafka
from ingress_testbed.servers.settings import KafkaHome, TestbedSettings


def program(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\necho '{says}' >&2\n")
    path.chmod(0o755)


def jars(directory: Path, version: str) -> Path:
    directory.mkdir(parents=True)
    (directory / f"kafka_2.13-{version}.jar").touch()
    (directory / f"kafka_2.13-{version}-sources.jar").touch()
    return directory


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH."""
    directory = tmp_path / "path"
    monkeypatch.setenv("PATH", str(directory))
    program(directory / "java", 'openjdk version "21.0.1" 2023-10-17')
    return directory


def test_kafka_home_comes_first(tmp_path: Path, path: Path) -> None:
    home = jars(tmp_path / "home" / "libs", "4.2.0")
    fetched = jars(tmp_path / "fetched", "4.1.1")
    program(path / "kafka-server-start.sh", "")
    found = kafka_installation.find(tmp_path / "home", fetched)
    assert (found.jars, found.version) == (home, "4.2.0")


def test_what_is_on_path_comes_before_what_was_fetched(tmp_path: Path, path: Path) -> None:
    installed = jars(tmp_path / "opt" / "libs", "3.9.0")
    program(tmp_path / "opt" / "bin" / "kafka-server-start.sh", "")
    (path / "kafka-server-start.sh").symlink_to(tmp_path / "opt" / "bin" / "kafka-server-start.sh")
    fetched = jars(tmp_path / "fetched", "4.1.1")
    assert kafka_installation.find(None, fetched).jars == installed


def test_a_kafka_home_without_kafka_is_an_error(tmp_path: Path) -> None:
    fetched = jars(tmp_path / "fetched", "4.1.1")
    with pytest.raises(NoServerError, match=r"no Apache Kafka in .*/nowhere/libs"):
        kafka_installation.find(tmp_path / "nowhere", fetched)


@pytest.mark.parametrize("version", ['java version "1.8.0_402"', 'openjdk version "11.0.2"', "?"])
def test_an_old_java_will_not_do(version: str, tmp_path: Path, path: Path) -> None:
    program(path / "java", version)
    with pytest.raises(NoServerError, match=r"java is not Java 17 or newer"):
        kafka_installation.find(None, jars(tmp_path / "fetched", "4.1.1"))


def test_jars_without_a_java_say_so(tmp_path: Path, path: Path) -> None:
    (path / "java").unlink()
    with pytest.raises(NoServerError, match="no Java 17 or newer on PATH"):
        kafka_installation.find(None, jars(tmp_path / "fetched", "4.1.1"))


def test_a_tansu_on_path_is_found(path: Path) -> None:
    program(path / "tansu", "tansu 0.7.1")
    found = tansu.find_installed()
    assert found.description == "Tansu 0.7.1 (installed, in memory)"
    program(path / "tansu", "something else")
    with pytest.raises(NoServerError, match="is no Tansu broker"):
        tansu.find_installed()


def test_without_any_broker_the_ways_to_one_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_kafka, "find_spec", lambda _name: None)
    monkeypatch.setattr(kafka_installation, "FETCHED", tmp_path / "none")
    with (
        pytest.raises(NoServerError) as none,
        running_kafka(tmp_path, settings=TestbedSettings(), home=KafkaHome()),
    ):
        pass
    for way in (
        "INGRESS_KAFKA_BOOTSTRAP",
        "make kafka",
        "KAFKA_HOME",
        "telematics-ingress[embedded]",
        "INGRESS_TESTBED_KAFKA=redpanda",
    ):
        assert way in none.value.message
    assert "installed: there is no tansu on PATH" in none.value.message
