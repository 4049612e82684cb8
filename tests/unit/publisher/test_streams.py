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
    assert (acme.name, acme.publisher, acme.key.get_secret_value()) == (
        "acme",
        "edge-1",
        "acme-secret",
    )
    assert beta.key.get_secret_value() == "beta-secret"
    ((entry, stream),) = acme.streams
    assert entry.source == "/viriciti/acme/buses"
    assert stream.url.endswith("apiKey=viriciti-secret")


def test_shows_no_secret(path: Path) -> None:
    shown = repr(read(path, GOOD)).replace(str(path.parent), "")
    assert "secret" not in shown.replace("SecretStr", "").lower()


def test_says_what_to_do_where_there_is_no_file(path: Path) -> None:
    with pytest.raises(StreamsError, match=r"cannot be read: No such file.*--streams"):
        load(path, ENVIRON, installed())


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'publisher = "edge-1"',
            "",
            (
                "workspaces.acme.publisher: is missing. Add it: This publisher's id in the workspace; "
                "the API key is bound to it."
            ),
        ),
        (
            'publisher = "edge-1"',
            'publihser = "edge-1"',
            "workspaces.acme.publisher: is missing. 'publihser' looks like it: correct that name.",
        ),
        (
            'publisher = "edge-1"',
            'publisher = "edge-1"\ncolour = "red"',
            (
                "workspaces.acme.colour: is no key of this table. "
                "Remove it. Known here: publisher, api_key."
            ),
        ),
        (
            'publisher = "edge-1"',
            'publisher = "edge 1"',
            (
                "workspaces.acme.publisher = 'edge 1': must be: letters, digits, dot, underscore and "
                "hyphen, beginning with a letter or digit; at most 128. Correct it."
            ),
        ),
        (
            'publisher = "edge-1"',
            "publisher = 1",
            "workspaces.acme.publisher = 1: must be a text in quotes. Correct it.",
        ),
        (
            "[workspaces.acme]",
            '[workspaces."a b"]',
            (
                "workspaces.a b = 'a b': must be: letters, digits, dot, underscore and hyphen, "
                "beginning with a letter or digit; at most 128. Correct it."
            ),
        ),
        (
            '{ env = "ACME_INGEST_KEY" }',
            '{ env = "A", file = "b" }',
            (
                'workspaces.acme.api_key: give { env = "NAME" } or { file = "PATH" }, one of both. '
                "Correct it."
            ),
        ),
        (
            '{ env = "ACME_INGEST_KEY" }',
            '{ evn = "A" }',
            "workspaces.acme.api_key.evn: is no key of this table. Did you mean 'env'?",
        ),
        (
            '{ env = "ACME_INGEST_KEY" }',
            '"ik_0123456789abcdef_hunter2"',
            (
                'workspaces.acme.api_key: must be { env = "NAME" } or { file = "PATH" }. '
                "No secret is written into this file: say where it is."
            ),
        ),
        (
            '{ env = "ACME_INGEST_KEY" }',
            '{ env = "NOWHERE" }',
            (
                "workspaces.acme.api_key: environment variable NOWHERE is not set or empty. "
                "Set it: export NOWHERE=..."
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
            'streams[1] "buses".name: streams[0] has the same one. Give each its own name.',
        ),
        (
            'name = "buses"\nworkspace = "beta"',
            'nmae = "buses"\nworkspace = "beta"',
            "streams[1].name: is missing. 'nmae' looks like it: correct that name.",
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
            'provider = "viriciti"\nurl',
            'provider = "samsara"\nurl',
            (
                "streams[0] \"buses\".provider: 'samsara' is not installed (installed: viriciti). "
                "Install the package that brings it."
            ),
        ),
        (
            "wss://sdk.viriciti.com/api/v2/live",
            "https://sdk.viriciti.com?apiKey=hunter2",
            (
                "streams[0] \"buses\".url = 'https://sdk.viriciti.com?apiKey=***': must begin with "
                "ws:// or wss:// and have no query: keys are added to it. Correct it."
            ),
        ),
        (
            "url =",
            "ulr =",
            "streams[0] \"buses\".ulr: is no key of this table. Did you mean 'url'?",
        ),
        (
            '["gps", "speed"]',
            "[]",
            'streams[0] "buses".vehicles.arcc_004: is empty. List at least one.',
        ),
        (
            'arcc_004 = ["gps", "speed"]',
            "",
            'streams[0] "buses".vehicles: is empty. List at least one.',
        ),
        (
            '["gps", "speed"]',
            '"gps"',
            "streams[0] \"buses\".vehicles.arcc_004 = 'gps': must be a list in brackets. Correct it.",
        ),
        (
            'arcc_004 = ["gps", "speed"]',
            'arcc_004 = ["gps", "speed"]\nurl = "ws://127.0.0.1:8765"',
            (
                "streams[0] \"buses\".vehicles.url = 'ws://127.0.0.1:8765': must be a list in "
                "brackets. If 'url' is meant for the stream, write it above [streams.…]."
            ),
        ),
        (
            'arcc_004 = ["gps", "speed"]',
            'arcc.004 = ["gps", "speed"]',
            (
                'streams[0] "buses".vehicles.arcc: must be a list in brackets. '
                'An id with a dot goes into quotes: "arcc.004" = […].'
            ),
        ),
        (
            "[streams.vehicles]\narcc_005",
            "[stream.vehicles]\narcc_005",
            "stream: is no key of this table. Did you mean [streams.vehicles]?",
        ),
        (
            "[workspaces.beta]",
            "[workspace.beta]",
            "workspace: is no key of this table. Did you mean [workspaces.beta]?",
        ),
        (
            "[streams.vehicles]\narcc_005",
            "[streams.vehicels]\narcc_005",
            "streams[1] \"buses\".vehicels: is no key of this table. Did you mean 'vehicles'?",
        ),
    ],
)
def test_names_file_key_rule_and_remedy(path: Path, old: str, new: str, problem: str) -> None:
    assert old in GOOD
    found = problems(path, GOOD.replace(old, new, 1))
    assert problem in found
    assert "hunter2" not in "".join(found)


def test_a_list_of_streams_with_single_brackets_is_understood(path: Path) -> None:
    first, _, _ = GOOD.rpartition("[[streams]]")
    assert problems(path, first.replace("[[streams]]", "[streams]")) == [
        (
            "streams: must be a list of tables. Begin each stream with [[streams]], its tables below it "
            "with [streams.…]."
        )
    ]


def test_a_list_of_streams_with_a_misspelt_name_is_understood(path: Path) -> None:
    first, _, _ = GOOD.partition("[[streams]]")
    assert problems(path, f'{first}[[stream]]\nname = "buses"\n') == [
        "stream: is no key of this table. Did you mean [[streams]]?"
    ]


def test_an_empty_file_says_what_to_add(path: Path) -> None:
    assert problems(path, "") == [
        "workspaces: is missing. Add it: A table [workspaces.NAME] for each workspace to serve."
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[workspaces\n", "line 1, column 12"),
        ("[workspaces.acme]\npublisher = edge-1\n", "line 2, column 13"),
        ("[workspaces.acme]\n[workspaces.acme]\n", "line 2, column 17"),
    ],
)
def test_what_is_not_toml_is_placed_by_line_and_column(path: Path, text: str, place: str) -> None:
    (problem,) = problems(path, text)
    assert problem.startswith("is not valid TOML: ")
    assert place in problem


def test_what_is_not_toml_is_shown_unless_it_may_hold_a_secret(path: Path) -> None:
    (problem,) = problems(path, "[workspaces.acme]\n  publisher = edge-1\n")
    assert problem.endswith(
        "(at line 2, column 15): publisher = edge-1. Correct it there: https://toml.io shows how."
    )
    (problem,) = problems(path, "[workspaces.acme]\napi_key = hunter2\n")
    assert "hunter2" not in problem
    (problem,) = problems(path, 'publisher = "edge-1')
    assert problem.startswith("is not valid TOML: ")


def test_a_file_that_is_not_utf_8_says_so(path: Path) -> None:
    path.write_bytes(b'[workspaces.acme]\npublisher = "\xe9dge"\n')
    with pytest.raises(StreamsError, match=r"is not UTF-8 \(byte 32\). Save it as UTF-8."):
        load(path, ENVIRON, installed())


def test_a_directory_in_its_place_is_told(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StreamsError, match=r"cannot be read: Is a directory.*--streams"):
        load(path, ENVIRON, installed())


@pytest.mark.parametrize(
    "content", ["", " \n", "two\nlines-hunter2", "bell\x07-hunter2", "schlüssel"]
)
def test_a_secret_that_cannot_be_one_is_refused_unseen(path: Path, content: str) -> None:
    (path.parent / "beta.key").write_text(content)
    (problem,) = problems(path, GOOD)
    assert problem.startswith(f"workspaces.beta.api_key: file {path.parent / 'beta.key'} ")
    assert not content.strip() or content.strip() not in problem
    assert "hunter2" not in problem


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
