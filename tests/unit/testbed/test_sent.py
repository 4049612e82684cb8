from pathlib import Path

from ingress_contracts.envelope import MAX_DATA_BYTES
from ingress_testbed.simulator.sent import SentLog, read_sent, sent


def test_what_was_noted_reads_back_as_it_was_sent(tmp_path: Path) -> None:
    entries = [
        sent("key-1", (), '{"type":"vehicles","payload":{"vid":"Zoë\\u2028"}}'.encode()),
        sent("key-2", ("future", "duplicate"), b"{\n}"),
        sent("key-1", ("not-json",), b"\xff\xfe\x00"),
        sent("key-1", ("not-json",), b""),
    ]
    with SentLog(tmp_path / "sent.jsonl") as log:
        log.write(entries[:1])
        log.write(entries[1:])
        assert list(read_sent(tmp_path / "sent.jsonl")) == entries  # readable while it is written


def test_of_what_is_too_large_for_the_contract_the_size_is_noted(tmp_path: Path) -> None:
    with SentLog(tmp_path / "sent.jsonl") as log:
        log.write([sent("key", ("oversized",), b"x" * (MAX_DATA_BYTES + 1))])
        log.write([sent("key", (), b"x" * MAX_DATA_BYTES)])
    first, second = read_sent(tmp_path / "sent.jsonl")
    assert (first.size, first.data) == (MAX_DATA_BYTES + 1, None)
    assert second.data == b"x" * MAX_DATA_BYTES
