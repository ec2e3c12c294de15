"""The pages on deployment and on the network say what the files and the measurements say."""

import re
import shlex

import pytest
import typer.main
import yaml

import veilsum.cli
from tests.deploy.files import DEPLOY, MANIFESTS, composed, containers, documents
from tests.source_tree import ROOT

DEPLOYMENT = (ROOT / "docs" / "deployment.md").read_text()
NETWORK = (ROOT / "docs" / "network.md").read_text()
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text()
PARTICIPANTS, LINE_MBIT, MODEL_BYTES = 8, 20, 8


def typed():
    """Every line of the page that ends in a command of ours: its words after `veilsum`."""
    blocks = re.findall(r"```sh\n(.*?)```", DEPLOYMENT, flags=re.DOTALL)
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        if words[:4] == ["docker", "compose", "run", "--rm"]:
            assert words[4] in composed()["services"]
            yield tuple(words[5:])
        for start in (["coordinator", "veilsum"], ["/opt/veilsum/bin/veilsum"]):
            yield from (
                tuple(words[at + len(start) :])
                for at in range(len(words))
                if words[at : at + len(start)] == start
            )


@pytest.mark.parametrize("words", list(typed()), ids=" ".join)
def test_commands_of_the_page_exist(words) -> None:
    """With their options, as somebody would type them."""
    command, rest = typer.main.get_command(veilsum.cli.app), list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]

    made = command.make_context(command.name, rest)

    assert made.command is command


def test_the_page_has_commands() -> None:
    """The test above would pass on a page that has none."""
    assert {words[1] for words in typed() if words[1:]} >= {
        *("init", "invite", "join", "approve", "found", "confirm"),
    }


def test_every_alarm_is_on_the_page() -> None:
    """Who is woken by one looks there what it means."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / "veilsum.rules.yaml").read_text())["groups"]
    alarms = [rule["alert"] for group in groups for rule in group["rules"]]

    assert re.findall(r"^\| `(Veilsum[A-Za-z]+)`", DEPLOYMENT, flags=re.MULTILINE) == alarms


def test_what_is_handed_to_a_cluster_is_what_its_settings_read() -> None:
    """A file that is missing there ends the first start."""
    text = (DEPLOY / "kubernetes" / "overlays" / "one" / "coordinator.toml").read_text()
    handed = {each.rpartition("/")[2] for each in re.findall(r"--from-file=(\S+)", DEPLOYMENT)}

    assert set(re.findall(r"/run/veilsum/([a-z0-9.-]+)", text)) == handed


def test_the_ports_of_the_page_are_those_that_are_open() -> None:
    """What a firewall lets through is what the deployments answer at."""
    inwards = set(re.findall(r"^\| in[^|]*\| TCP (\d+)", NETWORK, flags=re.MULTILINE))
    in_cluster = {
        str(port["containerPort"])
        for manifest in MANIFESTS
        for document in documents(manifest)
        for container in containers(document)
        for port in container.get("ports", ())
    }
    published = {each.partition(":")[0] for each in composed()["services"]["coordinator"]["ports"]}

    assert inwards == in_cluster
    assert published < inwards


def measured(heading, row):
    """A figure of the first table below a heading of the page on performance."""
    table = PERFORMANCE.partition(heading)[2]
    (figure,) = re.findall(rf"^\| {row} \| ([0-9.]+)", table, flags=re.MULTILINE)[:1]
    return float(figure)


def sizes():
    """The rows of the table of sizes: parameters, scheme, and the four figures."""
    rows = re.findall(
        r"^\| ([0-9,]+) \| `(ckks|shares)`[^|]*\| ([^|]+) \| ([^|]+) \| ([^|]+) s \| ([^|]+) \|$",
        NETWORK,
        flags=re.MULTILINE,
    )
    return [tuple(each.replace(",", "").strip() for each in row) for row in rows]


@pytest.mark.parametrize("row", sizes(), ids=lambda row: f"{row[0]}-{row[1]}")
def test_sizes_are_computed_from_what_was_measured(row) -> None:
    """Whoever plans a line by this page plans by the measurements."""
    heading = f"--scheme {row[1]} --parameters 1000000 --participants {PARTICIPANTS}"
    up = measured(heading, "bytes per parameter, up")
    down = measured(heading, "bytes per parameter, down")
    millions = int(row[0]) / 1e6

    figures = [float(each) for each in row[2:]]

    assert figures[0] == pytest.approx(millions * up, abs=0.06)
    assert figures[1] == pytest.approx(millions * MODEL_BYTES, abs=0.06)
    assert figures[2] == pytest.approx(millions * up * 8 / LINE_MBIT, abs=0.06)
    assert figures[3] == pytest.approx(millions * (PARTICIPANTS * up + down), abs=0.06)


def test_there_are_sizes() -> None:
    """The test above would pass on a page that has none."""
    assert len(sizes()) == 5


def test_memory_is_what_was_measured() -> None:
    """The tables of both pages hold these figures too."""
    robustness = (ROOT / "docs" / "robustness.md").read_text()
    stated = re.search(r"8 sites under ckks.*?peak memory, MiB: ([^.]*)\.", PERFORMANCE)
    seat = re.search(r"8 sites under shares.*?seat (\d+)", PERFORMANCE)
    assert stated
    assert seat
    peaks = dict(each.rsplit(" ", 1) for each in stated[1].split(", "))

    for name in ("coordinator", "auditor"):
        assert re.search(rf"^\| {name} \| 8 sites, 11.*\| {peaks[name]} \|", NETWORK, re.MULTILINE)
    said = "{agent} for the agent, {worker} for the worker, {encryptor} for each encryptor"
    assert said.format(**peaks) in NETWORK
    assert re.search(rf"^\| seat .*\| {seat[1]} \|", NETWORK, re.MULTILINE)
    for sites in ("100 sites, 256 MiB", "8 sites, 1,024 MiB"):
        peak = re.search(rf"{sites} each \| (\d+) MiB \| (\d+) MiB", robustness)
        assert peak
        assert f"{sites} each | {peak[1]}, and {peak[2]} for each worker" in NETWORK
