"""Settings are typed, complete, and nothing in the file is overlooked."""

from pathlib import Path

import msgspec
import pytest

from coordinator.config import Settings
from privacy.configuration import decode
from privacy.errors import ConfigError
from privacy.events import PositiveDecimal


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    clip: PositiveDecimal


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    count: int
    where: Path
    inner: Inner
    names: tuple[str, ...] = ()


GOOD = 'count = 3\nwhere = "/srv/state"\n\n[inner]\nclip = "20"\n'


def refused(text: str) -> str:
    """Return the message of the refusal."""
    with pytest.raises(ConfigError) as caught:
        decode(text, Example, "site.toml")
    return str(caught.value)


def test_a_complete_file_is_one_typed_value() -> None:
    """Paths are paths, tables are values."""
    settings = decode(GOOD, Example, "site.toml")

    assert settings == Example(3, Path("/srv/state"), Inner("20"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("colour = 1\n" + GOOD, "colour"),
        (GOOD + "quorom = 3\n", "quorom"),
        (GOOD + "[extra]\nx = 1\n", "extra"),
        (GOOD.replace("count = 3\n", ""), "count"),
        (GOOD.replace('clip = "20"\n', ""), "clip"),
        (GOOD.replace("3", '"3"', 1), "count"),
        (GOOD.replace("3", "3.0", 1), "count"),
        (GOOD.replace("3", "true", 1), "count"),
        (GOOD.replace('"/srv/state"', "7"), "where"),
        (GOOD.replace('"20"', "20"), "clip"),
        (GOOD.replace('"20"', '"nan"'), "clip"),
        ("names = [1]\n" + GOOD, "names"),
    ],
)
def test_a_key_unknown_missing_or_of_another_type_is_named(text: str, named: str) -> None:
    """A misspelt limit that is ignored is no limit."""
    message = refused(text)

    assert message.startswith("site.toml: ")
    assert named in message


@pytest.mark.parametrize("text", ["count = ", "count = 3\ncount = 4\n", "{}", "[inner", "\0"])
def test_what_is_no_toml_is_refused_and_the_file_named(text: str) -> None:
    """A key that stands twice is among it."""
    assert refused(text).startswith("site.toml: ")


@pytest.mark.parametrize("key", ["insecure", "plaintext", "scheme.name", "scheme.protection"])
def test_no_setting_of_the_coordinator_chooses_another_protection(key: str) -> None:
    """What does not exist cannot be set by mistake."""
    table, _, name = key.rpartition(".")
    text = f"[{table}]\n{name} = 'plain/1'\n" if table else f"{name} = true\n"

    with pytest.raises(ConfigError):
        decode(text, Settings, "coordinator.toml")
