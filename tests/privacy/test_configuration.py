"""Settings are typed, complete, and nothing in the file is overlooked."""

from pathlib import Path

import msgspec
import pytest

from coordinator.config import Settings
from participant.config import SiteConfig
from privacy.configuration import (
    NOT_SETTINGS,
    Over,
    decode,
    explain,
    names_of,
    variable_of,
)
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


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table that may be left out, with every type that settings have."""

    region: str = "here"
    many: tuple[str, ...] = ()
    often: bool = False
    folder: Path | None = None


class Whole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    count: int
    inner: Inner
    kept: Kept | None = None
    officers: dict[str, str] = {}


WHOLE = 'count = 3\n\n# a reason\n[inner]\nclip = "20"\n'


def over(environment: dict[str, str], *assignments: str) -> Over:
    """What goes over a file."""
    return Over(environment, assignments)


def settings(above: Over, text: str = WHOLE) -> Whole:
    """The settings of a file with what goes over it."""
    return decode(text, Whole, "site.toml", above)


def refused_over(above: Over, text: str = WHOLE) -> str:
    """The message of the refusal."""
    with pytest.raises(ConfigError) as caught:
        settings(above, text)
    return str(caught.value)


def test_the_environment_goes_over_the_file_and_the_command_line_over_both() -> None:
    """In the order of who is nearer to this one start of this one process."""
    environment = {"VEILSUM_COUNT": "4", "VEILSUM_INNER__CLIP": "40"}

    found = settings(over(environment, "count=5", "count = 6"))

    assert (found.count, found.inner.clip) == (6, "40")


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("VEILSUM_KEPT__REGION", "true", "region", "true"),
        ("VEILSUM_KEPT__REGION", "", "region", ""),
        ("VEILSUM_KEPT__MANY", '["a", "b"]', "many", ("a", "b")),
        ("VEILSUM_KEPT__OFTEN", "true", "often", True),
        ("VEILSUM_KEPT__FOLDER", "/srv/x = 1", "folder", Path("/srv/x = 1")),
    ],
)
def test_a_word_is_text_where_text_is_asked_for_and_toml_elsewhere(
    variable: str, text: str, name: str, value: object
) -> None:
    """Nobody puts quotes into a variable; and a table that was left out is begun by one."""
    found = settings(over({variable: text}))

    assert getattr(found.kept, name) == value


def test_a_name_of_ones_own_may_have_dots_in_it() -> None:
    """An officer is called as the ledger allows: the last table's names are not ours."""
    above = over({"VEILSUM_OFFICERS__ALICE": "a"}, "officers.bob.smith=b")

    assert settings(above).officers == {"alice": "a", "bob.smith": "b"}


@pytest.mark.parametrize(
    ("above", "message"),
    [
        (over({"VEILSUM_CUONT": "4"}), "VEILSUM_CUONT names no setting; the nearest"),
        (over({"VEILSUM_INNER": "4"}), "the nearest that there is: VEILSUM_INNER__CLIP"),
        (over({"VEILSUM_KEPT__REGOIN": "x"}), "VEILSUM_KEPT__REGION"),
        (over({}, "regoin=x"), "there is no setting regoin; the nearest is kept.region"),
        (over({}, "count"), "write it as KEY=VALUE"),
        (over({"VEILSUM_COUNT": "many"}), "VEILSUM_COUNT: 'many' is no value"),
        (over({"VEILSUM_COUNT": "4\nb = 1"}), "is no value"),
        (over({"VEILSUM_COUNT": "true"}), "(VEILSUM_COUNT)"),
        (over({}, "inner.clip=-1"), "(--set)"),
    ],
)
def test_what_goes_over_a_file_is_checked_as_the_file_is(above: Over, message: str) -> None:
    """A variable that is misspelt and ignored would leave the file's limit in force."""
    assert message in refused_over(above)


def test_only_variables_of_ours_are_looked_at() -> None:
    """A process has a hundred; and two of ours are for tests, and are no settings."""
    others = {"HOME": "/root", "VEILSUMX": "1", **dict.fromkeys(NOT_SETTINGS, "x")}

    assert settings(over(others)) == settings(over({}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WHOLE + "clpi = 1\n", "line 6: there is no setting inner.clpi; the nearest is inner.clip"),
        ("[kept]\nregin = 'x'\n" + WHOLE, "line 2: there is no setting kept.regin"),
        ('"inner.clip" = "3"\n' + WHOLE, "line 1: there is no setting inner.clip"),
        (WHOLE + "[extra]\n", "line 6: there is no setting extra"),
    ],
)
def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_name(
    text: str, message: str
) -> None:
    """A file of a hundred lines is searched by its line, and mended by the name."""
    assert message in refused_over(over({}), text)


def test_every_value_says_where_it_came_from() -> None:
    """Four answers to the one question of an operator who sees an odd value."""
    text = WHOLE + '\n[kept]\nmany = [\n  "a",\n]\nregion = """x\ny = 1\n"""\n'
    above = over({"VEILSUM_KEPT__OFTEN": "true"}, "count=5")

    found = explain(text, Whole, "site.toml", above)

    assert [(each.name, each.value, str(each.origin)) for each in found] == [
        ("count", 5, "--set"),
        ("inner.clip", "20", "site.toml:5"),
        ("kept.region", "x\ny = 1\n", "site.toml:11"),
        ("kept.many", ("a",), "site.toml:8"),
        ("kept.often", True, "VEILSUM_KEPT__OFTEN"),
        ("kept.folder", None, "default"),
        ("officers", {}, "default"),
    ]


def test_a_table_that_is_left_out_is_one_setting_without_a_value() -> None:
    """Its own settings have no values then, not even defaults."""
    found = {each.name: each.value for each in explain(WHOLE, Whole, "site.toml")}

    assert found["kept"] is None
    assert "kept.region" not in found


@pytest.mark.parametrize("kind", [Settings, SiteConfig])
def test_every_setting_has_one_variable(kind: type[msgspec.Struct]) -> None:
    """Two settings that one variable names could not both be set."""
    names = names_of(kind)

    assert len({variable_of(name) for name in names}) == len(names)
    assert not [name for name in names if "__" in name or name != name.lower()]


def test_a_variable_of_another_kind_of_process_is_passed_over():
    """One environment is that of several processes, and a coordinator's operator has both files."""
    shared = Over({"VEILSUM_ELSEWHERE__ADDRESS": "a:1"}, (), lambda key: key == "elsewhere.address")

    assert decode(GOOD, Example, "site.toml", shared) == decode(GOOD, Example, "site.toml")


def test_who_is_refused_a_variable_is_told_how_to_run_without_it():
    with pytest.raises(ConfigError, match=r"env -u VEILSUM_ELSEWHERE veilsum"):
        decode(GOOD, Example, "site.toml", Over({"VEILSUM_ELSEWHERE": "1"}))
