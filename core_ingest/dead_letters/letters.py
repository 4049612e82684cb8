"""Dead letters as they are listed and shown."""

import json
from base64 import b64encode
from datetime import datetime
from typing import Any

import asyncpg
from pydantic import BaseModel, Field

from core_ingest.dead_letters.filters import State
from core_ingest.item import WHOLE


class Letter(BaseModel):
    """One dead letter: a whole message, or one reading of it."""

    workspace: str
    origin: str = Field(description="`publisher/epoch/sequence`, or `topic/partition/offset`.")
    index: int = Field(description="-1: the whole message; else one reading of it, from 0.")
    reason: str = Field(
        description="A stable snake_case word; of the last try, if it was replayed."
    )
    detail: str
    door: str
    provider: str | None
    publisher: str | None
    dead_lettered: datetime
    state: State
    resolved: datetime | None = Field(description="When it was replayed or discarded.")
    outcome: str | None = Field(description="What the replay made of its message.")
    note: str | None = Field(description="Why it was discarded.")
    tries: int = Field(description="Replays that it saw.")
    bytes: int = Field(description="Size of the message's data.")


class Replayed(BaseModel):
    """One replay of a message."""

    number: int
    at: datetime
    outcome: str
    reason: str | None
    detail: str | None


class Message(BaseModel):
    """What is known of a message that has dead letters.

    `data` is text where the bytes are UTF-8, else `data_base64` holds them.
    """

    workspace: str
    origin: str
    letters: list[Letter]
    attributes: dict[str, Any] = Field(
        description="The envelope's; of a record that was none, its `key` and `headers`."
    )
    data: str | None
    data_base64: str | None
    replays: list[Replayed]


class LetterPage(BaseModel):
    """Letters, oldest first."""

    letters: list[Letter]
    next: str | None = Field(description="Pass it as `after` for the next page; null at the end.")


class Count(BaseModel):
    """How many letters share a value."""

    value: str | None
    letters: int
    oldest: datetime
    newest: datetime


def letter(row: asyncpg.Record) -> Letter:
    """Return a row of the statements `page` and `letters`."""
    return Letter(**{name: row[name] for name in Letter.model_fields})


def message(rows: list[asyncpg.Record], replays: list[asyncpg.Record]) -> Message:
    """Return the message of rows of the statement `letters`, at least one."""
    first = rows[0]
    text = _text(first["data"])
    return Message(
        workspace=first["workspace"],
        origin=first["origin"],
        letters=[letter(row) for row in rows],
        attributes=json.loads(first["attributes"]),
        data=text,
        data_base64=None if text is not None else b64encode(first["data"]).decode("ascii"),
        replays=[
            Replayed(
                number=row["try"],
                at=row["replayed"],
                outcome=row["outcome"],
                reason=row["reason"],
                detail=row["detail"],
            )
            for row in replays
        ],
    )


def part(index: int) -> str:
    """Return which part of a message an index means, for people."""
    return "whole" if index == WHOLE else f"reading {index}"


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
