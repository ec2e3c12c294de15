"""The compose file: by its own schema, with nothing open that need not be."""

import json
import os
import re
import ssl
import stat
import subprocess
import sys
from importlib.resources import files

import jsonschema
import pytest

from tests.deploy.files import COMPOSE, composed, our_services
from veilsum.files import read_secret

PREPARE = COMPOSE.with_name("prepare.py")


@pytest.fixture
def schema():
    """The schema of compose files, as a package ships it."""
    vendored = files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json"
    return json.loads(vendored.read_text())


def test_it_is_what_compose_reads(schema) -> None:
    """An unknown key is refused by the schema."""
    whole = {key: value for key, value in composed().items() if not key.startswith("x-")}

    jsonschema.validate(whole, schema)


def test_the_schema_refuses_what_is_not_compose(schema) -> None:
    """A schema that takes anything says nothing about ours."""
    with pytest.raises(jsonschema.ValidationError, match="imagge"):
        jsonschema.validate({"services": {"a": {"imagge": "b"}}}, schema)


@pytest.mark.parametrize("name", our_services())
def test_ours_run_without_privileges_on_a_root_that_is_read_only(name) -> None:
    """Whoever breaks into one finds nothing that can be written, and no way up."""
    service = our_services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "65532:65532"


@pytest.mark.parametrize("name", composed()["services"])
def test_nothing_is_privileged(name) -> None:
    """Nor shares the machine's namespaces, nor its engine's socket."""
    service = composed()["services"][name]

    assert not service.keys() & {"privileged", "pid", "ipc", "devices"}
    assert service.get("network_mode") in (None, "none")
    assert not [each for each in service.get("volumes", ()) if "docker.sock" in each]
    assert "no-new-privileges:true" in service["security_opt"]


def test_two_ports_are_open_and_both_are_the_coordinators() -> None:
    """The database, the store, the chain and the sites are reached by nobody outside."""
    opened = {
        name: service["ports"]
        for name, service in composed()["services"].items()
        if "ports" in service
    }

    assert opened == {"coordinator": ["8443:8443", "8444:8444"]}


def test_sites_never_meet() -> None:
    """What a site can reach is the coordinator; what holds data reaches no site."""
    services = composed()["services"]
    networks = {name: set(service.get("networks", ())) for name, service in services.items()}
    sites = [name for name in services if name.startswith("site-")]

    assert len(sites) == 3
    for site in sites:
        assert [name for name in services if networks[name] & networks[site]] in (
            ["coordinator", site],
        )


def test_a_failure_is_not_repeated_for_ever() -> None:
    """An engine cannot tell a broken promise (status 70) from other failures."""
    assert {service["restart"] for service in our_services().values()} == {"on-failure:5"}


def test_all_that_is_mounted_by_name_is_declared() -> None:
    """A misspelt volume is an empty one."""
    whole = composed()
    named = {
        volume.partition(":")[0]
        for service in whole["services"].values()
        for volume in service.get("volumes", ())
    }

    assert {name for name in named if not name.startswith(".")} == set(whole["volumes"])


def prepare(home):
    """Run the first step as this account, for this account."""
    me = str(os.getuid())
    return subprocess.run(
        [sys.executable, "-I", PREPARE, home, me, me, me],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_secrets_are_made_once_and_read_by_their_owner_alone(tmp_path) -> None:
    """Run again, it changes nothing: the database would no longer know the password."""
    first = prepare(tmp_path)
    made = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    again = prepare(tmp_path)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert {path: path.read_text() for path in made} == made
    assert all(read_secret(path) for path in made)
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert (tmp_path / "bucket" / "veilsum").is_dir()


def test_what_two_sides_must_agree_on_is_the_same_for_both(tmp_path) -> None:
    """The coordinator's copy of a password, of keys and of a certificate."""
    prepare(tmp_path)
    ours, store = tmp_path / "coordinator", tmp_path / "objects"

    text = (store / "environment").read_text()

    assert (ours / "database.password").read_text() == (tmp_path / "database/password").read_text()
    assert f"ROOT_ACCESS_KEY={(ours / 's3-access.key').read_text()}" in text
    assert f"ROOT_SECRET_KEY={(ours / 's3-secret.key').read_text()}" in text
    assert (ours / "objects.pem").read_text() == (store / "certificate.pem").read_text()


def test_half_of_the_secrets_is_refused(tmp_path) -> None:
    """Two of them that are not of one making would fail later, and less plainly."""
    prepare(tmp_path)
    (tmp_path / "database" / "password").unlink()

    done = prepare(tmp_path)

    assert done.returncode == 1
    assert "some of its files are missing" in done.stderr


def test_the_stores_certificate_is_for_the_name_it_is_reached_by(tmp_path) -> None:
    """A client that trusts it, and nothing else, shakes hands under that name."""
    prepare(tmp_path)
    objects = tmp_path / "objects"
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(objects / "certificate.pem", objects / "certificate.key")
    trusting = ssl.create_default_context(cafile=tmp_path / "coordinator" / "objects.pem")
    (name,) = re.findall(r"--set=s3.endpoint=https://([a-z]+):", COMPOSE.read_text())

    agreed = shake_hands(serving, trusting, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(serving, trusting, "elsewhere")

    assert agreed == "TLSv1.3"


def shake_hands(serving, trusting, name):
    """Let both sides talk in memory until they agree; return the version."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.version()
