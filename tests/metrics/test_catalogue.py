"""Names of metrics are a contract with dashboards: base units, our prefix, documented."""

import re
from pathlib import Path

import pytest

from veilsum.metrics.catalogue import ALL, Kind

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
PUBLIC = {
    *("release", "subject", "reason", "federation", "state", "site", "scheme", "method"),
    *("dataset", "view", "line", "task", "outcome"),
}


def test_the_page_says_what_the_catalogue_says():
    """Each metric once, in the same words."""
    table = PAGE.split("<!-- metrics -->")[1].split("<!-- end of metrics -->")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]

    assert rows == [
        f"| `{m.name}` | {m.kind} | {m.side} | {', '.join(f'`{x}`' for x in m.labels)} | {m.says} |"
        for m in ALL
    ]


def test_the_page_names_no_other_metric():
    """An alert on a name that is not there never rings."""
    named = set(re.findall(r"\bveilsum_[a-z_]+", PAGE))

    assert named == {m.name for m in ALL}


@pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
def test_a_name_says_its_kind_and_its_unit(metric):
    """As Prometheus' own naming has it."""
    assert re.fullmatch(r"veilsum(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert not re.search(r"(milli|micro|kilo|mega|mebi|minute|hour|percent)", metric.name)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert metric.buckets == tuple(sorted(metric.buckets))


@pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
def test_labels_are_public_names(metric):
    """A label that could name a patient, or hold a secret, is not among those known here."""
    assert set(metric.labels) <= PUBLIC
