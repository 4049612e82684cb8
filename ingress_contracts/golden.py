"""Golden samples: what each version looks like on each wire, kept so that it stays so.

A sample is a text: one header a line, an empty line, the body. Line breaks in the body are for
the reader and no part of it. In a Kafka sample the first line is the record's key. Samples live in
`golden/{version}/`: one for each binding, and one in HTTP binary mode for each kind in `kinds/`.
"""

from importlib.resources import files

from ingress_contracts.kafka import KafkaRecord

_ROOT = files("ingress_contracts") / "golden"


def http(name: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an HTTP sample, such as `v1/http-batch`."""
    lines, body = _parts(f"{name}.http")
    return dict(lines), body


def kafka(name: str) -> KafkaRecord:
    """Return the record of a Kafka sample, such as `v1/kafka-binary`."""
    ((_, key), *lines), value = _parts(f"{name}.kafka")
    headers = [(header, text.encode()) for header, text in lines]
    return KafkaRecord(key=key.encode(), value=value, headers=headers)


def _parts(path: str) -> tuple[list[tuple[str, str]], bytes]:
    head, _, body = _ROOT.joinpath(path).read_bytes().partition(b"\n\n")
    lines = [line.partition(": ") for line in head.decode().split("\n")]
    return [(name, value) for name, _, value in lines], body.replace(b"\n", b"")
