"""The wheel as users get it, and fresh environments to install it into; needs a package index."""

import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Environment:
    """A virtual environment without the repository on its path."""

    directory: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's programs outside the repository; both streams are kept."""
        return subprocess.run(
            [self.directory / "bin" / program, *arguments],
            cwd=self.directory,
            env={"PATH": "/usr/bin:/bin", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )


def pins(file_name: str) -> list[Requirement]:
    """Return the pinned requirements of a file in requirements/, without their hashes."""
    lines = (ROOT / "requirements" / file_name).read_text().splitlines()
    return [Requirement(line.rstrip("\\ ")) for line in lines if line and line[0] not in " #"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory, ROOT],
        check=True,
        capture_output=True,
    )
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    """Install the wheel with an extra ("" for none), once, at the versions that we pin."""
    constraints = tmp_path_factory.mktemp("pins") / "constraints.txt"
    constraints.write_text("".join(f"{pin}\n" for pin in pins("dev.txt")))

    @cache
    def installed(extra: str) -> Environment:
        directory = tmp_path_factory.mktemp(f"extra-{extra}")
        venv.create(directory, with_pip=False)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--python", directory / "bin" / "python"),
                *("--quiet", "--disable-pip-version-check", "--no-input", "install"),
                *("--no-compile", "--constraint", constraints),
                f"{wheel}[{extra}]" if extra else wheel,
            ],
            check=True,
        )
        return Environment(directory)

    return installed
