"""What the compose file and the units start, started here without a container: one round each.

The words and the variables are read from those files. What differs is where things are: addresses
and paths of a machine of one's own, in a table.
"""

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.rounds.state import Phase
from tests.deploy.files import DEPLOY, OURS, our_services, started_by, words
from tests.ports import own_port
from tests.processes.alive import MARK
from tests.processes.federation import SITES, federation
from tests.source_tree import ROOT
from veilsum.federation.children import children

COORDINATOR, SITE = "/var/lib/veilsum/coordinator", "/var/lib/veilsum/participant"

pytestmark = pytest.mark.slow


def placed(text, places):
    """Return a text with the places of this test in it; the longest name first."""
    for name in sorted(places, key=len, reverse=True):
        text = text.replace(name, places[name])
    return text


def home(made, name):
    """Where the state of a service is in its container, and where it is here."""
    if name.startswith("site-"):
        return {SITE: str(made.places.site(name))}
    return {COORDINATOR: str(made.places.coordinator)}


def stores(postgres_server, postgres_url, s3_address, s3_access):
    """Where database and objects are in the containers, and where they are here."""
    return {
        "postgresql://veilsum@/veilsum?host=/run/postgresql": postgres_url,
        "/secrets/database.password": str(postgres_server.password),
        "s3://veilsum/federation": s3_address,
        "https://objects:7070": s3_access.endpoint,
        "/secrets/s3-access.key": str(s3_access.access_key),
        "/secrets/s3-secret.key": str(s3_access.secret_key),
    }


def entry(service):
    """What the service's image starts: the command of this project, as a module of it."""
    image = DEPLOY / "images" / f"{OURS[our_services()[service]['image']]}.Dockerfile"
    assert words(image, "ENTRYPOINT") == ["veilsum"]
    return "veilsum"


def environment(made, places, service):
    """What compose gives to a service, and what tells its processes from others'."""
    given = our_services()[service].get("environment", {})
    return {name: placed(text, places) for name, text in given.items()} | {MARK: made.mark}


def healthy(address, *service):
    """Ask as the image's health check does; return what is said."""
    asked = words(DEPLOY / "images" / "coordinator.Dockerfile", "HEALTHCHECK")
    assert asked[:3] == ["python", "-m", "veilsum.health"]
    command = [sys.executable, *asked[1:3], address, *service]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def test_what_compose_starts_ends_a_round(
    tmp_path, postgres_server, postgres_url, s3_server, s3_address, s3_access
):
    """A coordinator over PostgreSQL and a bucket, and three sites, by the words of the file."""
    health = f"127.0.0.1:{own_port()}"
    with federation(tmp_path, database=postgres_url, wanted=1) as made:
        places = {
            **stores(postgres_server, postgres_url, s3_address, s3_access),
            "/secrets/objects.pem": str(made.places.coordinator / "authority.pem"),
            "127.0.0.1:8081": health,
            "/opt/site": str(SITES),
        }
        for name, service in our_services().items():
            here = places | home(made, name)
            command = [entry(name), *(placed(word, here) for word in service["command"])]
            made.family.start(name, command, environment(made, here, name))

        made.wait_for("health", lambda: healthy(health, "readiness") == "SERVING")
        made.wait_for_phase(1, Phase.DONE)

        assert healthy(health) == "SERVING"
        assert sorted(made.cohort(1)) == ["site-a", "site-b", "site-c"]
        assert any(s3_address.split("/")[2] in line for line in s3_server.requests)
        assert not (made.places.coordinator / "objects").exists()
        assert not (made.places.coordinator / "coordinator.sqlite").exists()


def test_what_the_units_start_ends_a_round(tmp_path):
    """The coordinator as confined as its unit makes it, in memory that is never executed."""
    units = DEPLOY / "systemd"
    with federation(tmp_path, wanted=1) as made:
        start_unit(made, "coordinator", units / "veilsum-coordinator.service", confined=True)
        for site in made.sites:
            start_unit(made, site, units / "veilsum-participant.service")

        made.wait_for_phase(1, Phase.DONE)

        assert sorted(made.cohort(1)) == ["site-a", "site-b", "site-c"]
        assert (made.places.coordinator / "coordinator.sqlite").exists()


def start_unit(made, name, unit: Path, *, confined=False):
    """Start what a unit starts, from the folder of its state."""
    command = [placed(word, home(made, name)) for word in started_by(unit)]
    before = ["tests.deploy.confined"] if confined else []
    made.family.start(name, [*before, *command], {MARK: made.mark, "PYTHONPATH": str(SITES)})


def begin(places):
    """Run the first command of the page on deployment, with the places of this test in it."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    (line,) = re.findall(r"^docker compose run --rm coordinator (coordinator init .*)$", page, re.M)
    words = [placed(word, places) for word in shlex.split(line)]
    subprocess.run([sys.executable, "-m", "veilsum", *words], check=True, timeout=60)


def test_what_the_page_says_first_begins_a_federation_that_compose_serves(
    tmp_path, postgres_server, postgres_url, s3_server, s3_address, s3_access
):
    """`init` as it is typed there; then the words of the file, at the port that strangers see."""
    health, joining = f"127.0.0.1:{own_port()}", f"127.0.0.1:{own_port()}"
    places = {
        **stores(postgres_server, postgres_url, s3_address, s3_access),
        COORDINATOR: str(tmp_path / "coordinator"),
        "/secrets/objects.pem": str(tmp_path / "coordinator" / "trusted.pem"),
        "127.0.0.1:8081": health,
        "coordinator:8443": f"coordinator:{own_port()}",
    }

    begin(places)
    with children(tmp_path / "logs") as family:
        command = [placed(word, places) for word in our_services()["coordinator"]["command"]]
        moved = [f"--set=listen.joining={joining}"]
        family.start("coordinator", ["veilsum", *command, *moved], {})
        family.wait_for("health", lambda: healthy(health, "readiness") == "SERVING", 30)
        with socket.create_connection(joining.split(":"), timeout=5):
            family.check()
