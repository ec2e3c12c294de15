"""Ethereum keys on disk: encrypted keystore files that only their owner can read."""

import json
import os
import stat
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from privacy.errors import ConfigError, InsecureKeyFile

from . import nesting  # noqa: F401  it loads eth-account, which lifts a limit

WORK_FACTOR = 1 << 18
"""scrypt's n: about a second for each guess at the passphrase."""


def make_key(path: Path, passphrase: str, *, work_factor: int = WORK_FACTOR) -> LocalAccount:
    """Make a key, write it encrypted to the new file `path` with mode 0600, and return it.

    Args:
        work_factor: scrypt's n, a power of two; smaller ones are for passphrases
            that are themselves 128 random bits.

    Raises:
        FileExistsError: `path` exists; a key is never written over.
    """
    account: LocalAccount = Account.from_key(os.urandom(32))
    keystore = Account.encrypt(account.key, passphrase, kdf="scrypt", iterations=work_factor)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(keystore, file)
        file.flush()
        os.fsync(file.fileno())
    return account


def load_key(path: Path, passphrase: str) -> LocalAccount:
    """Return the key in the keystore file `path`.

    Raises:
        InsecureKeyFile: others than the owner may read or write the file, or it is
            no keystore that `passphrase` opens.
        ConfigError: there is no such file, or it cannot be read.
    """
    try:
        mode, text = stat.S_IMODE(path.stat().st_mode), path.read_text()
    except OSError as error:
        raise ConfigError(
            f"{path}: the keystore cannot be read ({error.strerror}); correct the path"
        ) from None
    except ValueError:
        raise InsecureKeyFile(f"{path}: no keystore, but bytes that are no text") from None
    if mode & 0o077:
        raise InsecureKeyFile(f"{path}: mode {mode:04o}; its owner must set 0600")
    try:
        account: LocalAccount = Account.from_key(Account.decrypt(text, passphrase))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InsecureKeyFile(f"{path}: no keystore that this passphrase opens") from None
    return account


def load_or_make_key(
    path: Path, passphrase: str, *, work_factor: int = WORK_FACTOR
) -> LocalAccount:
    """Return the key in `path`, made first if there is none.

    Raises:
        InsecureKeyFile: as `load_key`.
    """
    if path.exists():
        return load_key(path, passphrase)
    return make_key(path, passphrase, work_factor=work_factor)
