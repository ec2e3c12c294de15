"""Secrets of a coordinator's stores and chain, and of a round under shares, stay in their files.

A real round: its database a PostgreSQL that asks for a password, its objects in a bucket, its
settlement on a chain whose contract is none. The bucket refuses some calls, so that what libraries
say of their errors is logged. Afterwards every secret is looked for in all that is left.
"""

import json
import secrets
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import pytest

from coordinator.rounds.state import Phase
from participant.keys import load_keys
from tests import s3
from tests.canary import files_below, hits
from tests.ports import own_port
from tests.postgres import Server
from tests.processes.federation import Federation, federation
from tests.processes.test_watched import change, raw_key
from veilsum.chain.wallet import make_key

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SITES = ("site-a", "site-b", "site-c")
SEATS = ("seat-1", "seat-2", "seat-3")
MARKED = "site-a"
SECRET_FILES = ("s3-access.key", "s3-secret.key", "chain.passphrase", "chain.json")


@dataclass
class Left:
    """What is secret, and everything that processes and stores have of it."""

    made: Federation
    secrets: dict[str, bytes]
    places: dict[str, bytes]
    own: dict[str, bytes]


@pytest.fixture(scope="module")
def left(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Server, s3_server: s3.Server
) -> Iterator[Left]:
    folder = tmp_path_factory.mktemp("stores")
    name, bucket, metrics = postgres_server.fresh(), s3_server.fresh_bucket(), own_port()
    database = postgres_server.url(name)
    with _chain() as rpc, federation(folder, SITES, seats=SEATS, database=database) as made:
        marked = _configure(made, postgres_server, name, s3_server.endpoint, bucket, metrics)
        change(made.places.coordinator / "coordinator.toml", settlement={"rpc": rpc})
        s3_server.fault = s3.refuse("403 Forbidden", "InvalidAccessKeyId", times=6, method="PUT")
        made.start()
        made.wait_for_phase(1, Phase.DONE)
        made.wait_for_log("coordinator", "will_retry", code="chain_unavailable")
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=5) as page:
            shown = page.read()
        _bundle(made, folder)
        made.family.stop()
        own = _own_files(made)
        places = {
            **_files(folder, own),
            **_rows(postgres_server, name),
            **_objects(s3_server, bucket),
            "metrics": shown,
        }
        yield Left(made, {**marked, **_keys(made)}, places, own)


@contextmanager
def _chain() -> Iterator[str]:
    """Give an endpoint of chain 1 at which there is no contract: the key is used, and it fails."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": "0x1"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=serving.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}"
    finally:
        serving.shutdown()
        serving.server_close()


def _configure(
    made: Federation, postgres: Server, name: str, endpoint: str, bucket: str, metrics: int
) -> dict[str, bytes]:
    """Write the coordinator's settings; return what is marked, by name."""
    home = made.places.coordinator
    marks = {file: f"mark{secrets.token_hex(16)}" for file in SECRET_FILES[:3]}
    for file, mark in marks.items():
        (home / file).touch(mode=0o600)
        (home / file).write_text(mark)
    key = make_key(home / "chain.json", marks["chain.passphrase"], work_factor=2)
    (home / "chain.json").chmod(0o600)
    change(
        home / "coordinator.toml",
        database=postgres.tcp_url(name),
        database_password=str(postgres.password),
        objects=f"s3://{bucket}/tiny",
        listen={"metrics": str(metrics)},
        s3={
            "endpoint": endpoint,
            "access_key": str(home / SECRET_FILES[0]),
            "secret_key": str(home / SECRET_FILES[1]),
        },
        settlement={
            "rpc": "",
            "chain_id": 1,
            "keystore": str(home / "chain.json"),
            "passphrase": str(home / "chain.passphrase"),
            "contract": key.address,
            "programme": "0x" + "ab" * 32,
            "escrow": "1000",
        },
    )
    dataset = {"site": "canary_site:CanarySite"}
    change(made.places.site(MARKED) / "site.toml", dataset=dataset)
    found = {file: mark.encode() for file, mark in marks.items()}
    return {
        **found,
        "key of the chain": bytes(key.key),
        "password of the database": postgres.password.read_bytes().strip(),
    }


def _keys(made: Federation) -> dict[str, bytes]:
    """The private keys of sites and seats, and the coordinator's own two."""
    found = {}
    for name in (*SITES, *SEATS):
        keys = load_keys(made.places.site(name) / "keys")
        found[f"{name} signing"] = keys.signing.private_bytes_raw()
        found[f"{name} sealing"] = keys.sealing.seed
        found[f"{name} TLS"] = raw_key(keys.tls_pem)
    for path in (made.places.coordinator / each for each in ("signing.key", "server.key")):
        found[path.name] = raw_key(path.read_bytes())
    return found


def _own_files(made: Federation) -> dict[str, bytes]:
    """The files in which secrets may be."""
    home = made.places.coordinator
    paths = [
        *(home / name for name in (*SECRET_FILES, "signing.key", "server.key")),
        *(p for n in (*SITES, *SEATS) for p in (made.places.site(n) / "keys").iterdir()),
        *made.places.root.rglob("*authority*"),
    ]
    return {str(path): path.read_bytes() for path in paths if path.is_file()}


def _bundle(made: Federation, folder: Path) -> None:
    home = made.places.coordinator
    command = [sys.executable, "-P", "-m", "veilsum", "doctor", "--json"]
    where = ("--config", str(home / "coordinator.toml"), "--bundle", str(folder / "bundle.tar"))
    log = ("--log", str(made.places.logs / "coordinator.log"))
    subprocess.run([*command, *where, *log], capture_output=True, timeout=90, check=False)


def _files(folder: Path, own: dict[str, bytes]) -> dict[str, bytes]:
    spared = [Path(each) for each in own]
    found = {str(p): p.read_bytes() for p in files_below(folder, [*spared, folder / "bundle.tar"])}
    with tarfile.open(folder / "bundle.tar") as bundle:
        for member in bundle.getmembers():
            body = bundle.extractfile(member)
            found[f"bundle: {member.name}"] = body.read() if body else b""
    return found


def _rows(postgres: Server, name: str) -> dict[str, bytes]:
    """Every row of every table, as text; bytes are hexadecimal there."""
    tables = postgres.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name)
    return {
        f"table {table}": "\n".join(
            str(row[0]) for row in postgres.run(f'SELECT t::text FROM "{table}" t', name)
        ).encode()
        for (table,) in tables
    }


def _objects(store: s3.Server, bucket: str) -> dict[str, bytes]:
    """Every object that the bucket still has."""
    found: dict[str, bytes] = {}
    token = ""
    while True:
        more = f"&continuation-token={urllib.parse.quote(token)}" if token else ""
        page = ElementTree.fromstring(store.ask("GET", f"{bucket}?list-type=2{more}"))
        for each in page.iter():
            if each.tag.endswith("}Key") and each.text:
                found[f"object {each.text}"] = _object(store, bucket, each.text)
            token = each.text or "" if each.tag.endswith("}NextContinuationToken") else token
        if not any(e.tag.endswith("}IsTruncated") and e.text == "true" for e in page.iter()):
            return found


def _object(store: s3.Server, bucket: str, name: str) -> bytes:
    asked = urllib.request.Request(f"{store.endpoint}/{bucket}/{urllib.parse.quote(name)}")
    asked.add_header("Authorization", "AWS test:test")  # who shows none is not let in
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return bytes(answer.read())


def test_no_secret_of_stores_chain_or_members_is_anywhere_but_in_its_own_file(left: Left) -> None:
    """Logs, the bundle, metrics, rows, objects and the folders of every member."""
    kinds = {each.split(" ")[0] for each in left.places if not each.startswith("/")}

    assert kinds == {"bundle:", "table", "object", "metrics"}
    assert len(left.secrets) >= 5 + 18 + 2
    assert hits(left.secrets, left.places) == []


def test_the_round_was_one_under_shares_and_what_went_wrong_was_logged(left: Left) -> None:
    """Else there was nothing to leak: a bucket that refuses, a chain that is away."""
    logged = (left.made.places.logs / "coordinator.log").read_bytes()

    assert left.made.round(1) is not None
    assert {f"{name}.log" for name in (*SITES, *SEATS)} <= {Path(e).name for e in left.places}
    assert b"chain_unavailable" in logged
    assert b"store_unavailable" in logged
    assert any(b"will_retry" in body for name, body in left.places.items() if "bundle" in name)


def test_the_look_would_have_found_each_of_them(left: Left) -> None:
    """The positive control: planted in every form, and in the files where they are."""
    planted = {
        f"{name} {form}": b"before " + write(secret) + b" after"
        for name, secret in left.secrets.items()
        for form, write in (("raw", bytes), ("hex", lambda each: each.hex().encode()))
    }
    marked = {name: left.secrets[name] for name in SECRET_FILES[:3]}

    assert {name for name, _ in hits(left.secrets, planted)} == set(left.secrets)
    assert {name for name, _ in hits(marked, left.own)} == set(marked)
    assert hits({"a site's name": b"site-a, site-b"[:6] + b'"'}, left.places)
