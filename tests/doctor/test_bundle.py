"""What leaves a machine in a bundle: no key, no token, no passphrase, nothing of data."""

import json
import tarfile

import pytest

from privacy.errors import ConfigError
from veilsum.doctor.bundle import without_values, write_bundle
from veilsum.doctor.finding import Finding
from veilsum.doctor.redact import REMOVED, redacted
from veilsum.doctor.report import report_of

TOKEN = "k3JxVqBzT0Yh9rW2mNfL7cD5sG1aE8uP4iO6tRyQwXk"
HEX = "9f" * 32
SECRETS = [
    f"veilsum://agg.example:8443/#v1.{TOKEN}.{TOKEN}.site-a",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----",
    "postgresql://veilsum:hunter2canary@db.example/veilsum",
    "http://me:hunter2canary@proxy.example:3128",
    'passphrase="hunter2canary"',
    "password: hunter2canary",
    '{"api_key": "hunter2canary", "a": 1}',
    "https://chain.example/rpc?apikey=hunter2canary&x=1",
    "Authorization: Bearer hunter2canary",
    f"key {HEX} was made",
    f"token={TOKEN}",
]
CANARIES = ("hunter2canary", TOKEN, HEX, "MC4CAQAwBQYDK2VwBCIEIA")


def contents(path):
    with tarfile.open(path) as tar:
        return {each.name.split("/")[1]: tar.extractfile(each).read().decode() for each in tar}


@pytest.mark.parametrize("text", SECRETS)
def test_no_form_of_a_secret_passes(text):
    """In the middle of a line, as logs and errors have it."""
    line = redacted(f"2026-11-22 event: {text} and more")

    assert not [canary for canary in CANARIES if canary in line]
    assert line.startswith("2026-11-22 event: ")


@pytest.mark.parametrize(
    "text",
    [
        "/var/lib/veilsum/hospital-a-of-the-university/keys/signing.key: mode 0644",
        "agg.consortium.example:8443: connection refused: nobody listens",
        "certificate until 2026-11-23 01:00Z, 23.9 h left",
    ],
)
def test_what_helps_stays(text):
    assert redacted(text) == text


def test_settings_keep_paths_and_lose_what_stands_in_their_place():
    """Somebody who types a passphrase where its file belongs has still not sent it."""
    settings = {
        "state": "/var/lib/veilsum",
        "database": "postgresql://veilsum:hunter2canary@db.example/veilsum",
        "policy": {"roster": HEX, "epsilon_for_life": "3"},
        "dataset": {"id": "ward-7", "records": 1234, "ledger_keys": [HEX]},
        "settlement": {"passphrase": "hunter2canary", "keystore": "/etc/veilsum/gas.json"},
        "unknown": HEX,
        "listen": {"key": "/etc/veilsum/server.key"},
    }

    shown = without_values(settings)

    assert shown["state"] == "/var/lib/veilsum"
    assert shown["database"] == "postgresql://db.example/veilsum"
    assert shown["policy"] == {"roster": HEX, "epsilon_for_life": "3"}
    assert shown["dataset"] == {"id": "ward-7", "records": REMOVED, "ledger_keys": [REMOVED]}
    assert shown["settlement"] == {"passphrase": REMOVED, "keystore": "/etc/veilsum/gas.json"}
    assert shown["unknown"] == REMOVED
    assert shown["listen"] == {"key": "/etc/veilsum/server.key"}


def test_a_bundle_of_canaries_has_none(tmp_path):
    """Findings, settings and the log go through the same door."""
    log = tmp_path / "site.log"
    lines = [json.dumps({"event": text, "token": TOKEN}) for text in SECRETS]
    log.write_text("\n".join([*SECRETS, *lines]))
    settings = tmp_path / "site.toml"
    settings.write_text('passphrase = "hunter2canary"\n')
    report = report_of("site.toml", [Finding("x", "y", text) for text in SECRETS])

    write_bundle(tmp_path / "out.tar", report, settings, log)

    everything = contents(tmp_path / "out.tar")
    assert set(everything) == {"findings.json", "versions.json", "settings.json", "log.txt"}
    shown = "\n".join(text for name, text in everything.items() if name != "settings.json")
    assert not [canary for canary in CANARIES if canary in shown]
    assert '"passphrase": "[removed]"' in everything["settings.json"]
    assert (tmp_path / "out.tar").stat().st_mode & 0o777 == 0o600


def test_a_bundle_never_replaces_a_file(tmp_path):
    (tmp_path / "out.tar").write_bytes(b"mine")

    with pytest.raises(ConfigError, match="exists"):
        write_bundle(tmp_path / "out.tar", report_of("x", []), None, None)

    assert (tmp_path / "out.tar").read_bytes() == b"mine"


def test_of_a_long_log_the_last_lines_go_in(tmp_path):
    log = tmp_path / "site.log"
    log.write_text("".join(f"line {number}\n" for number in range(2000)))

    write_bundle(tmp_path / "out.tar", report_of("x", []), None, log)

    lines = contents(tmp_path / "out.tar")["log.txt"].splitlines()
    assert (len(lines), lines[-1]) == (500, "line 1999")
