"""Ask a Kafka broker which brokers it knows, with nothing but a socket.

One Metadata request, version 1, without topics: every broker that speaks Kafka's protocol answers
it, and no client's reconnects and log lines come between the question and the answer.
"""

import socket
import struct

_METADATA, _VERSION, _NO_TOPICS = 3, 1, 0
_CLIENT = b"ingress-testbed"
_ANSWER_SECONDS = 2.0
_LARGEST_ANSWER = 2**20


def known_brokers(port: int) -> frozenset[int]:
    """Return the ports of the live brokers that the one at 127.0.0.1:`port` knows.

    Empty where nobody answers, or not as Kafka does: it may be on its way.
    """
    head = struct.pack(f">hhih{len(_CLIENT)}s", _METADATA, _VERSION, 0, len(_CLIENT), _CLIENT)
    question = head + struct.pack(">i", _NO_TOPICS)
    try:
        with socket.create_connection(("127.0.0.1", port), _ANSWER_SECONDS) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.sendall(struct.pack(">i", len(question)) + question)
            (size,) = struct.unpack(">i", _read(connection, 4))
            return _ports(_read(connection, min(size, _LARGEST_ANSWER)))
    except (OSError, struct.error):
        return frozenset()


def _read(connection: socket.socket, size: int) -> bytes:
    answer = b""
    while len(answer) < size:
        part = connection.recv(size - len(answer))
        if not part:
            raise ConnectionResetError
        answer += part
    return answer


def _ports(answer: bytes) -> frozenset[int]:
    """Read `correlation, [node, host, port, rack?]…` of a Metadata response."""
    _correlation, count = struct.unpack_from(">ii", answer)
    ports, at = set(), 8
    for _ in range(count):
        _node, length = struct.unpack_from(">ih", answer, at)
        at += 6 + length
        port, rack = struct.unpack_from(">ih", answer, at)
        at += 6 + max(rack, 0)
        ports.add(port)
    return frozenset(ports)
