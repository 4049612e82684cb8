"""The Dockerfile, and what Prometheus and Grafana are given."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.compose.composition import ROOT, scraped, services

OPS = ROOT / "ops"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES = services()


def stages() -> dict[str, str]:
    """The stages of the Dockerfile by name."""
    found = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {text.splitlines()[0].split(" AS ")[1]: text for text in found}


def lineage(name: str) -> str:
    """A stage with the text of all those that it builds on."""
    text = stages()[name]
    parent = text.split(" ", 1)[0]
    return text + (lineage(parent) if parent in stages() else "")


def test_the_linter_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    said = subprocess.run(
        [hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout) == (0, "")


def test_there_is_a_target_for_each_image_of_the_stack() -> None:
    targets = {one.raw["build"]["target"] for one in SERVICES.values() if one.is_ours}
    assert targets == {"publisher", "core"} <= stages().keys()


@pytest.mark.parametrize("target", ["publisher", "core"])
def test_an_image_runs_as_nobody_and_says_what_it_is(target: str) -> None:
    whole = lineage(target)
    assert re.findall(r"^USER (.*)", whole, re.MULTILINE) == ["10001:10001"]
    for label in ("title", "description", "licenses"):
        assert f"org.opencontainers.image.{label}=" in whole


@pytest.mark.parametrize("target", ["publisher", "core"])
def test_an_image_holds_no_tools_of_the_build(target: str) -> None:
    whole = lineage(target)
    assert "pip" not in whole
    assert "apt-get" not in whole
    assert "COPY . ." not in whole


def test_every_package_is_pinned_with_its_hash() -> None:
    installs = re.findall(r"pip .*?install(?:[^\n]*\\\n)*[^\n]*", DOCKERFILE)
    assert len(installs) == 5
    for install in installs:
        assert "--require-hashes" in install or "--no-deps --no-index /wheel/" in install
    assert "PIP_ONLY_BINARY=:all:" in DOCKERFILE


def test_every_directory_that_is_mounted_to_be_written_is_made_for_its_user() -> None:
    made = set(re.findall(r"/(?:var/lib/ingress|secrets)(?:/\w+)?", stages()["runtime"]))
    for one in SERVICES.values():
        if one.is_ours:
            written = {mount.target for mount in one.mounts if not mount.read_only}
            assert written <= made, one.name


def test_what_the_build_copies_is_let_through() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[1] == "*"
    let_in = [line[1:] for line in ignore if line.startswith("!")]
    packages = re.search(
        r'packages = \[\n((?:    "\w+",\n)+)\]', (ROOT / "pyproject.toml").read_text()
    )
    assert packages is not None
    for needed in (*re.findall(r"\w+", packages[1]), "pyproject.toml", "README.md", "LICENSE"):
        assert any(Path(needed).match(pattern) for pattern in let_in), needed


def test_a_wheel_can_be_built_of_what_the_images_get(tmp_path: Path) -> None:
    let_in = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for source in (path for pattern in let_in for path in ROOT.glob(pattern)):
        copy = tmp_path / source.name
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "wheel"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert len(list((tmp_path / "wheel").glob("*.whl"))) == 1


def test_prometheus_scrapes_every_process_of_ours_where_it_listens() -> None:
    listens = {
        name: f"{name}:{value}"
        for name, one in SERVICES.items()
        for variable, value in one.environment.items()
        if re.fullmatch(r"(PUBLISHER_METRICS|CORE_CONSUMER_METRICS|CORE_API)_PORT", variable)
    }
    assert listens.keys() == {"publisher", "api", "consumer"}
    assert {name: scraped()[name] for name in listens} == listens
    assert scraped()["redpanda"] == "redpanda:9644"
    for name in listens:
        own = [value for key, value in SERVICES[name].environment.items() if key.endswith("_HOST")]
        assert own == ["0.0.0.0"]  # noqa: S104 — of a container


def test_promtool_takes_the_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian's package is called prometheus)")
    said = subprocess.run(
        [promtool, "check", "config", OPS / "prometheus" / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr


def provisioned(kind: str) -> list[dict[str, Any]]:
    """What Grafana is provisioned with: the entries of every file of a kind."""
    files = (OPS / "grafana" / "provisioning" / kind).glob("*.yml")
    return [entry for file in files for entry in yaml.safe_load(file.read_text())[_LIST[kind]]]


_LIST = {"datasources": "datasources", "dashboards": "providers"}


def test_grafana_asks_the_prometheus_of_the_stack() -> None:
    (source,) = provisioned("datasources")
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert source["isDefault"]


def test_grafana_looks_for_dashboards_where_they_are_mounted() -> None:
    (provider,) = provisioned("dashboards")
    mounts = {mount.target: mount.source for mount in SERVICES["grafana"].mounts}
    assert mounts[provider["options"]["path"]] == "./ops/grafana/dashboards"
    for file in (OPS / "grafana" / "dashboards").glob("*.json"):
        assert json.loads(file.read_text())["title"], file.name
