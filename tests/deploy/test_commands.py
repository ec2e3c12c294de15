"""Whatever a file below deploy/ starts or sets, is there."""

import os

import pytest
import typer.main

import coordinator.config
import participant.auditing.config
import participant.config
import participant.seat.config
import veilsum.cli
from privacy.configuration import PREFIX, names_of
from tests.deploy.files import MANIFESTS, commands, containers, documents, our_services
from tests.source_tree import ROOT

COMMANDS = dict(commands())
KINDS = {
    "coordinator": coordinator.config.Settings,
    "participant": participant.config.SiteConfig,
    "auditor": participant.auditing.config.AuditorConfig,
    "aggregator": participant.seat.config.AggregatorConfig,
}
ASSIGNED = [
    (kind, word.removeprefix("--set=").partition("=")[0])
    for kind, *rest in COMMANDS.values()
    for word in rest
    if word.startswith("--set=")
]


def variables() -> set[str]:
    """The names of all variables that deployments of ours set for processes of ours."""
    found = {name for service in our_services().values() for name in service.get("environment", {})}
    for manifest in MANIFESTS:
        for document in documents(manifest):
            for container in containers(document):
                found |= {each["name"] for each in container.get("env", [])}
    return found


@pytest.mark.parametrize("where", COMMANDS)
def test_every_command_that_is_started_exists(where) -> None:
    """With its options: a word that the command line does not know ends a container at once."""
    command, rest = typer.main.get_command(veilsum.cli.app), list(COMMANDS[where])
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]

    made = command.make_context(command.name, rest)

    assert made.params["config"].is_absolute()


@pytest.mark.parametrize(("kind", "name"), ASSIGNED)
def test_what_is_set_beside_the_file_is_a_setting(kind, name) -> None:
    """What names no setting is refused at the start."""
    assert name in names_of(KINDS[kind])


def test_no_variable_looks_like_a_setting() -> None:
    """The operator's commands run beside the process, and would refuse its settings."""
    assert variables() == {"COHORT_CSV", "POD_NAME", "PYTHONPATH"}
    assert not [name for name in variables() if name.startswith(PREFIX)]


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").glob("**/*.toml")), ids=str)
def test_every_file_of_settings_can_be_read(path) -> None:
    """As the process reads it, with an unknown key refused."""
    settings = coordinator.config.read(path)

    assert settings.listen.health
    assert settings.listen.joining


def test_an_example_of_a_class_is_given_data_by_a_name_that_is_no_setting() -> None:
    """A variable that begins like a setting, and is none, would stop the site."""
    services = our_services()
    set_for_sites = set(services["site-a"]["environment"])

    read = (ROOT / "examples" / "csv_site.py").read_text()

    assert [name for name in set_for_sites if f'environ["{name}"]' in read] == ["COHORT_CSV"]
    assert PREFIX not in read
    assert os.environ.get("COHORT_CSV") is None
