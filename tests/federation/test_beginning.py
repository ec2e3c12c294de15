"""A federation is begun whole or not at all, and its operator can always be certified again."""

import time
from contextlib import closing
from dataclasses import replace

import pytest
from cryptography import x509

from coordinator.adapters.sql.store import open_store
from coordinator.members.revocations import Revocations
from privacy.errors import ConfigError, VeilsumError
from veilsum.federation.beginning import Wanted, begin, recertify, recertify_server

WANTED = Wanted("heart", "office.test:8443", "office.test:8444", "operator", "University")


@pytest.fixture
def begun(tmp_path):
    return begin(tmp_path / "office", WANTED)


def store_of(begun):
    return closing(open_store(f"sqlite:///{begun.folder / 'coordinator.sqlite'}"))


def certificate_of(begun):
    body = (begun.folder / "operator" / "certificate.pem").read_bytes()
    return x509.load_pem_x509_certificates(body)[0]


def test_the_first_certificate_of_an_operator_is_recorded_as_any_other(begun):
    """What is recorded can be renewed after its end; what is not never could."""
    with store_of(begun) as store:
        (issued,) = store.certificates("operator")

    certificate = certificate_of(begun)
    assert int(issued.serial, 16) == certificate.serial_number
    assert issued.ends_at == certificate.not_valid_after_utc.timestamp()


def test_an_operator_that_is_certified_again_is_recorded_again(begun):
    made = recertify(begun.config, begun.operator)

    with store_of(begun) as store:
        known = {int(each.serial, 16) for each in store.certificates("operator")}
    assert made.path == begun.folder / "operator" / "certificate.pem"
    assert made.overrides is None
    assert certificate_of(begun).serial_number in known
    assert len(known) == 2


def test_a_certificate_that_goes_over_a_revocation_begins_after_it_and_says_so(begun):
    """One that began before, for the sake of slow clocks, would be shut out as it is made."""
    with store_of(begun) as store:
        Revocations(store, time.time).revoke("operator", "laptop lost", "operator-b")

    made = recertify(begun.config, begun.operator)

    with store_of(begun) as store:
        known = Revocations(store, time.time)
        known.check("operator", certificate_of(begun).not_valid_before_utc.timestamp())
    assert made.overrides is not None
    assert (made.overrides.by, made.overrides.reason) == ("operator-b", "laptop lost")
    assert recertify(begun.config, begun.operator).overrides is None


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://veilsum:hunter2@127.0.0.1:1/heart",
        "postgresql://veilsum@127.0.0.1:1/heart",
        "mysql://veilsum@127.0.0.1/heart",
        "no database",
    ],
)
def test_a_database_that_cannot_be_opened_leaves_no_folder(tmp_path, database):
    """Else the next attempt is refused, because the folder is there; its password too."""
    with pytest.raises(VeilsumError) as refused:
        begin(tmp_path / "office", replace(WANTED, database=database))

    assert "hunter2" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_nobody_can_make_is_said_to_be_one(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    for place in ("/proc/office", str(tmp_path / "file" / "office")):
        with pytest.raises(ConfigError, match="cannot be made"):
            begin(type(tmp_path)(place), WANTED)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"address": "office.test"}, "--address: .*port"),
        ({"address": "office.test:0"}, "--address: .*port"),
        ({"joining": "office.test:65536"}, "--joining: .*port"),
        ({"joining": "office.test:8443"}, "--joining: .*the port of --address"),
        ({"address": f"{'a.' * 130}test:8443"}, "--address: .*no name of a host"),
        ({"address": "https://office.test:8443"}, "--address: .*no name of a host"),
        ({"address": ":8443"}, "--address: .*no name of a host"),
        ({"joining": "office test:8444"}, "--joining: .*no name of a host"),
        ({"bind": "office.test"}, "--bind: "),
    ],
)
def test_an_address_that_nobody_can_reach_is_refused_by_its_option(tmp_path, change, says):
    """It would stand in every certificate and in every link."""
    with pytest.raises(ConfigError, match=says):
        begin(tmp_path / "office", replace(WANTED, **change))

    assert list(tmp_path.iterdir()) == []


def test_the_coordinator_is_certified_again_for_its_key_and_all_of_its_names(tmp_path):
    """Sites know it by them, and a standby at another name shows the same certificate."""
    begun = begin(tmp_path / "office", replace(WANTED, alternatives=("south.test:8443",)))
    path = begun.folder / "server.pem"
    before = x509.load_pem_x509_certificates(path.read_bytes())[0]
    chain = (begun.folder / "authority" / "authority.pem").read_bytes()

    found, ends = recertify_server(begun.config)

    after = x509.load_pem_x509_certificates(path.read_bytes())[0]
    names = [
        each.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for each in (before, after)
    ]
    after.verify_directly_issued_by(x509.load_pem_x509_certificates(chain)[0])
    assert (found, after.not_valid_after_utc) == (path, ends.replace(microsecond=0))
    assert after.serial_number != before.serial_number
    assert after.public_key() == before.public_key()
    assert names[0] == names[1]
    assert names[0].get_values_for_type(x509.DNSName) == ["office.test", "south.test"]


def test_only_a_coordinators_own_certificate_is_made_again(begun):
    """In the place of another's stands whatever somebody has put there."""
    operator = (begun.folder / "operator" / "certificate.pem").read_bytes()
    (begun.folder / "server.pem").write_bytes(operator)

    with pytest.raises(ConfigError, match="not one of heart"):
        recertify_server(begun.config)

    assert (begun.folder / "server.pem").read_bytes() == operator
