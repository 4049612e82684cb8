from pathlib import Path

import pytest

from telematics_publisher.errors import StreamsError
from telematics_publisher.provider import installed
from telematics_publisher.streams import Workspace, load

GOOD = """
[workspaces.acme]
publisher = "edge-1"
api_key = { env = "ACME_INGEST_KEY" }

[workspaces.beta]
publisher = "edge-2"
api_key = { file = "beta.key" }

[[streams]]
name = "buses"
workspace = "acme"
provider = "viriciti"
url = "wss://sdk.viriciti.com/api/v2/live"
credential = { env = "VIRICITI_API_KEY" }
[streams.vehicles]
arcc_004 = ["gps", "speed"]

[[streams]]
name = "buses"
workspace = "beta"
provider = "viriciti"
credential = { env = "VIRICITI_API_KEY" }
[streams.vehicles]
arcc_005 = ["soc"]
"""
ENVIRON = {"ACME_INGEST_KEY": "acme-secret", "VIRICITI_API_KEY": "viriciti-secret"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "beta.key").write_text("beta-secret\n")
    return tmp_path / "streams.toml"


def read(path: Path, text: str) -> tuple[Workspace, ...]:
    path.write_text(text)
    return load(path, ENVIRON, installed())


def problems(path: Path, text: str) -> list[str]:
    with pytest.raises(StreamsError) as caught:
        read(path, text)
    return [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]


def test_serves_several_workspaces_each_with_publisher_key_and_streams(path: Path) -> None:
    acme, beta = read(path, GOOD)
    assert (acme.name, acme.publisher, acme.api_key.get_secret_value()) == (
        "acme",
        "edge-1",
        "acme-secret",
    )
    assert beta.api_key.get_secret_value() == "beta-secret"
    ((entry, stream),) = acme.streams
    assert entry.source == "/viriciti/acme/buses"
    assert stream.url.endswith("apiKey=viriciti-secret")


def test_shows_no_secret(path: Path) -> None:
    shown = repr(read(path, GOOD))
    assert "secret" not in shown.replace("SecretStr", "").lower()


def test_says_what_to_do_where_there_is_no_file(path: Path) -> None:
    with pytest.raises(StreamsError, match=r"cannot be read: No such file.*--streams"):
        load(path, ENVIRON, installed())


def test_says_where_the_toml_ends_to_be_one(path: Path) -> None:
    assert "is not valid TOML" in problems(path, "[workspaces\n")[0]
    assert "line 1" in problems(path, "[workspaces\n")[0]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'publisher = "edge-1"',
            "",
            "workspaces.acme.publisher: Field required. Add the key.",
        ),
        (
            'publisher = "edge-1"',
            'publisher = "edge-1"\ncolour = "red"',
            (
                "workspaces.acme.colour: Extra inputs are not permitted. "
                "Remove the key or correct its name."
            ),
        ),
        (
            '{ env = "ACME_INGEST_KEY" }',
            '{ env = "A", file = "b" }',
            (
                'workspaces.acme.api_key: give { env = "NAME" } or { file = "PATH" }, one of both. '
                "Correct the value."
            ),
        ),
        (
            '{ env = "ACME_INGEST_KEY" }',
            '{ env = "NOWHERE" }',
            (
                "workspaces.acme.api_key: environment variable NOWHERE is not set or empty. "
                "Put the secret there, or refer to where it is."
            ),
        ),
        (
            'workspace = "acme"',
            'workspace = "acne"',
            "streams[0] \"buses\".workspace: there is no [workspaces.acne]. Did you mean 'acme'?",
        ),
        (
            'workspace = "beta"',
            'workspace = "acme"',
            'streams[1] "buses".name: another stream has it. Give each its own name.',
        ),
        (
            'provider = "viriciti"\nurl',
            'provider = "viricity"\nurl',
            (
                "streams[0] \"buses\".provider: 'viricity' is not installed (installed: viriciti). "
                "Did you mean 'viriciti'?"
            ),
        ),
        (
            "wss://sdk.viriciti.com/api/v2/live",
            "https://sdk.viriciti.com",
            (
                "streams[0] \"buses\".url: String should match pattern '^wss?://[^\\s?#]+$'. "
                "Correct the value."
            ),
        ),
        (
            '["gps", "speed"]',
            "[]",
            (
                'streams[0] "buses".vehicles.arcc_004: Tuple should have at least 1 item after '
                "validation, not 0. List at least one."
            ),
        ),
        (
            "[streams.vehicles]\narcc_005",
            "[streams.vehicels]\narcc_005",
            'streams[1] "buses".vehicles: Field required. Add the key.',
        ),
    ],
)
def test_names_file_key_rule_and_remedy(path: Path, old: str, new: str, problem: str) -> None:
    assert old in GOOD
    assert problem in problems(path, GOOD.replace(old, new, 1))


def test_names_the_file_of_a_secret_that_is_not_there(path: Path) -> None:
    (problem,) = problems(path, GOOD.replace("beta.key", "gone.key"))
    assert problem.startswith(f"workspaces.beta.api_key: file {path.parent / 'gone.key'} cannot")


def test_lists_all_problems_at_once(path: Path) -> None:
    text = (
        GOOD.replace("ACME_INGEST_KEY", "NOWHERE")
        .replace("viriciti.com", "x")
        .replace('provider = "viriciti"', 'provider = "other"')
    )
    assert len(problems(path, text)) == 3
