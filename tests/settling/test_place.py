"""Where a process settles: told by the file of its settings."""

from pathlib import Path

import pytest

from privacy.errors import ConfigError
from tests.participant.joining.test_member_config import TEXT
from veilsum.settling.place import place_of

TABLE = """
[settlement]
rpc = "http://127.0.0.1:8545"
chain_id = 1
contract = "0x1111111111111111111111111111111111111111"
programme = "2222222222222222222222222222222222222222222222222222222222222222"
keystore = "/var/lib/veilsum/north/gas.json"
passphrase = "/var/lib/veilsum/north/passphrase"
"""


@pytest.mark.parametrize("name", ["auditor", "aggregator"])
def test_a_members_file_says_where_it_settles(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.toml").write_text(TEXT + TABLE)

    place = place_of(tmp_path / f"{name}.toml")

    assert (place.contract, place.programme) == ("0x" + "11" * 20, "22" * 32)
    assert (place.state, place.payee) == (Path("/var/lib/veilsum/north"), None)


def test_a_file_without_a_chain_is_refused(tmp_path: Path) -> None:
    (tmp_path / "auditor.toml").write_text(TEXT)

    with pytest.raises(ConfigError, match=r"no table \[settlement\]"):
        place_of(tmp_path / "auditor.toml")


def test_a_file_of_nobody_who_settles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"coordinator\.toml, site\.toml, auditor\.toml"):
        place_of(tmp_path / "operator.toml")


def test_a_programme_that_is_no_word_is_refused(tmp_path: Path) -> None:
    (tmp_path / "auditor.toml").write_text(TEXT + TABLE.replace("22" * 32, "22"))

    with pytest.raises(ConfigError, match="programme"):
        place_of(tmp_path / "auditor.toml")
