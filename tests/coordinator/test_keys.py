"""The coordinator's signing key on disk."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from coordinator.keys import load_signing_key, make_signing_key
from privacy.errors import ConfigError, InsecureKeyFile


def test_a_key_is_read_as_it_was_made(tmp_path):
    made = make_signing_key(tmp_path / "signing.key")

    read = load_signing_key(tmp_path / "signing.key")

    assert read.private_bytes_raw() == made.private_bytes_raw()
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600


def test_a_key_is_never_overwritten(tmp_path):
    path = tmp_path / "signing.key"
    make_signing_key(path)
    before = path.read_bytes()

    with pytest.raises(ConfigError, match="never overwritten"):
        make_signing_key(path)

    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    path = tmp_path / "signing.key"
    make_signing_key(path)
    path.chmod(mode)

    with pytest.raises(InsecureKeyFile, match="chmod 600"):
        load_signing_key(path)


def test_what_is_no_such_key_is_refused(tmp_path):
    path = tmp_path / "signing.key"
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    for body in (b"", b"not a key", pem):
        path.write_bytes(body)
        path.chmod(0o600)
        with pytest.raises(ConfigError):
            load_signing_key(path)
    with pytest.raises(ConfigError, match="No such file"):
        load_signing_key(tmp_path / "nothing.key")
