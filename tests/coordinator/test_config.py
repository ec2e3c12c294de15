"""The coordinator's settings: all of them named, or the process does not start."""

import msgspec
import pytest
import tomlkit

from coordinator import config
from privacy.errors import ConfigError, UnsafeParameters
from tests import fakes
from tests.coordinator import seated_round


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
        ("rounds", "wanted", 0),
        ("rounds", "wanted", 100_001),
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


# -- schemes ---------------------------------------------------------------------------


@pytest.fixture
def seated(tmp_path):
    """Return settings under `shares` as TOML's types."""
    return without_nothing(msgspec.to_builtins(seated_round.make_settings(tmp_path), enc_hook=str))


def test_settings_under_shares_are_read_as_they_were_written(tmp_path, seated):
    assert read(tmp_path, seated) == seated_round.make_settings(tmp_path)


def test_nothing_weaker_than_ckks_is_the_default(tmp_path, document):
    """Norms are bounded and checked unless the operator says otherwise."""
    for name in ("name", "packed", "bound_norms", "unchecked", "leaves_per_chunk"):
        del document["scheme"][name]

    scheme = read(tmp_path, document).scheme

    assert (scheme.name, scheme.bound_norms, scheme.unchecked) == ("ckks/1", True, False)


def test_under_shares_nothing_is_kept_for_disputes_after_a_round(tmp_path, seated):
    """Masked components prove nothing without the parts, and two seats open updates with them."""
    seated["retention"]["challenge_seconds"] = 1

    with pytest.raises(ConfigError, match=r"retention\.challenge_seconds: under shares/1"):
        read(tmp_path, seated)


@pytest.mark.parametrize(
    "seats", [[], ["seat-a"], ["seat-a", "seat-b"], ["seat-a"] * 3, ["a", "b", "c", "d"]]
)
def test_shares_need_three_different_seats(tmp_path, seated, seats):
    seated["rounds"]["seats"] = seats

    with pytest.raises(ConfigError, match=r"rounds\.seats: shares/1 needs 3 different members"):
        read(tmp_path, seated)


def test_ckks_has_no_seats(tmp_path, document):
    document["rounds"]["seats"] = ["seat-a", "seat-b", "seat-c"]

    with pytest.raises(ConfigError, match=r"rounds\.seats: under ckks/1"):
        read(tmp_path, document)


@pytest.mark.parametrize("other", [{"packed": True}, {"unchecked": True}])
def test_what_ckks_cannot_do_is_not_taken_for_done(tmp_path, document, other):
    document["scheme"] |= other

    with pytest.raises(ConfigError, match=r"scheme\.unchecked"):
        read(tmp_path, document)


@pytest.mark.parametrize("asked", [{}, {"bound_norms": False, "score_step_log2": 8}])
def test_packed_values_are_not_asked_about(tmp_path, seated, asked):
    """The norm is bounded by default, so that who packs must say that it shall not be."""
    seated["scheme"] |= {"packed": True, **asked}

    with pytest.raises(ConfigError, match=r"scheme\.packed"):
        read(tmp_path, seated)

    seated["scheme"] |= {"bound_norms": False}
    seated["scheme"].pop("score_step_log2", None)
    assert read(tmp_path, seated).scheme.packed


@pytest.mark.parametrize("name", ["plain/1", "ckks", "shares/2", ""])
def test_there_is_no_other_scheme(tmp_path, document, name):
    document["scheme"]["name"] = name

    with pytest.raises(ConfigError, match="scheme"):
        read(tmp_path, document)


# -- mechanism distributed ---------------------------------------------------------------

SUM = {
    "kind": "distributed",
    "sampling_rate": "1",
    "noise_multiplier": "14.25",
    "clip": "0.0625",
    "units_cap": 16,
    "divisor": 64,
    "honest": 2,
    "colluders": 1,
}


def test_settings_of_a_sum_with_shared_noise_are_read(tmp_path, document):
    """The kind of the table says which numbers it must have."""
    document["privacy"] |= {"mechanism": "distributed", "training": SUM}

    privacy = read(tmp_path, document).privacy

    assert (privacy.mechanism, privacy.training.honest) == ("distributed", 2)


@pytest.mark.parametrize(
    ("privacy", "words"),
    [
        ({"training": SUM}, "mechanism local"),
        ({"mechanism": "distributed"}, "mechanism distributed"),
        ({"mechanism": "distributed", "training": SUM | {"steps": 6}}, "steps"),
        ({"mechanism": "distributed", "training": SUM | {"kind": "central"}}, "central"),
        ({"mechanism": "distributed", "training": SUM | {"honest": 0}}, "honest"),
        ({"mechanism": "central"}, "central"),
    ],
)
def test_a_mechanism_with_other_numbers_stops_the_start(tmp_path, document, privacy, words):
    document["privacy"] |= privacy

    with pytest.raises((ConfigError, UnsafeParameters), match=words):
        read(tmp_path, document)


@pytest.mark.parametrize("scheme", [{}, {"score_step_log2": 4}, {"bound_norms": True}])
def test_no_question_is_asked_about_an_update_with_a_part_of_the_noise(tmp_path, seated, scheme):
    """By default norms are bounded, so the operator must say that here they are not."""
    seated["privacy"] |= {"mechanism": "distributed", "training": SUM}
    seated["scheme"]["bound_norms"] = False
    assert read(tmp_path, seated).scheme.bound_norms is False

    seated["scheme"] |= scheme or {"bound_norms": True}
    with pytest.raises(ConfigError, match=r"scheme\.bound_norms to false"):
        read(tmp_path, seated)


def test_scores_are_asked_for_under_both_schemes_and_under_no_shared_noise(tmp_path, document):
    document["scheme"]["score_step_log2"] = 8
    assert read(tmp_path, document).scheme.score_step_log2 == 8

    document["privacy"] |= {"mechanism": "distributed", "training": SUM}
    with pytest.raises(ConfigError, match=r"leave out scheme\.score_step_log2"):
        read(tmp_path, document)
