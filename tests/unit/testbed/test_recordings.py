import gzip
from pathlib import Path

import pytest

from ingress_testbed.recordings import (
    Extent,
    Frame,
    RecordingError,
    open_recording,
    write_recording,
)

ROUTE = """time,energy,gps,odo,speed
1511436338000,53.20,52.093448638916016|5.117378234863281,88526.413,0
,53.3,52.1|5.1,88527,1
1511436339000,,52.09|5.11,88526.4140,
"""


@pytest.fixture
def route(tmp_path: Path) -> Path:
    path = tmp_path / "route.csv"
    path.write_text(ROUTE)
    return path


def test_a_blank_cell_and_a_row_without_a_time_send_nothing(route: Path) -> None:
    sent = [(frame.label, frame.time) for frame in open_recording(route).frames()]
    assert sent == [
        ("energy", 1511436338000),
        ("gps", 1511436338000),
        ("odo", 1511436338000),
        ("speed", 1511436338000),
        ("gps", 1511436339000),
        ("odo", 1511436339000),
    ]


def test_numbers_of_a_csv_keep_their_digits_and_positions_are_texts(route: Path) -> None:
    frames = list(open_recording(route).frames())
    assert frames[0].payload() == (
        '{"vid":"route-bus","label":"energy","value":53.20,"time":1511436338000}'
    )
    assert frames[4].payload() == (
        '{"vid":"route-bus","label":"gps","value":"52.09|5.11","time":1511436339000}'
    )
    assert frames[5].value == "88526.4140"


def test_payloads_of_a_jsonl_are_sent_as_they_were_recorded(tmp_path: Path) -> None:
    lines = [
        '{"vid":"b","label":"odo","value":80459.0450,"time":1}',
        '{"vid":"b","label":"speed","value":-0,"time":1}',
        '{"vid":"b","label":"power","value":1E-2,"time":2}',
        '{"vid":"b","label":"name","value":"Zoë \\" | 1","time":3}',
        '{"vid":"b","label":"on","value":true,"time":3}',
        '{"vid":"b","label":"off","value":null,"time":3}',
    ]
    path = tmp_path / "day.jsonl"
    path.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    assert [frame.payload() for frame in open_recording(path).frames()] == lines


def test_a_written_recording_reads_back_and_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    frames = [Frame("bus-1", "odo", "1.50", 10), Frame("bus-2", "gps", '"52.1|5.1"', 11)]
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    write_recording(first, frames)
    write_recording(second, frames)
    assert list(open_recording(first).frames()) == frames
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl.gz", "b.jsonl.gz"]


def test_the_extent_counts_frames_and_names_first_and_last_time(route: Path) -> None:
    assert open_recording(route).extent() == Extent(6, 1511436338000, 1511436339000)
    assert open_recording(route).moved(5).moved(2).extent() == Extent(
        6, 1511436338007, 1511436339007
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"vid":"b","label":"odo","value":1,"time":2}\nnonsense', "line 2: it is no ViriCiti"),
        ('{"vid":"b","label":"odo","time":2}', "line 1: it is no ViriCiti"),
        ('{"vid":"b","label":"odo","value":1,"time":"2"}', "line 1: it is no ViriCiti"),
        (
            '{"vid":"b","label":"odo","value":1,"time":2}\n{"vid":"b","label":"odo","value":1,"time":1}',
            "line 2: its time is before",
        ),
    ],
)
def test_an_unreadable_line_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "day.jsonl"
    path.write_text(content)
    with pytest.raises(RecordingError, match=complaint):
        open_recording(path).extent()


def test_a_truncated_file_is_an_error_of_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"vid":"b","label":"odo","value":1,"time":2}\n' * 9)[:-9])
    with pytest.raises(RecordingError, match="cannot be read"):
        open_recording(path).extent()


def test_a_missing_file_and_an_unknown_format_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="ingress fleet record"):
        open_recording(tmp_path / "none.jsonl")
    other = tmp_path / "day.parquet"
    other.touch()
    with pytest.raises(RecordingError, match="must end in"):
        open_recording(other)
    with pytest.raises(RecordingError, match="must end in"):
        write_recording(other, [])
