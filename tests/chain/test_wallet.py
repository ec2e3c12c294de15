"""Keys on disk: encrypted, and their owner's alone."""

from pathlib import Path

import pytest

from privacy.errors import ConfigError, InsecureKeyFile
from veilsum.chain.wallet import load_key, load_or_make_key, make_key

LIGHT = 1 << 12


def test_a_key_is_made_once_and_found_again(tmp_path: Path) -> None:
    """A payout address must outlive the process that made it."""
    path = tmp_path / "key.json"

    made = load_or_make_key(path, "word", work_factor=LIGHT)
    found = load_or_make_key(path, "word")

    assert found.address == made.address
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.key.hex() not in path.read_text()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever could read it may have."""
    path = tmp_path / "key.json"
    make_key(path, "word", work_factor=LIGHT)
    path.chmod(mode)

    with pytest.raises(InsecureKeyFile, match="0600"):
        load_key(path, "word")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"crypto": 1, "version": 3}', b"\xff"])
def test_a_file_that_is_no_keystore_is_refused(tmp_path: Path, body: bytes) -> None:
    """With one error, whatever is wrong with it."""
    path = tmp_path / "key.json"
    path.write_bytes(body)
    path.chmod(0o600)

    with pytest.raises(InsecureKeyFile):
        load_key(path, "word")


def test_a_keystore_that_is_not_there_is_the_configurations_mistake(tmp_path: Path) -> None:
    """The operator has to correct a path; a trace tells nobody that."""
    with pytest.raises(ConfigError, match=r"none\.json: the keystore cannot be read \(No such"):
        load_key(tmp_path / "none.json", "word")


def test_a_wrong_passphrase_opens_nothing_and_is_not_printed(tmp_path: Path) -> None:
    """Error messages end up in logs."""
    path = tmp_path / "key.json"
    make_key(path, "word", work_factor=LIGHT)

    with pytest.raises(InsecureKeyFile) as caught:
        load_key(path, "sword of damocles")

    assert "damocles" not in str(caught.value)


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    """Its tokens would be lost."""
    path = tmp_path / "key.json"
    make_key(path, "word", work_factor=LIGHT)

    with pytest.raises(FileExistsError):
        make_key(path, "word", work_factor=LIGHT)
