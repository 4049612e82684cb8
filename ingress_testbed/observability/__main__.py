"""The tools around dashboards and alerts; `python -m ingress_testbed.observability --help`."""

import asyncio
import tempfile
from pathlib import Path

import click
import httpx

from ingress_runtime import shutdown
from ingress_testbed.observability.boards import read_boards
from ingress_testbed.observability.linter import Material, findings
from ingress_testbed.observability.plots import draw
from ingress_testbed.observability.prometheus import Answers, Window, running_prometheus
from ingress_testbed.observability.rehearsal import rehearsed

ROOT = Path(__file__).parents[2]
BOARDS = ROOT / "ops" / "grafana" / "dashboards"
RULES = ROOT / "ops" / "prometheus" / "rules"

_ANYTHING = "ingress_build_info"
_OUT = click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The directory for the plots.",
)


@click.group()
def main() -> None:
    """Check dashboards and alerts, scrape a demo, and draw what a Prometheus has."""


@main.command()
def lint() -> None:
    """Hold dashboards, alerts, runbooks, documents and metrics against each other."""
    found = findings(Material.of(ROOT))
    for one in found:
        click.echo(one)
    if found:
        raise click.ClickException(f"{len(found)} findings")


@main.command()
@click.option(
    "--targets",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="What `ingress demo --scrape-file` writes.",
)
@click.option("--port", default=9090, show_default=True, type=click.IntRange(1, 65_535))
def prometheus(targets: Path, port: int) -> None:
    """Scrape every second what TARGETS tells of, with our rules, until Ctrl-C."""
    asyncio.run(_scrape(targets, port))


async def _scrape(targets: Path, port: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ingress-prometheus-") as name:
        async with (
            shutdown.on_signals() as stop,
            running_prometheus(Path(name), targets, RULES, port=port) as url,
        ):
            click.echo(f"{url} follows {targets}; Ctrl-C ends it")
            await stop.wait()


@main.command()
@click.option("--prometheus", "url", required=True, help="Its URL: http://127.0.0.1:9090.")
@click.option("--seconds", default=900.0, show_default=True, help="So far to look back, at most.")
@_OUT
def plots(url: str, seconds: float, out: Path) -> None:
    """Draw a page for each dashboard from what a Prometheus has scraped."""
    try:
        with Answers(url) as answers:
            window = answers.span(_ANYTHING, seconds)
            if window is None:
                raise click.ClickException(f"nothing of ours was scraped by {url}")
            _draw(answers, window, out)
    except httpx.HTTPError as error:
        raise click.ClickException(f"{url}: {error}") from error


@main.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--until",
    multiple=True,
    type=float,
    help="Draw also what there was so many seconds after the first scrape; may be repeated.",
)
@_OUT
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def rehearse(until: tuple[float, ...], out: Path, arguments: tuple[str, ...]) -> None:
    """Run `ingress demo` with ARGUMENTS under a Prometheus of its own, and draw the dashboards.

    Example: rehearse --out plots --until 25 -- --seconds 60 --outage hang
    """
    asyncio.run(_rehearse(until, out, arguments))


async def _rehearse(until: tuple[float, ...], out: Path, arguments: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="ingress-rehearsal-") as name:
        async with rehearsed(Path(name), RULES, *arguments) as run:
            await asyncio.to_thread(_draw_rehearsal, run.url, run.window, until, out)


def _draw_rehearsal(url: str, window: Window, until: tuple[float, ...], out: Path) -> None:
    with Answers(url) as answers:
        _draw(answers, window, out)
        for seconds in until:
            part = Window(window.start, min(window.end, window.start + seconds))
            _draw(answers, part, out / f"until-{seconds:g}s")


def _draw(answers: Answers, window: Window, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for board in read_boards(BOARDS):
        file = out / f"{board.uid}.png"
        draw(board, answers, window, file)
        click.echo(file)


if __name__ == "__main__":
    main()
