"""A coordinator's file of settings, with a way to a chain and without a programme."""

from pathlib import Path

import msgspec
import tomlkit

from tests import fakes

PASSPHRASE = "of the test"


def coordinator_file(folder: Path, url: str, chain_id: int, keystore: Path) -> Path:
    """The settings of the tests, as TOML, with the table that an operator begins with."""
    passphrase = folder / "passphrase"
    passphrase.write_text(PASSPHRASE)
    passphrase.chmod(0o600)
    table = _given(msgspec.to_builtins(fakes.make_settings(folder), enc_hook=str))
    table["settlement"] = {
        "rpc": url,
        "chain_id": chain_id,
        "keystore": str(keystore),
        "passphrase": str(passphrase),
        "finality_blocks": 0,
    }
    path = folder / "coordinator.toml"
    path.write_text(tomlkit.dumps(table))
    return path


def with_settlement(path: Path, **more: str) -> None:
    """Put more into that table."""
    document = tomlkit.parse(path.read_text())
    document["settlement"].update(more)
    path.write_text(tomlkit.dumps(document))


def _given(table: dict) -> dict:
    """A table without what is left out; TOML has no word for it."""
    return {
        name: _given(value) if isinstance(value, dict) else value
        for name, value in table.items()
        if value is not None
    }
