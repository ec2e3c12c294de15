"""The coordinator's settings: all of them named, or the process does not start."""

import msgspec
import pytest
import tomlkit

from coordinator import config
from privacy.errors import ConfigError
from tests import fakes


@pytest.fixture
def document(tmp_path):
    """Return the settings of the tests as TOML's types."""
    return without_nothing(msgspec.to_builtins(fakes.make_settings(tmp_path), enc_hook=str))


def without_nothing(table):
    """Return a table without the settings that are left out; TOML has no word for them."""
    return {
        name: without_nothing(value) if isinstance(value, dict) else value
        for name, value in table.items()
        if value is not None
    }


def read(tmp_path, document):
    path = tmp_path / "coordinator.toml"
    path.write_text(tomlkit.dumps(document))
    return config.read(path)


def test_settings_are_read_as_they_were_written(tmp_path, document):
    assert read(tmp_path, document) == fakes.make_settings(tmp_path)


def test_an_auditor_is_named_or_there_is_none(tmp_path, document):
    assert read(tmp_path, document).rounds.auditor is None

    document["rounds"]["auditor"] = "watch"

    assert read(tmp_path, document).rounds.auditor == "watch"


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        (None, "federaton", "oncology"),
        ("rounds", "qorum", 3),
        ("rounds", "quorum", "three"),
        ("rounds", "openers", ["Hospital A"]),
        ("rounds", "auditor", "The Watch"),
        ("rounds", "auditor", ""),
        ("model", "initial", "abc"),
        (None, "federation", "../oncology"),
        ("listen", "address", 443),
    ],
)
def test_a_setting_that_is_wrong_or_unknown_stops_the_start(
    tmp_path, document, section, name, value
):
    """The message names it; a typing mistake must not become a default."""
    (document[section] if section else document)[name] = value

    with pytest.raises(ConfigError, match=name if section is None else section):
        read(tmp_path, document)


def test_a_missing_setting_stops_the_start(tmp_path, document):
    del document["rounds"]["quorum"]

    with pytest.raises(ConfigError, match="quorum"):
        read(tmp_path, document)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        config.read(tmp_path / "nothing.toml")
