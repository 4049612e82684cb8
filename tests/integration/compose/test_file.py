"""docker-compose.yml: by the specification's own schema, and by the rules that we hold it to."""

import json
import re
import tomllib
from graphlib import TopologicalSorter
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

import jsonschema
import pytest
import yaml

from ingress_runtime.settings import Settings, load, variables
from ingress_testbed.documents import settings_classes
from tests.integration.compose.composition import (
    FILE,
    ROOT,
    Service,
    document,
    interpolated,
    services,
    taken_from_outside,
)

SERVICES = services()
OURS = [one for one in SERVICES.values() if one.is_ours]
LONG_LIVED = [one for one in SERVICES.values() if one.stays]
ONE_SHOTS = [one for one in SERVICES.values() if not one.stays]
KNOWN = {variable.name: one for one in settings_classes() for variable in variables(one)}
OF_STREAMS_FILE = {"VIRICITI_API_KEY"}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=lambda one: one.name)
each_of_ours = pytest.mark.parametrize("service", OURS, ids=lambda one: one.name)


def validator(name: str) -> Any:
    """What validates by a published schema, of those that check-jsonschema brings along."""
    schemas = files("check_jsonschema.builtin_schemas.vendor")
    schema = json.loads(schemas.joinpath(f"{name}.json").read_text())
    return jsonschema.validators.validator_for(schema)(schema)


def test_it_satisfies_the_schema_of_the_compose_specification() -> None:
    compose = validator("compose-spec")
    errors = [error.message for error in compose.iter_errors(document())]
    assert errors == []
    broken = document()
    broken["services"]["api"]["helthcheck"] = {}
    assert not compose.is_valid(broken)


def test_what_the_issue_asks_for_is_there() -> None:
    assert set(SERVICES) >= {
        *("redpanda", "console", "postgres", "publisher", "api", "consumer", "simulator"),
        *("prometheus", "grafana", "migrate", "topics", "keys"),
    }


@every_service
def test_every_image_has_a_tag_that_stays(service: Service) -> None:
    assert re.fullmatch(r"[a-z0-9/.-]+:(local|v?\d[\w.-]*)", service.raw["image"])


@every_service
def test_every_service_is_healthy_by_a_check_or_ends(service: Service) -> None:
    assert (service.health is not None) == service.stays


@every_service
def test_every_port_is_of_this_machine_alone(service: Service) -> None:
    for port in service.raw.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_no_two_services_want_the_same_port() -> None:
    ports = [port.split(":")[1] for one in SERVICES.values() for port in one.raw.get("ports", [])]
    assert len(ports) == len(set(ports))


@every_service
def test_every_container_is_locked_down(service: Service) -> None:
    assert service.raw["read_only"] is True
    assert service.raw["init"] is True
    assert service.raw["cap_drop"] == ["ALL"]
    assert service.raw["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service.raw
    assert service.raw.get("user", "10001") not in {"root", "0", "0:0"}


@every_service
def test_every_log_is_bounded(service: Service) -> None:
    assert service.raw["logging"]["options"].keys() == {"max-size", "max-file"}


@every_service
def test_every_volume_is_declared_and_every_path_exists(service: Service) -> None:
    for mount in service.mounts:
        if mount.is_path:
            assert mount.read_only
            assert (ROOT / mount.source).exists()
        else:
            assert mount.source in document()["volumes"]


def test_every_declared_volume_is_somebodys() -> None:
    used = {mount.source for one in SERVICES.values() for mount in one.mounts}
    assert document()["volumes"].keys() <= used


def test_start_order_has_no_circle_and_waits_for_what_can_come() -> None:
    order = TopologicalSorter({name: set(one.needs) for name, one in SERVICES.items()})
    assert set(order.static_order()) == set(SERVICES)
    for one in SERVICES.values():
        for name, condition in one.needs.items():
            stays = SERVICES[name].stays
            assert condition == ("service_healthy" if stays else "service_completed_successfully")


def all_needs(service: Service) -> set[str]:
    """What must have come before, directly or not."""
    return set(service.needs).union(*(all_needs(SERVICES[name]) for name in service.needs))


@every_service
def test_who_reads_a_volume_waits_for_who_fills_it(service: Service) -> None:
    filled_by = {
        mount.source: one.name
        for one in ONE_SHOTS
        for mount in one.mounts
        if not (mount.is_path or mount.read_only)
    }
    fillers = {filled_by[mount.source] for mount in service.mounts if mount.source in filled_by}
    assert fillers - {service.name} <= all_needs(service)


@every_service
def test_who_uses_database_or_topic_waits_for_who_makes_it(service: Service) -> None:
    makers = {"INGRESS_DATABASE_URL": "migrate", "INGRESS_KAFKA_BOOTSTRAP": "topics"}
    made_by = {maker for name, maker in makers.items() if name in service.environment}
    assert made_by - {service.name} <= all_needs(service)
    servers = {"migrate": {"postgres"}, "topics": {"redpanda"}}
    assert servers.get(service.name, set()) <= all_needs(service)


def test_every_one_shot_is_waited_for_by_a_service_that_stays() -> None:
    """`docker compose up --wait` takes the end of any other for a failure."""
    waited_for = {name for one in LONG_LIVED for name in one.needs}
    assert [one.name for one in ONE_SHOTS if one.name not in waited_for] == []


@each_of_ours
def test_every_variable_is_a_known_setting(service: Service) -> None:
    ours = {name for name in service.environment if name not in OF_STREAMS_FILE}
    assert ours <= KNOWN.keys()
    given = {name: value for name, value in service.environment.items() if name in ours}
    used: set[type[Settings]] = {KNOWN[name] for name in ours}
    load(*sorted(used, key=lambda one: one.__name__), environ=given)


@pytest.mark.parametrize("transport", ["http", "kafka", "queue-first", "shadow"])
def test_the_publisher_can_take_every_way(transport: str) -> None:
    environ = services({"INGRESS_TRANSPORT": transport})["publisher"].environment
    assert environ["INGRESS_TRANSPORT"] == transport
    load(
        KNOWN["INGRESS_TRANSPORT"],
        KNOWN["INGRESS_KAFKA_BOOTSTRAP"],
        environ={name: value for name, value in environ.items() if name.startswith("INGRESS_")},
    )


def test_the_journals_outlive_the_container() -> None:
    publisher = SERVICES["publisher"]
    (mount,) = [
        one
        for one in publisher.mounts
        if one.target == publisher.environment["PUBLISHER_JOURNAL_DIR"]
    ]
    assert not mount.is_path
    assert not mount.read_only


@each_of_ours
def test_every_path_in_a_command_or_setting_is_mounted(service: Service) -> None:
    texts = [*service.command, *service.environment.values()]
    paths = [path for text in texts for path in re.findall(r"(?<![\w/:.])/[a-z][\w./-]+", text)]
    mounted = [PurePosixPath(mount.target) for mount in service.mounts]
    for path in map(PurePosixPath, paths):
        assert any(path == one or one in path.parents for one in mounted), path


def test_secrets_are_made_and_not_written_down() -> None:
    suspects = {
        f"{name}={value}"
        for one in SERVICES.values()
        for name, value in one.environment.items()
        if re.search("PASS|SECRET|KEY|TOKEN", name)
    }
    assert suspects == {
        "POSTGRES_PASSWORD_FILE=/secrets/database/password",
        "VIRICITI_API_KEY=simulated",  # the simulator takes no other
    }
    urls = [
        value for one in SERVICES.values() for value in one.environment.values() if "@" in value
    ]
    assert set(urls) == {"postgresql://ingress@postgres:5432/ingress?passfile=/secrets/core/pgpass"}


def test_each_secret_is_mounted_by_its_readers_alone() -> None:
    readers = {
        volume: {name for name, one in SERVICES.items() if volume in {m.source for m in one.mounts}}
        for volume in document()["volumes"]
        if volume.endswith("-secrets")
    }
    assert readers == {
        "database-secrets": {"secrets", "postgres"},
        "core-secrets": {"secrets", "migrate", "keys", "api", "consumer"},
        "edge-secrets": {"keys", "publisher"},
        "operator-secrets": {"keys", "api"},
    }
    writers = {
        (mount.source, name)
        for name, one in SERVICES.items()
        for mount in one.mounts
        if mount.source in readers and not mount.read_only
    }
    assert {name for _, name in writers} == {"secrets", "keys"}


def test_the_publisher_cannot_reach_the_database() -> None:
    assert document()["networks"]["database"] == {"internal": True}
    on_it = {name for name, one in SERVICES.items() if "database" in one.raw.get("networks", [])}
    assert on_it == {"postgres", "migrate", "keys", "api", "consumer"}
    assert "default" not in SERVICES["postgres"].raw["networks"]


def test_redpanda_is_as_durable_as_shipped() -> None:
    command = " ".join(SERVICES["redpanda"].command)
    for weaker in ("unsafe-bypass-fsync", "dev-container", "write_caching", "developer_mode"):
        assert weaker not in command


def test_the_example_of_env_names_every_variable_and_its_default() -> None:
    example = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text().splitlines()
        if line and line[0] != "#"
    )
    assert {name: {value} for name, value in example.items()} == taken_from_outside()


def test_no_variable_is_without_a_default() -> None:
    for text in re.findall(r"\$\{?\w*[^\s\"]*", FILE.read_text()):
        assert interpolated(text, {}) != text, f"{text} needs a default: ${{NAME:-default}}"


def test_keys_are_made_for_what_the_streams_file_serves() -> None:
    file = tomllib.loads((ROOT / "ops" / "compose" / "streams.toml").read_text())
    _, _, workspace, publisher, edge, _ = SERVICES["keys"].command
    assert file["workspaces"] == {
        workspace: {"publisher": publisher, "api_key": {"file": f"{edge}/ingest.key"}}
    }
    (stream,) = file["streams"]
    assert stream["credential"]["env"] in SERVICES["publisher"].environment


def test_the_workflow_satisfies_the_schema_of_workflows() -> None:
    workflows = validator("github-workflows")
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        text = yaml.safe_load(path.read_text())
        text["on"] = text.pop(True)  # which YAML 1.1 takes for a boolean
        assert [error.message for error in workflows.iter_errors(text)] == [], path.name


def test_the_guide_names_every_address_every_volume_and_every_service() -> None:
    guide = (ROOT / "docs" / "compose.md").read_text()
    ports = [
        port.rpartition(":")[0] for one in SERVICES.values() for port in one.raw.get("ports", [])
    ]
    needed = [*ports, *(f"`{name}`" for name in document()["volumes"])]
    assert [one for one in needed if one not in guide] == []
    assert [name for name in SERVICES if not re.search(rf"\b{name}\b", guide)] == []
