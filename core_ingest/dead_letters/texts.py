"""Dead letters and their replays as people read them."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import click

from core_ingest.dead_letters.desk import Remaining, Run
from core_ingest.dead_letters.filters import Grouping
from core_ingest.dead_letters.letters import Count, Letter, LetterPage, Message, part
from core_ingest.dead_letters.verdicts import Tally

_MOST_DETAIL = 100


def of_page(page: LetterPage) -> Iterator[str]:
    """Yield a line for each letter, and how to go on."""
    for letter in page.letters:
        detail = shown(letter.detail.replace("\n", " "))
        short = detail if len(detail) <= _MOST_DETAIL else f"{detail[:_MOST_DETAIL]}…"
        yield (
            f"{_at(letter.dead_lettered)}  {letter.workspace}  {letter.origin}  "
            f"{part(letter.index)}  {letter.reason}  {_state(letter)}  {short}"
        )
    if page.next is not None:
        yield f"more: --after '{page.next}'"


def of_counts(grouping: Grouping, counts: Sequence[Count]) -> list[str]:
    """Return a table of how many letters there are by reason, or whatever it is."""
    if not counts:
        return []
    width = max(len(grouping), *(len(each.value or "none") for each in counts))
    lines = [f"{grouping:<{width}}  {'letters':>9}  {'oldest':<20}  newest"]
    for each in counts:
        span = f"{_at(each.oldest)}  {_at(each.newest)}"
        lines.append(f"{each.value or 'none':<{width}}  {each.letters:>9,}  {span}")
    return lines


def of_message(message: Message) -> Iterator[str]:
    """Yield all that is known of a message."""
    yield f"{message.origin} of workspace {message.workspace}"
    for letter in message.letters:
        yield f"  {part(letter.index)}: {letter.reason}, {_state(letter)}"
        yield f"    {shown(letter.detail)}"
        if letter.note is not None:
            yield f"    discarded because: {shown(letter.note)}"
        yield f"    dead-lettered {_at(letter.dead_lettered)} by door {letter.door}"
    yield "attributes:"
    yield from (f"  {line}" for line in json.dumps(message.attributes, indent=2).splitlines())
    if message.data is not None:
        yield "data:"
        yield f"  {shown(message.data)}"
    else:
        yield "data (base64):"
        yield f"  {message.data_base64}"
    yield "replays:" if message.replays else "replays: none"
    for each in message.replays:
        why = "" if each.reason is None else f": {each.reason}: {shown(each.detail or '')}"
        yield f"  {each.number}. {_at(each.at)}  {each.outcome}{why}"


def of_tally(tally: Tally, *, dry_run: bool) -> Iterator[str]:
    """Yield what a replay made, or would make, of messages."""
    would = "would be handled" if dry_run else "handled"
    yield f"{counted(tally.messages, 'message')} {would} again"
    for outcome, number in sorted(tally.outcomes.items(), key=lambda each: (-each[1], each[0])):
        yield f"  {outcome:<14} {number:>9,}"
    yield f"{counted(tally.resolved, 'letter')} resolved, {tally.waiting:,} dead-lettered again"
    if tally.without_data:
        yield (
            f"{counted(tally.without_data, 'message')} cannot be replayed: only the publisher's "
            "report of them came; discard them once they are understood"
        )


def of_rest(messages: int, tally: Tally) -> Iterator[str]:
    """Yield what a dry run of so many messages left out."""
    done = tally.messages + tally.without_data
    if done < messages:
        yield (
            f"This was for the first {done:,} of {messages:,}: narrow the filters, or replay with "
            f"--limit {done}."
        )


def of_left(left: Remaining) -> str:
    """Return what still waits."""
    return f"{counted(left.letters, 'letter')} of this choice still waiting"


def of_discarded(gone: Remaining) -> str:
    """Return what was given up."""
    return f"discarded {counted(gone.letters, 'letter')} of {counted(gone.messages, 'message')}"


def of_resumed(run: Run) -> str:
    """Return that a replay goes on."""
    return (
        f"going on with the replay of {_at(run.cursor.started)}, which was interrupted after "
        f"{counted(run.handled, 'message')}; --restart begins anew"
    )


@contextmanager
def progress(messages: int) -> Iterator[Callable[[int], None]]:
    """Yield what is to be told of every batch; on a terminal a bar shows it."""
    if not sys.stderr.isatty():
        click.echo(f"{counted(messages, 'message')} to replay", err=True)
        yield _nothing
        return
    with click.progressbar(length=messages, label="replayed", file=sys.stderr) as bar:
        yield bar.update


def shown(text: str) -> str:
    """Return a stranger's text as a terminal may show it: control characters are written out."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _nothing(_done: int) -> None:
    """Show nothing."""


def _state(letter: Letter) -> str:
    tries = "" if not letter.tries else f" after {counted(letter.tries, 'replay')}"
    if letter.resolved is None:
        return f"waiting{tries}"
    outcome = "" if letter.outcome is None else f" as {letter.outcome}"
    return f"{letter.state}{outcome} {_at(letter.resolved)}"


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%SZ}"
