"""`veilsum config show` says what a process would be set to, and who says so."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from privacy.configuration import NOT_SETTINGS, names_of
from tests.source_tree import ROOT
from veilsum.cli import app
from veilsum.cli.kinds import Kind, type_of

AUDITOR = """
federation = "wards"
participant = "audit-office"
state = "/srv/audit"

[coordinator]
address = "veilsum.example.org:8443"
authority = "/etc/authority.pem"
certificate = "/etc/certificate.pem"

[policy]
roster = "ROSTER"
schemes = ["ckks/1"]
smallest_cohort = 3
""".lstrip().replace("ROSTER", "ab" * 32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An auditor's file."""
    path = tmp_path / "auditor.toml"
    path.write_text(AUDITOR)
    return path


def show(file: Path, *words: str, **environment: str) -> Any:
    """Run `veilsum config show`."""
    return CliRunner().invoke(
        app, ["config", "show", "--config", str(file), *words], env=environment
    )


def test_each_value_is_printed_with_where_it_came_from(file: Path) -> None:
    """A line, a variable, a flag or nothing: what to change is the first thing to know."""
    shown = show(
        file, "--origin", "--set", "policy.smallest_cohort=5", VEILSUM_STATE="/srv/elsewhere"
    )

    lines = [line.split("  ") for line in shown.stdout.splitlines()]
    found = {line[0].strip(): line[-1].strip() for line in lines}
    assert found["policy.smallest_cohort = 5"] == "--set"
    assert found['state = "/srv/elsewhere"'] == "VEILSUM_STATE"
    assert found['coordinator.address = "veilsum.example.org:8443"'] == f"{file}:6"
    assert found["coordinator.alternatives = []"] == "default"


def test_without_origin_it_is_name_and_value_alone(file: Path) -> None:
    assert 'federation = "wards"' in show(file).stdout.splitlines()


def test_as_json_it_is_one_object(file: Path) -> None:
    """Origins are in it always: a program takes what it wants."""
    said = json.loads(show(file, "--json").stdout)

    assert (said["kind"], said["file"]) == ("auditor", str(file))
    assert said["settings"][0] == {
        "name": "federation",
        "value": "wards",
        "origin": {"kind": "file", "where": f"{file}:1"},
    }


def test_a_file_of_another_name_says_whose_it_is(file: Path) -> None:
    """Nothing in a file says so; guessing by its keys would guess wrong when one is missing."""
    other = file.rename(file.with_name("ours.toml"))

    assert "--kind" in json.loads(show(other, "--json").stdout)["message"]
    assert show(other, "--kind", "auditor").exit_code == 0


def test_a_file_that_would_be_refused_is_refused_here(file: Path) -> None:
    """Before the night in which the service is started again."""
    file.write_text(AUDITOR.replace("smallest_cohort", "smallest_chort"))

    ended = show(file, "--json")

    assert "the nearest is policy.smallest_cohort" in json.loads(ended.stdout)["message"]
    assert ended.exit_code == 2


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_file_can_be_shown_and_stands_on_the_page(kind: Kind) -> None:
    """What its settings mean is docs/configuration.md's to say; each file has a part of it."""
    page = (ROOT / "docs" / "configuration.md").read_text()

    assert names_of(type_of(kind))
    assert f"\n## {kind}.toml\n" in page


def test_no_test_sets_a_variable_that_a_process_would_refuse() -> None:
    """Every process that tests start inherits them; a name of ours that is no setting ends it."""
    texts = [path.read_text() for path in sorted((ROOT / "tests").rglob("*.py"))]
    texts.append((ROOT / ".ci" / "run").read_text())

    set_here = {name for text in texts for name in re.findall(r"export (VEILSUM_[A-Z_]+)=", text)}
    set_here |= {
        name for text in texts for name in re.findall(r'setenv\("(VEILSUM_[A-Z_]+)"', text)
    }

    assert set_here <= NOT_SETTINGS


def test_a_password_in_an_address_is_not_printed() -> None:
    """A process would refuse it; what is pasted into a ticket is read by many."""
    file = ROOT / "deploy" / "kubernetes" / "overlays" / "one" / "coordinator.toml"

    for words in ((), ("--json",), ("--origin",)):
        shown = show(file, "--set", "database=postgresql://me:hunter2@host/name", *words)

        assert shown.exit_code == 0, shown.output
        assert "hunter2" not in shown.output
        assert "postgresql://me:***@host/name" in shown.output
