"""This machine: keys, certificates and disks, each with the command that mends it."""

import pytest

from coordinator.adapters.authority import make_authority
from tests.loopback import FEDERATION, HOUR, make_federation, new_keys, utc_now
from veilsum.doctor.finding import Level
from veilsum.doctor.machine import LEAST_BYTES, check_certificate, check_disk, check_secret

from .servers import edges


def test_a_key_that_others_can_read_comes_with_its_chmod(tmp_path):
    path = tmp_path / "signing.key"
    path.write_bytes(b"a key")
    path.chmod(0o644)

    found = check_secret(path)

    assert found.level is Level.PROBLEM
    assert "mode 0644" in found.found
    assert f"chmod 600 {path}" in found.fix


def test_a_key_that_only_its_owner_reads_is_well_and_not_read(tmp_path):
    path = tmp_path / "signing.key"
    path.write_bytes(b"CANARY")
    path.chmod(0o600)

    found = check_secret(path)

    assert found.level is Level.OK
    assert "CANARY" not in str(found)


@pytest.mark.parametrize("kind", ["missing", "link"])
def test_a_key_that_is_no_file_is_a_problem(tmp_path, kind):
    path = tmp_path / "signing.key"
    if kind == "link":
        path.symlink_to("/etc/hostname")

    assert check_secret(path).level is Level.PROBLEM


@pytest.mark.parametrize(
    ("free", "level"),
    [(10 << 30, Level.OK), (5 << 30, Level.WARNING), (1 << 30, Level.PROBLEM), (0, Level.PROBLEM)],
)
def test_a_disk_is_measured_by_what_the_plan_needs(tmp_path, free, level):
    """A full disk is found before a round, not in the middle of one."""
    full = edges(free=lambda path: free)

    found = check_disk(tmp_path / "not" / "yet", full, (4 << 30) - LEAST_BYTES)

    assert found.level is level
    assert "this plan needs about 4.0 GiB" in found.found
    assert (level is Level.OK) or "make room" in found.fix


def test_without_a_plan_a_disk_needs_the_least(tmp_path):
    found = check_disk(tmp_path, edges(free=lambda path: 2 * LEAST_BYTES))

    assert found.level is Level.OK
    assert "no plan is known" in found.found


@pytest.mark.parametrize(
    ("hours", "level", "words"),
    [
        (0, Level.OK, "1.0 h left"),
        (-0.9, Level.WARNING, "not renewed in time"),
        (-2, Level.PROBLEM, "ended at"),
        (2, Level.PROBLEM, "counts from"),
    ],
)
def test_a_certificate_says_how_long_it_counts(tmp_path, hours, level, words):
    """By this machine's clock, as TLS reads it."""
    authority = make_authority(FEDERATION, now=utc_now() - 5 * HOUR, life=20 * HOUR)
    made = make_federation(authority=authority).site(new_keys(), at=utc_now() + hours * HOUR)
    (tmp_path / "certificate.pem").write_bytes(made.certificate_pem)

    found = check_certificate(
        tmp_path / "certificate.pem", edges(), renew="renew it", renews_itself=True
    )

    assert found.level is level
    assert words in found.found


def test_a_certificate_that_is_none_is_a_problem(tmp_path):
    (tmp_path / "certificate.pem").write_bytes(b"-----BEGIN NOTHING-----")

    found = check_certificate(
        tmp_path / "certificate.pem", edges(), renew="renew it", renews_itself=False
    )

    assert (found.level, found.fix) == (Level.PROBLEM, "renew it")
