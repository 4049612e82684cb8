import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

BASE = ["ingress_contracts", "ingress_runtime"]
PROMISED = {
    "": BASE,
    "publisher": [*BASE, "telematics_publisher"],
    "core": [*BASE, "core_ingest"],
    "api": [*BASE, "core_ingest", "core_api"],
    "kafka": BASE,
    "consumer": [*BASE, "core_ingest", "core_consumer"],
    "poller": [*BASE, "core_ingest", "core_poller"],
    "events": [*BASE, "core_ingest", "core_events"],
    "embedded": BASE,
    "tracing": BASE,
    "testbed": [
        *BASE,
        "core_ingest",
        "core_api",
        "core_consumer",
        "telematics_publisher",
        "ingress_testbed",
    ],
}
"""The rooms of which every module can be imported with an extra installed."""

WITH_KAFKA = {"kafka", "consumer", "testbed"}
"""The extras with which that includes the modules that speak Kafka."""

WITH_TRACING = {"tracing"}
"""Likewise the module that makes spans."""

SPEAKING_KAFKA = ("ingress_runtime.kafka.", "telematics_publisher.transports.kafka")
TRACING = "ingress_runtime.spans"

IMPORT_ALL = """
import importlib, pkgutil, sys
for room in sys.argv[1:]:
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if error.name.partition(".")[0] not in ("aiokafka", "opentelemetry"):
                    raise
                print(module.name)
"""
"""Prints the modules that lack aiokafka or OpenTelemetry."""

FIND = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is not None)"


class Finished(Protocol):
    returncode: int
    stdout: str
    stderr: str


class Installed(Protocol):
    def run(self, program: str, *arguments: str) -> Finished: ...


Install = Callable[[str], Installed]


def test_every_extra_promises_its_rooms() -> None:
    assert PROMISED.keys() - {""} == PROJECT["project"]["optional-dependencies"].keys()


@pytest.mark.parametrize("extra", PROMISED)
def test_every_module_of_the_promised_rooms_can_be_imported(install: Install, extra: str) -> None:
    result = install(extra).run("python", "-I", "-c", IMPORT_ALL, *PROMISED[extra])
    assert (result.returncode, result.stderr) == (0, "")
    lacking = result.stdout.split()
    assert (TRACING in lacking) is (extra not in WITH_TRACING)
    lacking = [module for module in lacking if module != TRACING]
    assert not lacking or extra not in WITH_KAFKA
    assert all(module.startswith(SPEAKING_KAFKA) for module in lacking)
    assert "ingress_runtime.kafka.settings" not in lacking


def test_the_base_install_lists_every_command_and_what_it_lacks(install: Install) -> None:
    environment = install("")
    listed = environment.run("ingress", "--help")
    assert listed.returncode == 0
    for command in PROJECT["project"]["entry-points"]["ingress.commands"]:
        assert f"\n  {command} " in listed.stdout
    assert "pip install 'telematics-ingress[api]'" in listed.stdout
    refused = environment.run("ingress", "api")
    assert refused.returncode == 2
    assert "pip install 'telematics-ingress[api]'" in refused.stderr


def test_the_publisher_brings_nothing_of_core(install: Install) -> None:
    environment = install("publisher")
    for module in ("aiokafka", "asyncpg", "fastapi", "faststream", "uvicorn"):
        assert environment.run("python", "-c", FIND, module).returncode == 0, f"{module} is there"
    assert environment.run("ingress", "publisher", "--help").returncode == 0
    assert environment.run("ingress", "api").returncode == 2


def test_the_publisher_brings_what_the_simulator_needs_and_the_demo_says_what_it_lacks(
    install: Install,
) -> None:
    environment = install("publisher")
    simulated = environment.run("ingress", "simulator", "--replay", "none.jsonl")
    assert "there is no recording at none.jsonl" in simulated.stderr
    refused = environment.run("ingress", "demo")
    assert refused.returncode == 2
    assert "'telematics-ingress[testbed]', or in a checkout '.[testbed]'" in refused.stderr


def test_a_publisher_without_kafka_says_what_to_install(install: Install) -> None:
    environment = install("publisher")
    refused = environment.run("ingress", "topics", "create")
    assert refused.returncode == 2
    assert "pip install 'telematics-ingress[kafka]'" in refused.stderr
    ask = (
        "from telematics_publisher.errors import WayClosed\n"
        "from telematics_publisher.ways import need_kafka\n"
        "try:\n    need_kafka('queue-first')\nexcept WayClosed as error:\n    print(error)"
    )
    said = environment.run("python", "-c", ask).stdout
    assert "pip install 'telematics-ingress[publisher,kafka]'" in said


def test_a_process_without_tracing_says_what_to_install(install: Install) -> None:
    ask = (
        "from ingress_runtime.settings import SettingsError\n"
        "from ingress_runtime.tracing import TracingSettings, started\n"
        "try:\n    with started(TracingSettings(tracing='otlp'), 'any'): print('started')\n"
        "except SettingsError as error:\n    print(error)"
    )
    refused = install("publisher").run("python", "-c", ask)
    assert "pip install 'telematics-ingress[tracing]'" in refused.stdout
    assert install("tracing").run("python", "-c", ask).stdout == "started\n"


def test_the_wheel_holds_every_file_of_the_rooms_and_nothing_else(wheel: Path) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.is_relative_to(ROOT / "ingress_testbed" / "observability")
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == ours


@pytest.mark.parametrize(
    "kind",
    [
        *(f"{room}/py.typed" for room in ROOMS),
        "core_ingest/store/migrations/0001_ingest.sql",
        "core_api/openapi.json",
        "core_consumer/asyncapi.json",
        "ingress_contracts/schemas/envelope.v1.json",
        "ingress_contracts/golden/v1/http-batch.http",
        "ingress_contracts/golden/v1/kafka-binary.kafka",
    ],
)
def test_the_wheel_holds_what_no_import_would_miss(wheel: Path, kind: str) -> None:
    assert kind in zipfile.ZipFile(wheel).namelist()
