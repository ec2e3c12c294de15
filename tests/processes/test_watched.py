"""Rounds with everything on that tells of it: logs, metrics, traces; and what none of them tells.

Two real rounds, with metrics of every process fetched while it runs, traces to a collector of the
test, and afterwards a look for every secret in all that is left.
"""

import base64
import re
import struct
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomlkit
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from prometheus_client.parser import text_string_to_metric_families

from participant.keys import load_keys
from tests.canary import files_below, hits
from tests.ports import own_port
from tests.processes.federation import SITES as SITE_CODE
from tests.processes.federation import Federation, federation
from tests.traces.test_tracing import Collector, collecting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SITES = ("site-a", "site-b", "site-c")
MARKED = "site-a"
TOLD_BY_A_SITE = (
    "veilsum_privacy_epsilon_spent",
    'veilsum_tasks_total{outcome="done",task="Contribute"}',
)


@dataclass
class Seen:
    """What the rounds left: the federation, the metrics of each process, the collector."""

    made: Federation
    metrics: dict[str, str]
    collector: Collector
    core_limits: dict[str, str]

    def value(self, who: str, name: str, **labels: str) -> float:
        """Return a metric's number."""
        families = text_string_to_metric_families(self.metrics[who])
        samples = [s for f in families for s in f.samples if s.name == name]
        return next(s.value for s in samples if labels.items() <= s.labels.items())


def change(path: Path, **tables: object) -> None:
    """Write settings into a file."""
    document = tomlkit.parse(path.read_text()).unwrap()
    for name, value in tables.items():
        held = document.get(name)
        document[name] = {**held, **value} if isinstance(held, dict) else value
    path.write_text(tomlkit.dumps(document))


def fetched(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("watched")
    ports = {name: own_port() for name in ("coordinator", *SITES)}
    with collecting() as (collector, where), federation(folder, SITES, wanted=2) as made:
        telemetry = {"endpoint": where.endpoint}
        listen = {"metrics": str(ports["coordinator"])}
        change(made.places.coordinator / "coordinator.toml", listen=listen, telemetry=telemetry)
        for name in SITES:
            file = made.places.site(name) / "site.toml"
            change(file, metrics=str(ports[name]), telemetry=telemetry)
        dataset = {"site": "canary_site:CanarySite"}
        change(made.places.site(MARKED) / "site.toml", dataset=dataset)
        made.start_coordinator()
        for name in SITES:
            made.start_site(name, witnessed=False)
        metrics: dict[str, str] = {}
        made.wait_for_committed(1, *SITES)
        limits = {name: _core_limit(made.pid(name)) for name in ("coordinator", *SITES)}
        deadline = time.monotonic() + 60
        while any(name in made.family.running for name in SITES) and time.monotonic() < deadline:
            for name in list(ports):
                # It may end meanwhile, its ledger before its door; in the second round a page
                # with all that it counts in the first is there to fetch.
                with suppress(OSError):
                    page = fetched(ports[name])
                    if name not in SITES or all(each in page for each in TOLD_BY_A_SITE):
                        metrics[name] = page
            if all(map(made.family.has_ended, SITES)):
                break
            time.sleep(0.1)
        metrics["coordinator"] = fetched(ports["coordinator"])
        made.family.stop()
        yield Seen(made, metrics, collector, limits)


def _core_limit(pid: int) -> str:
    limits = Path(f"/proc/{pid}/limits").read_text()
    found = re.search(r"^Max core file size\s+(\S+)\s+(\S+)", limits, re.MULTILINE)
    assert found
    return f"{found[1]} {found[2]}"


# -- what it tells -----------------------------------------------------------------------------


def test_the_coordinator_counts_a_round(seen: Seen) -> None:
    """States, bytes, times, callers: each under its documented name."""
    who = "coordinator"

    assert seen.value(who, "veilsum_round_state", state="done", federation="tiny") == 2
    assert seen.value(who, "veilsum_round_duration_seconds_count", state="done") == 2
    for site in SITES:
        assert seen.value(who, "veilsum_upload_received_bytes_total", site=site) > 100_000
        assert (
            time.time()
            - seen.value(who, "veilsum_participant_last_seen_timestamp_seconds", site=site)
            < 240
        )
    assert seen.value(who, "veilsum_chunk_commit_seconds_count") == 18
    assert seen.value(who, "veilsum_fold_bytes_total", scheme="ckks/1") > 300_000
    assert seen.value(who, "veilsum_fold_lag_chunks") == 0
    assert seen.value(who, "veilsum_upload_inflight_bytes") == 0
    assert seen.value(who, "veilsum_leading") == 1
    assert seen.value(who, "veilsum_scrub_damaged_objects") == 0


@pytest.mark.parametrize("who", ["coordinator", *SITES])
def test_every_process_says_when_its_certificate_ends(seen: Seen, who: str) -> None:
    """Whose renewal fails is known before it is too late."""
    ends = seen.value(who, "veilsum_certificate_expiry_timestamp_seconds", subject=who)

    assert ends > time.time()


@pytest.mark.parametrize("name", SITES)
def test_a_site_counts_what_it_spends_and_sends(seen: Seen, name: str) -> None:
    """The ledger's numbers, towards both views, and the bytes that left."""
    dataset = f"tiny-{name}"
    spent = seen.value(name, "veilsum_privacy_epsilon_spent", dataset=dataset, view="sums")

    assert 0 < spent < 3
    assert seen.value(name, "veilsum_privacy_epsilon_budget", dataset=dataset, view="vector") == 8
    assert seen.value(name, "veilsum_sent_bytes_total") > 100_000
    assert seen.value(name, "veilsum_tasks_total", task="Contribute", outcome="done") >= 1


def test_spans_name_calls_phases_and_tasks(seen: Seen) -> None:
    """Of the coordinator and of the sites, from real processes to a collector."""
    names = {span.name for span in seen.collector.spans}

    assert "veilsum.v1.ContributionService/PutChunks" in names
    assert {"round open", "round opening", "task Contribute", "task Open"} <= names


# -- what it does not --------------------------------------------------------------------------


def secrets_of(made: Federation) -> dict[str, bytes]:
    """Every private key of the federation, as its file has it and as raw bytes, and the data."""
    found: dict[str, bytes] = {}
    key_files = [
        *made.places.root.rglob("*.key"),
        *(path for name in SITES for path in (made.places.site(name) / "keys").iterdir()),
    ]
    for path in key_files:
        if b"PRIVATE KEY" in path.read_bytes():
            found[f"{path.parent}/{path.name}"] = raw_key(path.read_bytes())
    for name in SITES:
        keys = load_keys(made.places.site(name) / "keys")
        found[f"{name} signing"] = keys.signing.private_bytes_raw()
    for at, mark in enumerate((0.6180339887498949, -0.5772156649015329, 0.915965594177219)):
        found[f"patient {at} as float64"] = struct.pack("<d", mark)
        found[f"patient {at}, two as float32"] = struct.pack("<f", mark) * 2
        found[f"patient {at} in words"] = f"{abs(mark):.8f}".encode()
    return found


def raw_key(pem: bytes) -> bytes:
    """Return the secret part of a key: its scalar, or its seed."""
    key = load_pem_private_key(pem, None)
    if isinstance(key, Ed25519PrivateKey):
        return key.private_bytes_raw()
    assert isinstance(key, EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32, "big")


def places_of(seen: Seen) -> dict[str, bytes]:
    """All that a round leaves where others than the keys' owner may look."""
    made = seen.made
    keys = [made.places.site(name) / "keys" for name in SITES]
    ours = list(made.places.root.rglob("*.key"))
    authority = list(made.places.root.rglob("*authority*"))
    found = {
        str(path): path.read_bytes()
        for path in files_below(made.places.root, [*keys, *ours, *authority])
    }
    found |= {f"metrics of {name}": text.encode() for name, text in seen.metrics.items()}
    found["traces"] = b"".join(seen.collector.bodies)
    return found


def test_no_secret_is_anywhere_but_in_its_own_file(seen: Seen) -> None:
    """Keys of all members and the data: in logs, metrics, traces, databases, state folders."""
    secrets, places = secrets_of(seen.made), places_of(seen)

    assert len(secrets) >= 15
    assert any("coordinator.sqlite" in place for place in places)
    assert {f"{name}.log" for name in SITES} <= {Path(place).name for place in places}
    assert hits(secrets, places) == []


def test_the_look_would_have_found_them(seen: Seen) -> None:
    """The positive control: each secret, written where logs, rows and metrics are written."""
    secrets = secrets_of(seen.made)
    planted = {
        f"{name} {form}": b"before " + write(secret) + b" after"
        for name, secret in secrets.items()
        for form, write in (
            ("raw", bytes),
            ("hex", lambda each: each.hex().encode()),
            ("base64", lambda each: base64.b64encode(b"x" + each + b"yz")),
        )
        if len(secret) >= 16 or form != "base64"
    }
    own = {"its own file": b"".join(p.read_bytes() for p in key_bodies(seen.made))}

    assert len({place for _, place in hits(secrets, planted)}) == len(planted)
    assert hits({"federation": b"tiny-site-a"}, places_of(seen))
    assert hits(secrets, own)


def key_bodies(made: Federation) -> list[Path]:
    """Files in which keys are."""
    return [path for path in (made.places.site(MARKED) / "keys").iterdir() if path.is_file()]


def test_no_process_leaves_a_core_file(seen: Seen) -> None:
    """One would hold keys: the limit is 0, hard."""
    assert set(seen.core_limits.values()) == {"0 0"}


def test_the_marked_patient_was_trained_on(seen: Seen) -> None:
    """Otherwise not finding it says nothing."""
    assert "canary_site:CanarySite" in (seen.made.places.site(MARKED) / "site.toml").read_text()
    assert MARKED in seen.made.cohort(1)
    assert (SITE_CODE / "canary_site.py").exists()
