"""Alarms and the dashboard: they ask for metrics that there are, by labels that those have."""

import json
import re
import subprocess

import pytest
import yaml

from tests.deploy.files import DEPLOY, metric_names
from tests.missing_tools import require_tool
from veilsum.metrics.catalogue import ALL

RULES = DEPLOY / "prometheus" / "veilsum.rules.yaml"
DASHBOARD = DEPLOY / "grafana" / "veilsum.json"
METRICS = {metric.name: metric for metric in ALL}
OF_PROMETHEUS = {"job", "instance", "le"}


def alarms():
    """Every alarm, by its name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def asked():
    """Every expression that a panel shows, with the legend beside it."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [
        (f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"])
        for panel in panels
        for target in panel.get("targets", ())
    ]


def labels_of(expression):
    """The labels that the metrics of an expression have, and those that Prometheus adds."""
    named = [METRICS[name] for name in metric_names(expression)]
    return OF_PROMETHEUS.union(*(metric.labels for metric in named))


def labels_in(expression):
    """The labels by which an expression groups, and those that it selects by."""
    grouped = re.findall(r"by \(([^)]*)\)", expression)
    selected = re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"", expression)
    return {word.strip() for words in grouped for word in words.split(",")} | set(selected)


@pytest.mark.parametrize("name", alarms())
def test_an_alarm_asks_for_metrics_that_there_are(name) -> None:
    """A name that nothing has is an alarm that never rings."""
    expression = alarms()[name]["expr"]

    assert metric_names(expression)
    assert metric_names(expression) <= METRICS.keys()


@pytest.mark.parametrize("name", alarms())
def test_an_alarm_uses_labels_that_there_are(name) -> None:
    """In what it asks and in what it says."""
    rule = alarms()[name]
    said = set(re.findall(r"\$labels\.([a-z_]+)", json.dumps(rule["annotations"])))

    assert labels_in(rule["expr"]) | said <= labels_of(rule["expr"])
    assert rule["labels"]["severity"] in {"warning", "critical"}


@pytest.mark.parametrize(("where", "expression", "legend"), asked())
def test_a_panel_asks_for_metrics_and_labels_that_there_are(where, expression, legend) -> None:
    """Otherwise it stays empty, and looks as if all were well."""
    said = set(re.findall(r"{{([a-z_]+)}}", legend))

    assert metric_names(expression)
    assert metric_names(expression) <= METRICS.keys()
    assert labels_in(expression) | said <= labels_of(expression)


def test_the_dashboard_shows_every_metric() -> None:
    """Whoever adds one decides where it is seen."""
    shown = {name for _, expression, _ in asked() for name in metric_names(expression)}

    assert shown >= METRICS.keys() - NOT_SHOWN


NOT_SHOWN = {"veilsum_scrub_passes_total", "veilsum_tasks_total"}
"""What there is nothing to see of, beside another panel."""


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    """Grafana draws one over the other, and says nothing."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.integration
@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "veilsum.rules.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", "veilsum.rules.test.yaml"),
    ],
    ids=" ".join,
)
def test_prometheus_agrees(words) -> None:
    """Its own tool: the syntax, and that alarms ring when they should and not before."""
    promtool = require_tool("promtool", "prometheus")

    done = subprocess.run(
        [promtool, *words], cwd=RULES.parent, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
