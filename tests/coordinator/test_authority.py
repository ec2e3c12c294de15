"""The authority names whom the operator decides, for keys that were proven, and nobody else."""

import base64
import os
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coordinator.adapters.authority import (
    certify_coordinator,
    certify_participant,
    load_authority,
    make_authority,
    save_authority,
)
from privacy.errors import ConfigError, InsecureKeyFile, MalformedMessage, WrongIdentity

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
AUTHORITY = make_authority("oncology", now=NOW, life=30 * DAY)
KEY = ec.generate_private_key(ec.SECP256R1())
URI = "spiffe://oncology/participant/hospital-a"


def request(*names, key=KEY, subject="anything"):
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def certify(body, participant="hospital-a", *, now=NOW, life=DAY):
    return certify_participant(AUTHORITY, body, participant, now=now, life=life)


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value


def names_in(pem):
    return list(extension(x509.load_pem_x509_certificate(pem), x509.SubjectAlternativeName))


def test_an_authority_signs_leaves_only_and_for_its_federation_only():
    authority = make_authority("oncology", now=NOW, life=DAY, dns_names=("example.org",))

    certificate = authority.certificate

    assert extension(certificate, x509.BasicConstraints) == x509.BasicConstraints(True, 0)
    assert extension(certificate, x509.KeyUsage).key_cert_sign
    assert not extension(certificate, x509.KeyUsage).digital_signature
    assert extension(certificate, x509.NameConstraints).permitted_subtrees == [
        x509.UniformResourceIdentifier("oncology"),
        x509.DNSName("example.org"),
    ]


def test_a_participants_certificate_has_one_name_one_use_and_its_own_time():
    certificate = x509.load_pem_x509_certificate(certify(request()))

    certificate.verify_directly_issued_by(AUTHORITY.certificate)
    assert names_in(certify(request())) == [x509.UniformResourceIdentifier(URI)]
    assert certificate.public_key() == KEY.public_key()
    assert list(extension(certificate, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not extension(certificate, x509.BasicConstraints).ca
    assert certificate.not_valid_before_utc == NOW - timedelta(minutes=15)
    assert certificate.not_valid_after_utc == NOW + DAY


def test_a_coordinators_certificate_names_its_hosts_and_itself():
    server = certify_coordinator(
        AUTHORITY, ["coordinator.example", "127.0.0.1", "::1"], now=NOW, life=DAY
    )

    certificate = x509.load_pem_x509_certificate(server.certificate_pem)
    names = extension(certificate, x509.SubjectAlternativeName)

    assert names.get_values_for_type(x509.DNSName) == ["coordinator.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "spiffe://oncology/coordinator"
    ]
    assert list(extension(certificate, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_the_operator_decides_the_name_and_not_the_request():
    """Nothing of the request but its key enters the certificate."""
    certificate = x509.load_pem_x509_certificate(certify(request(subject="hospital-b")))

    assert "hospital-b" not in certificate.subject.rfc4514_string()
    assert names_in(certify(request())) == [x509.UniformResourceIdentifier(URI)]


def test_a_request_for_its_own_name_passes():
    body = request(x509.UniformResourceIdentifier(URI))

    assert names_in(certify(body)) == [x509.UniformResourceIdentifier(URI)]


@pytest.mark.parametrize(
    "names",
    [
        [x509.UniformResourceIdentifier("spiffe://oncology/participant/hospital-b")],
        [x509.UniformResourceIdentifier("spiffe://cardiology/participant/hospital-a")],
        [x509.UniformResourceIdentifier("spiffe://oncology/coordinator")],
        [x509.UniformResourceIdentifier(URI), x509.DNSName("coordinator.example")],
        [x509.DNSName("hospital-a")],
    ],
)
def test_a_request_for_another_name_is_refused(names):
    with pytest.raises(WrongIdentity):
        certify(request(*names))


def test_a_request_without_proof_of_its_key_is_refused():
    """Else a site could have another's key certified under its own name."""
    der = bytearray(x509.load_pem_x509_csr(request()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    body = base64.encodebytes(der)
    forged = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n"
    )

    with pytest.raises(MalformedMessage, match="not signed"):
        certify(forged)


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()],
    ids=["P-384", "Ed25519"],
)
def test_a_request_for_a_key_of_another_kind_is_refused(key):
    with pytest.raises(MalformedMessage, match="P-256"):
        certify(request(key=key))


@pytest.mark.parametrize("body", [b"", b"no request", AUTHORITY.certificate_pem])
def test_what_is_no_request_is_refused(body):
    with pytest.raises(MalformedMessage):
        certify(body)


@pytest.mark.parametrize("name", ["", "Hospital", "hospital-a/x", "a" * 64, "hospital-a\n"])
def test_what_is_no_name_is_not_certified(name):
    with pytest.raises(MalformedMessage):
        certify(request(), name)


def test_no_certificate_outlives_its_authority():
    """It would stop working with no word of why."""
    certify(request(), now=NOW + 29 * DAY)

    with pytest.raises(ConfigError, match="make a new authority"):
        certify(request(), now=NOW + 29 * DAY, life=DAY + timedelta(seconds=1))
    with pytest.raises(ConfigError):
        certify_coordinator(AUTHORITY, ["localhost"], now=NOW, life=31 * DAY)


def test_an_authority_survives_on_disk_with_a_key_for_its_owner_only(tmp_path):
    folder = tmp_path / "authority"

    save_authority(AUTHORITY, folder)
    loaded = load_authority(folder)

    assert (loaded.federation, loaded.certificate_pem) == ("oncology", AUTHORITY.certificate_pem)
    assert loaded.key.private_numbers() == AUTHORITY.key.private_numbers()
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_an_authority_is_never_overwritten(tmp_path):
    """Every certificate of the federation would end with it."""
    save_authority(AUTHORITY, tmp_path)

    with pytest.raises(ConfigError, match="never overwritten"):
        save_authority(make_authority("oncology", now=NOW, life=DAY), tmp_path)

    assert load_authority(tmp_path).certificate_pem == AUTHORITY.certificate_pem


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_that_others_can_reach_is_refused_with_the_remedy(tmp_path, mode):
    save_authority(AUTHORITY, tmp_path)
    (tmp_path / "ca.key").chmod(mode)

    with pytest.raises(InsecureKeyFile, match=f"chmod 600 {tmp_path}/ca.key"):
        load_authority(tmp_path)


def test_a_key_of_another_owner_is_refused(tmp_path, monkeypatch):
    save_authority(AUTHORITY, tmp_path)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    with pytest.raises(InsecureKeyFile, match=f"owner {owner}"):
        load_authority(tmp_path)


def test_an_authority_that_is_missing_or_mixed_up_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no certificate authority"):
        load_authority(tmp_path)

    save_authority(AUTHORITY, tmp_path)
    other = make_authority("oncology", now=NOW, life=DAY)
    (tmp_path / "ca.pem").write_bytes(other.certificate_pem)

    with pytest.raises(ConfigError, match="not the key of"):
        load_authority(tmp_path)


def test_no_private_key_prints():
    server = certify_coordinator(AUTHORITY, ["localhost"], now=NOW, life=DAY)

    assert "PRIVATE" not in repr(server)
    assert "key=" not in repr(AUTHORITY)
