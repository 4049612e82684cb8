from typing import Literal

import pytest
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from ingress_runtime.settings import (
    LogSettings,
    Settings,
    SettingsError,
    load,
    strangers,
    variables,
)
from ingress_testbed.documents import settings_classes
from telematics_publisher.settings import TransportSettings


class EdgeSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="EDGE_")

    batch_size: int = Field(default=500, ge=1, description="Envelopes in a request.")
    metrics_port: int = Field(default=0, ge=0, description="0 takes a free port.")
    mode: Literal["fast", "slow"] = Field(default="fast", description="How to go about it.")


class StoreSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="INGRESS_DATABASE_")

    url: SecretStr = Field(description="Where core's Postgres is.")
    pin: SecretStr | None = Field(default=None, min_length=12, description="A second secret.")


def problems(environ: dict[str, str], *classes: type[Settings]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(*classes, environ=environ)
    return caught.value.message


def test_variables_become_fields_and_absent_ones_their_defaults() -> None:
    edge, logs = load(
        EdgeSettings, LogSettings, environ={"EDGE_BATCH_SIZE": "7", "INGRESS_LOG_FORMAT": "json"}
    )
    assert (edge.batch_size, edge.mode, logs.format) == (7, "fast", "json")


def test_an_empty_variable_counts_as_unset() -> None:
    (edge,) = load(EdgeSettings, environ={"EDGE_BATCH_SIZE": ""})
    assert edge.batch_size == 500


def test_settings_cannot_be_changed_once_built() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        EdgeSettings().batch_size = 1  # type: ignore[misc]  # the very thing under test


def test_the_constructor_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_BATCH_SIZE", "7")
    assert EdgeSettings().batch_size == 500


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_BATCH_SIZE", "7")
    (edge,) = load(EdgeSettings)
    assert edge.batch_size == 7


def test_an_unknown_variable_refuses_the_start_and_names_the_nearest() -> None:
    message = problems({"EDGE_BATCHSIZE": "7"}, EdgeSettings)
    assert "EDGE_BATCHSIZE is no known setting. Did you mean EDGE_BATCH_SIZE?" in message


def test_an_unknown_shared_variable_is_refused_whatever_the_process_reads() -> None:
    message = problems({"INGRESS_LOG_LEVLE": "debug"}, EdgeSettings)
    assert "Did you mean INGRESS_LOG_LEVEL?" in message


def test_an_unknown_variable_without_a_near_name_points_to_the_documents() -> None:
    assert "docs/settings.md" in problems({"EDGE_WHATEVER": "1"}, EdgeSettings)


@pytest.mark.parametrize(
    "name", ["INGRESS_DATABASE_URL", "INGRESS_RECORDINGS", "INGRESS_KAFKA_BOOTSTRAP"]
)
def test_a_neighbours_shared_variable_is_not_refused(name: str) -> None:
    load(EdgeSettings, environ={name: "whatever"})


def test_other_prefixes_are_nobodys_business() -> None:
    load(EdgeSettings, environ={"CORE_API_PROT": "1", "PATH": "/bin", "EGDE_BATCH_SIZE": "many"})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("EDG_BATCH_SIZE", "EDGE_BATCH_SIZE"),
        ("INGRES_API_URL", "INGRESS_API_URL"),
        ("NIGRESS_LOG_LEVEL", "INGRESS_LOG_LEVEL"),
        ("EDGEMODE", "EDGE_MODE"),
        ("MODE", None),
        ("LEDGE_BATCH_SIZE_MAX", None),
        ("EDG_METRICS_PORT_80_TCP", None),
    ],
)
def test_a_misspelt_prefix_makes_a_stranger_that_looks_like_ours(
    name: str, meant: str | None
) -> None:
    found = list(strangers([EdgeSettings], {name: "tcp://h:80", "PATH": "/bin"}))
    assert found == ([(name, meant)] if meant else [])


def test_the_settings_of_one_room_are_no_misspelling_of_anothers() -> None:
    names = {variable.name: "1" for each in settings_classes() for variable in variables(each)}
    for each in settings_classes():
        own = each.model_config.get("env_prefix", "").partition("_")[0]
        for name, _ in strangers([each], names):
            assert name.startswith(f"{own}_"), f"{name} beside {each.__name__}"


def test_a_missing_variable_is_told_with_the_one_that_is_misspelt() -> None:
    for environ, cls, missing in (
        ({"INGRES_DATABASE_URL": "postgresql://h/d"}, StoreSettings, "INGRESS_DATABASE_URL"),
        ({"INGRES_API_URL": "http://h"}, TransportSettings, "INGRESS_API_URL"),
    ):
        message = problems(environ, cls)
        assert f"{missing} is not set" in message
        assert message.endswith(f" {next(iter(environ))} is set: a misspelling of it?")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EDGE_METRICS_SERVICE_HOST", "10.0.0.7"),
        ("EDGE_METRICS_SERVICE_PORT", "8080"),
        ("EDGE_METRICS_SERVICE_PORT_HTTP", "8080"),
        ("EDGE_METRICS_PORT_8080_TCP", "tcp://10.0.0.7:8080"),
        ("EDGE_METRICS_PORT_8080_TCP_PROTO", "tcp"),
        ("EDGE_METRICS_PORT_8080_TCP_PORT", "8080"),
        ("EDGE_METRICS_PORT_8080_TCP_ADDR", "10.0.0.7"),
        ("EDGE_OTHER_PORT", "tcp://10.0.0.7:8080"),
        ("EDGE_METRICS_PORT", "tcp://10.0.0.7:8080"),  # also where a field has the same name
    ],
)
def test_service_links_of_kubernetes_are_ignored(name: str, value: str) -> None:
    (edge,) = load(EdgeSettings, environ={name: value})
    assert edge.metrics_port == 0


def test_a_wrong_value_is_named_with_variable_rule_and_remedy() -> None:
    message = problems({"EDGE_BATCH_SIZE": "0"}, EdgeSettings)
    assert "EDGE_BATCH_SIZE='0'" in message
    assert "greater than or equal to 1" in message
    assert "Envelopes in a request." in message


def test_a_missing_variable_says_what_it_is_for() -> None:
    assert "INGRESS_DATABASE_URL is not set. Set it: Where core's Postgres is." in problems(
        {}, StoreSettings
    )


def test_every_problem_is_listed_at_once() -> None:
    message = problems(
        {"EDGE_MODE": "lazy", "EDGE_BATCH_SIZE": "many", "EDGE_MDOE": "x"},
        EdgeSettings,
        StoreSettings,
    )
    for name in ("EDGE_MODE=", "EDGE_BATCH_SIZE=", "EDGE_MDOE is", "INGRESS_DATABASE_URL is"):
        assert name in message


def test_a_secret_value_is_never_printed() -> None:
    message = problems(
        {"INGRESS_DATABASE_URL": "postgresql://u:hunter2@h/d", "INGRESS_DATABASE_PIN": "hunter3"},
        StoreSettings,
    )
    assert "INGRESS_DATABASE_PIN=***" in message
    assert "hunter" not in message


def test_a_secret_does_not_leak_through_the_objects_text() -> None:
    (store,) = load(StoreSettings, environ={"INGRESS_DATABASE_URL": "postgresql://u:hunter2@h/d"})
    assert "hunter2" not in repr(store) + str(store)
    assert store.url.get_secret_value() == "postgresql://u:hunter2@h/d"


def test_a_wrong_settings_ends_with_code_2() -> None:
    assert SettingsError([]).exit_code == 2


def test_variables_describe_a_class_for_the_documents() -> None:
    listed = {variable.name: variable for variable in variables(StoreSettings)}
    assert list(listed) == ["INGRESS_DATABASE_URL", "INGRESS_DATABASE_PIN"]
    assert listed["INGRESS_DATABASE_URL"].required
    assert all(variable.secret for variable in listed.values())
