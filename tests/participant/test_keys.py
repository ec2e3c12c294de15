"""A site's keys stay on the site, whole, and for its owner's eyes only."""

import errno
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from participant import keys as site_keys
from participant.keys import (
    Renewed,
    certificate_request,
    keep_renewed,
    load_keys,
    load_renewed,
    make_keys,
)
from privacy.errors import ConfigError, InsecureKeyFile, MalformedMessage
from privacy.failpoints import pass_by
from privacy.sealing import open_sealed, seal
from privacy.signing import Purpose, sign, verify
from tests.loopback import make_federation, new_keys

FILES = {"tls.key", "signing.key", "sealing.key"}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state" / "keys"


def test_keys_are_the_same_after_they_are_loaded(folder):
    made = make_keys(folder, os.urandom)

    loaded = load_keys(folder)

    verify(made.signing_public, Purpose.PLAN, b"x", sign(loaded.signing, Purpose.PLAN, b"x"))
    assert open_sealed(loaded.sealing, b"", seal(made.sealing_public, b"", b"secret")) == b"secret"
    assert loaded.tls_pem == made.tls_pem


def test_keys_are_for_their_owner_only(folder):
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        make_keys(folder, os.urandom)
    finally:
        os.umask(before)

    assert {path.name for path in folder.iterdir()} == FILES
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700


def test_keys_are_never_overwritten(folder):
    """What was sealed to the old ones would be lost, and the site would be a stranger."""
    first = make_keys(folder, os.urandom)

    with pytest.raises(ConfigError, match="never overwritten"):
        make_keys(folder, os.urandom)

    assert load_keys(folder).signing_public == first.signing_public
    assert [path.name for path in folder.parent.iterdir()] == ["keys"]


def test_a_failure_in_the_middle_leaves_no_keys_at_all(folder, monkeypatch):
    """Half a set of keys would stop the next start, or worse, be completed by it."""
    written = []

    def fail_at_the_third(path, body):
        written.append(path)
        if len(written) == 3:
            raise OSError("disk full")
        path.write_bytes(body)

    monkeypatch.setattr(site_keys, "_write_private", fail_at_the_third)
    with pytest.raises(OSError, match="disk full"):
        make_keys(folder, os.urandom)

    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_key_that_others_can_reach_is_refused_with_the_command_to_run(folder, name, mode):
    make_keys(folder, os.urandom)
    (folder / name).chmod(mode)

    with pytest.raises(InsecureKeyFile, match=f"run: chmod 600 {folder / name}"):
        load_keys(folder)


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o710, 0o777])
def test_a_folder_that_others_can_enter_is_refused_with_the_command_to_run(folder, mode):
    make_keys(folder, os.urandom)
    folder.chmod(mode)

    with pytest.raises(InsecureKeyFile, match=f"run: chmod 700 {folder}"):
        load_keys(folder)


def test_the_command_to_run_mends_it(tmp_path):
    folder = tmp_path / "with a space"
    make_keys(folder, os.urandom)
    (folder / "tls.key").chmod(0o644)

    with pytest.raises(InsecureKeyFile) as refused:
        load_keys(folder)
    os.system(str(refused.value).split("run: ")[1])

    assert load_keys(folder)


def test_keys_of_another_owner_are_refused(folder, monkeypatch):
    make_keys(folder, os.urandom)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    with pytest.raises(InsecureKeyFile, match=f"belongs to user {owner}"):
        load_keys(folder)


def test_a_link_in_place_of_a_key_is_refused(folder, tmp_path):
    """Whoever can place a link could have another's key read, and tell by what follows."""
    make_keys(folder, os.urandom)
    (folder / "tls.key").rename(tmp_path / "elsewhere.key")
    (folder / "tls.key").symlink_to(tmp_path / "elsewhere.key")

    with pytest.raises(ConfigError, match="cannot be read"):
        load_keys(folder)


def test_a_site_without_keys_is_told_so(folder):
    with pytest.raises(ConfigError, match="is not a folder with this site's keys"):
        load_keys(folder)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_or_damaged_key_is_named(folder, name):
    make_keys(folder, os.urandom)

    (folder / name).write_bytes(b"damaged")
    with pytest.raises(ConfigError, match=name):
        load_keys(folder)
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=name):
        load_keys(folder)


def test_keys_of_another_kind_are_refused(folder):
    make_keys(folder, os.urandom)
    tls, signing = (folder / "tls.key"), (folder / "signing.key")
    original = tls.read_bytes()

    tls.write_bytes(signing.read_bytes())
    with pytest.raises(ConfigError, match="not an ECDSA P-256 key"):
        load_keys(folder)
    tls.write_bytes(
        ec.generate_private_key(ec.SECP384R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    with pytest.raises(ConfigError, match="not an ECDSA P-256 key"):
        load_keys(folder)
    tls.write_bytes(original)
    signing.write_bytes(original)
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        load_keys(folder)


def test_a_request_proves_the_key_and_asks_for_one_name(folder):
    keys = make_keys(folder, os.urandom)

    request = x509.load_pem_x509_csr(certificate_request(keys, "oncology", "hospital-a"))

    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert request.is_signature_valid
    assert request.public_key() == keys.tls.public_key()
    assert list(names) == [
        x509.UniformResourceIdentifier("spiffe://oncology/participant/hospital-a")
    ]


def test_a_request_for_what_is_no_name_is_not_made(folder):
    with pytest.raises(MalformedMessage):
        certificate_request(make_keys(folder, os.urandom), "oncology", "hospital/a")


def test_keys_do_not_print(folder, capfd):
    keys = make_keys(folder, os.urandom)

    print(keys, load_keys(folder))

    assert capfd.readouterr().out == "SiteKeys() SiteKeys()\n"


@pytest.fixture(scope="module")
def renewed():
    """A pair as a site renews to; what it was given before is named by a digest."""
    keys = new_keys()
    return Renewed("ab" * 32, make_federation().site(keys).certificate_pem, keys.tls_pem)


def test_what_was_renewed_is_the_same_after_it_is_loaded_and_for_its_owner_only(folder, renewed):
    make_keys(folder, os.urandom)
    before = load_keys(folder).renewed

    keep_renewed(folder, renewed, pass_by)

    assert (before, load_keys(folder).renewed) == (None, renewed)
    assert (folder / "renewed.pem").stat().st_mode & 0o777 == 0o600
    assert renewed.key_pem.decode() not in repr(renewed)


def test_a_renewed_key_that_others_can_read_is_refused_with_the_command_to_run(folder, renewed):
    make_keys(folder, os.urandom)
    keep_renewed(folder, renewed, pass_by)
    (folder / "renewed.pem").chmod(0o644)

    with pytest.raises(InsecureKeyFile, match=r"run: chmod 600 .*renewed\.pem"):
        load_keys(folder)


def test_a_renewed_pair_that_is_damaged_or_mixed_is_refused_with_the_way_out(folder, renewed):
    """Nothing here writes one; a restored backup may."""
    make_keys(folder, os.urandom)
    path = folder / "renewed.pem"

    for body in (b"", b"damaged", renewed.key_pem, renewed.certificate_pem):
        path.write_bytes(body)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match=r"renewed\.pem is no certificate.*delete it"):
            load_renewed(folder)
    keep_renewed(folder, Renewed("", renewed.certificate_pem, new_keys().tls_pem), pass_by)
    with pytest.raises(ConfigError, match="for another key; delete it"):
        load_renewed(folder)


def test_a_folder_of_somebody_elses_is_refused_with_what_to_do(tmp_path, monkeypatch):
    """Not even that it is there can be seen by who may not look into the one above."""
    stat = Path.stat

    def denied(path, **named):
        if path.name == "keys":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return stat(path, **named)

    monkeypatch.setattr(Path, "stat", denied)

    with pytest.raises(ConfigError, match="Permission denied; run this as the user"):
        load_keys(tmp_path / "keys")


def test_root_is_sent_to_the_owner_of_the_keys_and_never_told_to_take_them(tmp_path, monkeypatch):
    """`chown` would take them from the process that works with them."""
    make_keys(tmp_path / "keys", os.urandom)
    stat = Path.stat

    def somebodys(path, **named):
        about = stat(path, **named)
        return os.stat_result((*about[:4], 4321, *about[5:]))

    monkeypatch.setattr(Path, "stat", somebodys)
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    with pytest.raises(InsecureKeyFile, match=r"runuser -u '#4321' -- veilsum") as refused:
        load_keys(tmp_path / "keys")

    assert "chown" not in str(refused.value)
