"""The examples in docs/contract.md work."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from ingress_contracts import http, kafka
from ingress_contracts.content_id import content_id
from ingress_contracts.envelope import Envelope

TEXT = (Path(__file__).parents[3] / "docs" / "contract.md").read_text()
CURLS = re.findall(r"^curl (.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def request(curl: str) -> tuple[dict[str, str], bytes]:
    words = shlex.split(curl.replace("\\\n", ""))
    pairs = list(pairwise(words))
    headers = dict(value.split(": ", 1) for option, value in pairs if option == "-H")
    (body,) = (value for option, value in pairs if option == "-d")
    return headers, body.encode()


@pytest.mark.parametrize("mode", ["batch", "structured", "binary"])
def test_the_curl_of_each_http_mode_sends_an_envelope(mode: str) -> None:
    (decoded,) = http.decode(*request(CURLS[["batch", "structured", "binary"].index(mode)]))

    assert isinstance(decoded, Envelope)
    assert decoded.provider is not None
    expected = content_id(decoded.type, decoded.provider, decoded.workspaceid, decoded.data)
    assert decoded.id == str(expected)


def test_the_kafka_record_is_an_envelope() -> None:
    (record,) = re.findall(r"```text\n(key: .*?)\n```", TEXT, re.DOTALL)
    head, _, value = record.partition("\n\n")
    (_, key), *headers = (line.split(": ", 1) for line in head.splitlines())

    decoded = kafka.decode([(name, text.encode()) for name, text in headers], value.encode())

    assert kafka.encode(decoded).key == key.encode()
    assert dict(kafka.encode(decoded).headers) == {name: text.encode() for name, text in headers}


def test_the_answer_is_an_answer() -> None:
    (answer,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)

    assert http.decode_answer(answer.encode()).outcomes[1].outcome == http.REFUSED


def test_every_schema_that_the_text_links_to_exists() -> None:
    links = re.findall(r"\]\(\.\./(\S+?)\)", TEXT)

    assert links
    assert [link for link in links if not (Path(__file__).parents[3] / link).exists()] == []
