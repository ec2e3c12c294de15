"""An authority's files: closed, never overwritten, and believed only if they fit together."""

import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from structlog.testing import capture_logs

from coordinator.adapters import authority_files as files
from coordinator.adapters.authority import certify_coordinator, make_issuing, make_root
from privacy.errors import ConfigError, InsecureKeyFile

NOW = datetime.now(UTC)
LIFE = timedelta(days=30)
FEDERATION = "heart"


@pytest.fixture
def root():
    return make_root(FEDERATION, now=NOW, life=LIFE)


def saved(tmp_path, root, passphrase=None, **names):
    issuing = make_issuing(root, now=NOW, life=LIFE, **names)
    files.save(tmp_path / "authority", root, issuing, passphrase)
    return tmp_path / "authority" / files.CHAIN, tmp_path / "authority" / files.KEY


def own(tmp_path, key, *, constrained=False, ca=True, leaf_first=True, below=0):
    """Write a chain as a bank's own public-key system has it: an intermediate below a root."""
    above = ec.generate_private_key(ec.SECP384R1())

    def certificate(subject, public, issuer, signer, authority):
        name = [x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]
        by = [x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]
        builder = x509.CertificateBuilder(x509.Name(by), x509.Name(name), public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW - LIFE).not_valid_after(NOW + LIFE)
        length = below if authority and subject == "issuing" else None
        basic = x509.BasicConstraints(ca=authority, path_length=length)
        builder = builder.add_extension(basic, critical=True)
        if constrained and subject == "issuing":
            hosts = [x509.UniformResourceIdentifier("elsewhere")]
            builder = builder.add_extension(x509.NameConstraints(hosts, None), critical=True)
        return builder.sign(signer, SHA256())

    top = certificate("bank", above.public_key(), "bank", above, True)
    issuing = certificate("issuing", key.public_key(), "bank", above, ca)
    chain = [issuing, top] if leaf_first else [top, issuing]
    paths = tmp_path / "chain.pem", tmp_path / "chain.key"
    paths[0].write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
    body = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    paths[1].write_bytes(body)
    paths[1].chmod(0o600)
    return paths


def test_what_is_saved_is_loaded_and_closed_to_others(tmp_path, root):
    chain, key = saved(tmp_path, root)

    loaded = files.load(FEDERATION, chain, key)

    issuing, top = x509.load_pem_x509_certificates(chain.read_bytes())
    assert (loaded.certificate, loaded.above_pem) == (issuing, root.certificate_pem)
    assert loaded.fingerprint == issuing.fingerprint(SHA256()).hex()
    issuing.verify_directly_issued_by(top)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in chain.parent.iterdir()}
    assert modes == {0o600}


def test_an_authority_is_never_overwritten(tmp_path, root):
    chain, _ = saved(tmp_path, root)
    before = chain.read_bytes()

    with pytest.raises(ConfigError, match="never overwritten"):
        saved(tmp_path, root)

    assert chain.read_bytes() == before


def test_a_key_that_a_passphrase_closes_is_opened_by_its_file_alone(tmp_path, root):
    chain, key = saved(tmp_path, root, b"correct horse battery staple")
    word, other = tmp_path / "word", tmp_path / "other"
    for path, body in ((word, b"correct horse battery staple\n"), (other, b"wrong")):
        path.write_bytes(body)
        path.chmod(0o600)

    assert files.load(FEDERATION, chain, key, word).federation == FEDERATION
    with pytest.raises(ConfigError, match=r"set enrolment\.passphrase"):
        files.load(FEDERATION, chain, key)
    with pytest.raises(ConfigError, match="another passphrase"):
        files.load(FEDERATION, chain, key, other)
    assert b"ENCRYPTED" in key.read_bytes()
    assert b"ENCRYPTED" in (key.parent / files.ROOT_KEY).read_bytes()


@pytest.mark.parametrize(("length", "taken"), [(21, False), (22, True)])
def test_a_passphrase_that_could_be_guessed_is_refused(tmp_path, root, length, taken):
    """PBKDF2 with 2,048 rounds, as PEM has it, adds eleven bits to what it has itself."""
    if taken:
        assert saved(tmp_path, root, b"x" * length)
        return
    with pytest.raises(ConfigError, match="openssl rand"):
        saved(tmp_path, root, b"x" * length)
    assert not (tmp_path / "authority").exists()


def test_a_passphrase_for_a_key_that_has_none_is_refused(tmp_path, root):
    chain, key = saved(tmp_path, root)
    word = tmp_path / "word"
    word.write_bytes(b"x")
    word.chmod(0o600)

    with pytest.raises(ConfigError, match="leave out"):
        files.load(FEDERATION, chain, key, word)


def test_a_key_that_others_can_read_is_refused(tmp_path, root):
    chain, key = saved(tmp_path, root)
    key.chmod(0o640)

    with pytest.raises(InsecureKeyFile, match="chmod 600"):
        files.load(FEDERATION, chain, key)


def test_a_key_of_another_certificate_is_refused(tmp_path, root):
    chain, key = saved(tmp_path, root)
    (key.parent / files.ROOT_KEY).replace(key)

    with pytest.raises(ConfigError, match="is not the key"):
        files.load(FEDERATION, chain, key)


def test_an_authority_of_another_federation_is_refused(tmp_path, root):
    chain, key = saved(tmp_path, root)

    with pytest.raises(ConfigError, match="names peers of heart, not of lung"):
        files.load("lung", chain, key)


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=["P-384", "RSA"],
)
def test_an_organisations_own_authority_issues_and_is_said_to_be_unconstrained(tmp_path, key):
    chain, private = own(tmp_path, key)

    with capture_logs() as said:
        authority = files.load(FEDERATION, chain, private)

    server = certify_coordinator(authority, ["veilsum.example.org"], now=NOW, life=LIFE / 2)
    [leaf] = x509.load_pem_x509_certificates(server.certificate_pem)
    leaf.verify_directly_issued_by(authority.certificate)
    assert [each["event"] for each in said] == ["authority_unconstrained"]


@pytest.mark.parametrize(
    "wrong",
    [{"ca": False}, {"leaf_first": False}, {"constrained": True}, {"below": 1}, {"below": None}],
    ids=str,
)
def test_what_is_no_authority_of_this_federation_is_refused(tmp_path, wrong):
    chain, key = own(tmp_path, ec.generate_private_key(ec.SECP256R1()), **wrong)

    with pytest.raises(ConfigError):
        files.load(FEDERATION, chain, key)


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP521R1()), rsa.generate_private_key(65537, 1024)]
)
def test_a_key_that_is_too_small_or_not_spoken_by_tls_is_refused(tmp_path, key):
    chain, private = own(tmp_path, key)

    with pytest.raises(ConfigError, match="2048 bits"):
        files.load(FEDERATION, chain, private)


def test_a_server_below_the_two_is_believed_under_its_own_names_only(tmp_path, root):
    """RFC 5280, by OpenSSL; grpc's BoringSSL does so wherever a test of processes connects."""
    chain, key = saved(tmp_path, root, dns_names=["veilsum.example.org"])
    authority = files.load(FEDERATION, chain, key)

    for name, holds in (("veilsum.example.org", True), ("bank.example.org", False)):
        server = certify_coordinator(authority, [name], now=NOW, life=LIFE / 2)
        assert is_believed(server, authority, name, tmp_path) == holds


def is_believed(server, authority, name, folder):
    pair = folder / "server.pem"
    pair.write_bytes(server.key_pem + server.certificate_pem)
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.load_cert_chain(pair)
    theirs.load_verify_locations(cadata=authority.certificate_pem.decode())
    theirs.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    answering = ours.wrap_bio(up, down, server_side=True)
    asking = theirs.wrap_bio(down, up, server_hostname=name)
    for side in (asking, answering, asking):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError:
            return False
    return True
