from pathlib import Path

import pytest
from click.testing import CliRunner

from ingress_testbed.load.command import load
from ingress_testbed.load.options import BadOption, fleets, ramp

HTTP = ("--target", "http://127.0.0.1:8080")
KAFKA = ("--kafka", "127.0.0.1:9092")


@pytest.mark.parametrize(("text", "read"), [("400", (400,)), ("100,200, 400", (100, 200, 400))])
def test_fleets_are_one_or_a_rising_list(text: str, read: tuple[int, ...]) -> None:
    assert fleets(text) == read


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "x", "200,100", "100,100", "100,", "²"])
def test_other_fleets_are_refused(text: str) -> None:
    with pytest.raises(BadOption):
        fleets(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [("100:300:100", (100, 200, 300)), ("100:350:100", (100, 200, 300)), ("5:5:1", (5,))],
)
def test_ramp_rises_to_its_end(text: str, read: tuple[int, ...]) -> None:
    assert ramp(text) == read


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("100", "FROM:TO:STEP"),
        ("1:2:3:4", "FROM:TO:STEP"),
        ("300:100:50", "must rise"),
        ("100:200:0", "whole number"),
        ("1:200000:1", "take larger ones"),
        ("1:200001:100000", "200,000"),
    ],
)
def test_other_ramps_are_refused_and_told_why(text: str, says: str) -> None:
    with pytest.raises(BadOption, match=says):
        ramp(text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "either --target URL for HTTP, or --kafka ADDRESS"),
        ((*HTTP, *KAFKA), "either --target URL for HTTP, or --kafka ADDRESS"),
        (HTTP, "ingress keys create --role ingest"),
        ((*HTTP, "--api-key-env", "NOT_THERE"), "NOT_THERE is not set: export it"),
        ((*HTTP, "--api-key-file", "not-there"), "does not exist"),
        (("--target", "127.0.0.1:8080"), "such as http://127.0.0.1:8080"),
        (("--target", "http://u:p@host"), "such as http://127.0.0.1:8080"),
        (("--kafka", "broker"), "must be host:port"),
        ((*KAFKA, "--vehicles", "0"), "whole number from 1"),
        ((*KAFKA, "--ramp", "9:1:1"), "must rise"),
        ((*KAFKA, "--vehicles", "5", "--ramp", "1:9:1"), "give one of them"),
        ((*KAFKA, "--interval", "0"), "--interval"),
        ((*KAFKA, "--duration", "-1"), "--duration"),
        ((*KAFKA, "--workspace", "a b"), "--workspace"),
        ((*KAFKA, "--plot", "load.png"), "must end in .svg"),
        ((*KAFKA, "--plot", "not/there/load.svg"), "make that directory first"),
        ((*KAFKA, "--read-key-env", "PATH"), "needs --accounting-url"),
        ((*KAFKA, "--read-key-env", "A", "--database-url-env", "B"), "one is enough"),
        ((*KAFKA, "--senders", "17"), "--senders"),
    ],
)
def test_bad_input_is_named_with_what_to_do(arguments: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(load, arguments)

    assert result.exit_code == 2, result.output
    assert says in " ".join(result.stderr.split())


def test_key_file_without_a_key_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "key"
    empty.write_text("\n")

    result = CliRunner().invoke(load, [*HTTP, "--api-key-file", str(empty)])

    assert result.exit_code == 2
    assert "holds no key" in result.stderr


def test_help_has_examples_and_takes_no_key_on_the_command_line() -> None:
    result = CliRunner().invoke(load, ["--help"])

    assert "--ramp 500:5000:500" in result.stdout
    assert "--api-key " not in result.stdout
