"""The pinned requirements fit the project; nothing here needs an index."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = ("dev.txt", "demo.txt", "core.txt", "publisher.txt", "build.txt")


def pins(file_name: str) -> dict[str, set[str]]:
    """Return the pinned versions by package; a package has several where platforms differ."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / file_name).read_text().splitlines():
        if line and line[0] not in " #":
            pin = Requirement(line.rstrip("\\ "))
            found.setdefault(canonicalize_name(pin.name), set()).add(
                str(pin.specifier).removeprefix("==")
            )
    return found


def asked(*extras: str, groups: tuple[str, ...]) -> Iterator[Requirement]:
    """Yield what pyproject.toml asks for, with the extras that an extra includes."""
    project = PROJECT["project"]
    lines = list(project["dependencies"])
    for group in groups:
        lines += PROJECT["dependency-groups"][group]
    pending = list(extras)
    while pending:
        for line in project["optional-dependencies"][pending.pop()]:
            requirement = Requirement(line)
            if requirement.name == project["name"]:
                pending += requirement.extras
            else:
                lines.append(line)
    return map(Requirement, lines)


@pytest.mark.parametrize("file_name", FILES)
def test_every_pin_has_hashes_and_no_line_names_an_index(file_name: str) -> None:
    text = (ROOT / "requirements" / file_name).read_text()
    for block in re.split(r"\n(?=[^ #])", text):
        assert "--hash=sha256:" in block, block.partition("\n")[0]
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=", ""), re.MULTILINE)


@pytest.mark.parametrize(
    ("file_name", "requirements"),
    [
        (
            "dev.txt",
            list(
                asked(
                    *PROJECT["project"]["optional-dependencies"], groups=("build", "test", "check")
                )
            ),
        ),
        ("demo.txt", list(asked("testbed", groups=("build",)))),
        ("core.txt", list(asked("api", "consumer", groups=()))),
        ("publisher.txt", list(asked("publisher", "kafka", groups=()))),
        ("build.txt", list(map(Requirement, PROJECT["dependency-groups"]["build"]))),
    ],
)
def test_pins_satisfy_the_project(file_name: str, requirements: list[Requirement]) -> None:
    pinned = pins(file_name)
    for requirement in requirements:
        versions = pinned.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is not pinned: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), (
            f"{requirement}: pinned to {versions}: run `make lock`"
        )


@pytest.mark.parametrize("file_name", FILES[1:])
def test_demo_and_images_use_the_versions_that_the_tests_use(file_name: str) -> None:
    tested = pins("dev.txt")
    assert all(tested.get(name) == versions for name, versions in pins(file_name).items())


def test_the_publishers_image_has_no_database_driver_and_no_web_framework() -> None:
    assert not {"asyncpg", "fastapi", "faststream", "uvicorn"} & pins("publisher.txt").keys()
