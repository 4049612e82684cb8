"""A dashboard of rows of panels, with what all dashboards share, and its JSON.

Uids and numbers of panels are stable, so links to them live on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
)

from ingress_testbed.observability.panels import SOURCE, Panel

TAG = "telematics-ingress"
_RANGE = "now-30m"
_REFRESH = "10s"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a headline."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Composition:
    """A dashboard. Its uid never changes; `words` say what question it answers."""

    uid: str
    title: str
    words: str
    rows: Sequence[Row]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.uid}.json"

    def render(self) -> str:
        """Return its JSON, as Grafana provisions it; equal dashboards give equal texts."""
        made = json.dumps(
            self._build().build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False
        )
        return made + "\n"

    def _build(self) -> dashboard.Dashboard:
        board = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.words)
            .tags([TAG])
            .readonly()
            .timezone("browser")
            .time(_RANGE, "now")
            .refresh(_REFRESH)
            .tooltip(DashboardCursorSync.CROSSHAIR)
            .with_variable(_source())
            .annotation(_alerts())
            .link(_others())
        )
        number = 0
        for row in self.rows:
            number += 1
            board.with_row(dashboard.Row(row.title).id(number))
            for panel in row.panels:
                number += 1
                board.with_panel(panel.id(number))
        return board


def _source() -> dashboard.DatasourceVariable:
    return (
        dashboard.DatasourceVariable("source")
        .label("Prometheus")
        .type("prometheus")
        .current(VariableOption(text="Prometheus", value="prometheus"))
    )


def _alerts() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .expr('ALERTS{alertstate="firing"}')
    )


def _others() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .keep_time(True)
    )
