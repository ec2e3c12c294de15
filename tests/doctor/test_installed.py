"""After installation: a real coordinator and real sites, looked at beside their own processes."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from coordinator.adapters.authority import make_authority
from coordinator.config import read
from coordinator.object_names import contribution
from tests.loopback import HOUR, utc_now
from tests.processes.federation import NAME, Federation, federation
from veilsum.doctor.bundle import write_bundle
from veilsum.doctor.finding import Level
from veilsum.doctor.needs import needs_of_settings
from veilsum.doctor.run import look_after

from .servers import bad, edges, found

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SECONDS = 5.0
NOT_OURS = {"packages", "disk"}
"""What is true of the machine that runs tests."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("doctor"), wanted=2) as made:
        made.start_coordinator()
        made.wait_for_log("coordinator", "serving")
        yield made


def site(made, name="site-a"):
    report = look_after(made.places.site(name) / "site.toml", edges(), SECONDS, None)
    return list(report.findings)


def coordinator(made):
    report = look_after(made.places.coordinator / "coordinator.toml", edges(), SECONDS, None)
    return list(report.findings)


def test_a_site_beside_its_coordinator_is_told_what_is_missing_to_begin(running):
    findings = site(running)

    assert set(bad(findings)) - NOT_OURS == {"roster"}
    assert "not signed yet by site-a, site-b, site-c" in found(findings, "roster").found
    assert found(findings, "clock").level is Level.OK
    assert "Mbit/s" in found(findings, "uplink").found
    assert "proven" in found(findings, "identity").found


def test_a_coordinator_is_looked_at_while_it_serves(running):
    """Writing, reading back and removing changes nothing that it keeps."""
    findings = coordinator(running)

    assert set(bad(findings)) - NOT_OURS == {"certificate", "roster"}  # a test's live for a day
    assert found(findings, "database").found == "written, read back and removed"
    assert found(findings, "objects").found == "written, read back and removed"
    assert running.observer.store.documents("doctor") == []
    assert list((running.places.coordinator / "objects").glob("doctor*")) == []


def test_a_site_that_does_not_trust_who_answers_is_told_by_whom_it_is_certified(running, tmp_path):
    """After installation the authority is known: there is nothing to guess."""
    other = make_authority(NAME, now=utc_now(), life=HOUR * 5)
    text = (running.places.site("site-b") / "site.toml").read_text()
    (tmp_path / "other.pem").write_bytes(other.certificate_pem)
    changed = text.replace(
        str(running.places.site("site-b") / "authority.pem"), str(tmp_path / "other.pem")
    )
    (tmp_path / "site.toml").write_text(changed)

    findings = list(look_after(tmp_path / "site.toml", edges(), SECONDS, None).findings)

    assert found(findings, "authority").level is Level.PROBLEM
    assert "by 'tiny certificate authority'" in found(findings, "authority").found


def test_an_upload_of_the_plan_is_said_in_time_and_room(running):
    """A site learns before the round what its line and its disk mean for it."""
    for name in running.sites:
        running.start_site(name)
    running.wait_for_log("site-a", "done", task="Contribute")
    home = running.places.coordinator
    chunks = (home / "objects" / contribution(1, "site-a") / "0").iterdir()
    sent = sum(path.stat().st_size for path in chunks)

    findings = site(running)

    needs = needs_of_settings(read(home / "coordinator.toml"))
    assert needs.upload_bytes == sent
    assert found(findings, "roster").found == "founded; version 0, 3 members"
    assert f"this plan, {needs.upload_bytes / 1e6:.1f} MB, takes" in found(findings, "uplink").found
    assert "this plan needs about" in found(findings, "disk").found
    assert found(findings, "ledger").level is Level.OK


def test_the_bundle_has_no_secret_of_site_or_coordinator(running, tmp_path):
    """Canaries: each key, as its file has it and in hex; the data's name stays, its size goes."""
    home, log = running.places.site("site-a"), running.places.logs / "site-a.log"
    settings = home / "site.toml"
    report = look_after(settings, edges(), SECONDS, None)

    write_bundle(tmp_path / "b.tar", report, settings, log)

    body = (tmp_path / "b.tar").read_bytes()
    for path in (home / "keys").iterdir():
        secret = path.read_bytes()
        for form in (secret, secret.hex().encode(), *secret.split(b"\n")[1:2]):
            assert form not in body
    assert b"PRIVATE KEY" not in body
    assert str(home / "keys").encode() in body
    with tarfile.open(tmp_path / "b.tar") as tar:
        shown = json.load(tar.extractfile("veilsum-doctor/settings.json"))
    assert shown["dataset"]["records"] == "[removed]"
    assert shown["policy"]["roster"] == running.roster.digest()


def test_a_coordinator_that_is_not_there_is_said_once(running, tmp_path):
    """What is in the way is a finding; that it is in the way of each call is none."""
    text = (running.places.site("site-c") / "site.toml").read_text()
    (tmp_path / "site.toml").write_text(text.replace(f":{running.port}", ":9"))

    findings = list(look_after(tmp_path / "site.toml", edges(), SECONDS, None).findings)

    assert "nobody listens" in found(findings, "route").found
    assert [each.check for each in findings if each.check == "member"] == []


def test_an_operators_file_is_read_as_one(running, tmp_path):
    """It has no policy: to miss one would send an operator after nothing."""
    home = running.places.site("site-a")
    lines = (home / "site.toml").read_text().split("[dataset]")[0].split("[policy]")[0]
    (tmp_path / "operator.toml").write_text(lines)

    findings = list(look_after(tmp_path / "operator.toml", edges(), SECONDS, None).findings)

    assert found(findings, "settings").level is Level.OK
    assert "proven" in found(findings, "identity").found


def test_an_operator_whose_certificate_has_ended_is_told_who_certifies_it(running, tmp_path):
    """Nobody invites an operator again: a member joins, an operator is certified on the machine."""
    home = running.places.site("site-a")
    lines = (home / "site.toml").read_text()
    (tmp_path / "site.toml").write_text(lines)
    (tmp_path / "operator.toml").write_text(lines.split("[dataset]")[0].split("[policy]")[0])
    later = replace(edges(), now=lambda: datetime(2099, 1, 1, tzinfo=UTC))

    looked = [
        found(look_after(tmp_path / name, later, SECONDS, None).findings, "certificate")
        for name in ("operator.toml", "site.toml")
    ]

    assert ["recertify" in each.fix for each in looked] == [True, False]
    assert "join again" in looked[1].fix


def test_a_member_before_its_policy_is_whole_is_looked_at_all_the_same(running, tmp_path):
    """Between `join` and `confirm` lines are missing; the way there is not."""
    text = (running.places.site("site-a") / "site.toml").read_text()
    (tmp_path / "site.toml").write_text(text.replace("smallest_cohort", "smalest_cohort"))

    findings = list(look_after(tmp_path / "site.toml", edges(), SECONDS, None).findings)

    assert "smalest_cohort" in found(findings, "settings").found
    assert found(findings, "clock").level is Level.OK
