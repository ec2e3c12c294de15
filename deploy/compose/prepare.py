"""Make what only this deployment knows: passwords, keys, and the certificate of its store.

Runs once, in a container without a network, before anything else; what is there already stays.
It uses nothing of Veilsum, so that it can be read by itself.

python prepare.py /secrets COORDINATOR_UID DATABASE_UID STORE_UID
"""

import datetime
import os
import secrets
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

STORE = "objects"
BUCKET = "bucket/veilsum"
DAYS = 825


def main(home: Path, coordinator: int, database: int, store: int) -> None:
    """Write each file for the accounts that read it, mode 0600, unless it is there."""
    password, access, secret = (secrets.token_hex(24) for _ in range(3))
    key, certificate = certified(STORE)
    made = {
        "coordinator/database.password": (password, coordinator),
        "database/password": (password, database),
        "coordinator/s3-access.key": (access, coordinator),
        "coordinator/s3-secret.key": (secret, coordinator),
        "coordinator/objects.pem": (certificate, coordinator),
        "objects/environment": (f"ROOT_ACCESS_KEY={access}\nROOT_SECRET_KEY={secret}", store),
        "objects/certificate.pem": (certificate, store),
        "objects/certificate.key": (key, store),
    }
    # In the store that keeps buckets as folders, this makes one.
    for folder in (home / BUCKET).parent, home / BUCKET:
        own(folder, store)
    if all((home / name).exists() for name in made):
        return
    # All or none: half of it from another run would be a password that two do not agree on.
    if any((home / name).exists() for name in made):
        sys.exit(f"{home}: some of its files are missing; take the rest away, and run this again")
    for name, (text, owner) in made.items():
        write(home / name, text, owner)


def certified(name: str) -> tuple[str, str]:
    """Return a new key and a certificate that it signs for itself, for one host; both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(minutes=5))
        .not_valid_after(today + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    signed = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private.decode(), signed.public_bytes(serialization.Encoding.PEM).decode()


def write(path: Path, text: str, owner: int) -> None:
    """Write a file that its owner alone can read, into a folder that its owner alone can enter."""
    own(path.parent, owner)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text.rstrip("\n") + "\n")
    os.chown(path, owner, owner)


def own(folder: Path, owner: int) -> None:
    """Make a folder, or take one that is there, so that its owner alone can enter it."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    os.chown(folder, owner, owner)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
