"""What a member has asked to be stands on its own disk, and is all that it signs in version 0."""

import pytest
from msgspec.structs import replace

from participant.joining.own import (
    ASKED,
    ENTRY,
    check_entry,
    keep_asked,
    own_words,
    read_entry,
    require_entry,
)
from privacy.canonical import encode
from privacy.enrolment import Asked
from privacy.errors import ConfigError, WrongContext
from privacy.roster import Role
from tests.participant import signed_round as made

MINE = made.roster().member("amber")
ASKED_FOR = Asked("a1" * 32, "b2" * 32, MINE, "its certificate request")


def test_an_entry_is_read_as_it_was_written(tmp_path):
    assert read_entry(tmp_path) is None
    (tmp_path / ENTRY).write_bytes(encode(MINE))

    assert read_entry(tmp_path) == require_entry(tmp_path) == MINE


def test_without_an_entry_of_its_own_a_member_signs_nothing(tmp_path):
    with pytest.raises(ConfigError, match=r"entry\.json is missing"):
        require_entry(tmp_path)


def test_an_entry_that_is_none_is_to_be_put_back(tmp_path):
    (tmp_path / ENTRY).write_text("{}")

    with pytest.raises(ConfigError, match="put it back"):
        read_entry(tmp_path)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"payout_address": "0x" + "66" * 20}, "payout address 0x6666"),
        ({"organisation": "Birch hospital"}, "organisation Birch hospital"),
        ({"roles": (Role.PARTICIPANT,)}, "roles participant"),
        ({"signing_key": made.keys("birch").signing_public}, "other keys"),
        ({"sealing_key": made.keys("birch").sealing_public}, "other keys"),
    ],
)
def test_every_part_of_an_entry_is_the_members_own(changed, says):
    """The payment, whom it counts as, what it may do, and who it is."""
    check_entry(MINE, MINE)

    with pytest.raises(WrongContext, match=says):
        check_entry(replace(MINE, **changed), MINE)


def test_the_words_of_what_was_approved_can_be_read_again(tmp_path):
    """Trainers ask for them weeks after the operator did."""
    assert own_words(tmp_path) == ""

    keep_asked(tmp_path, ASKED_FOR)

    assert own_words(tmp_path) == ASKED_FOR.words()


def test_what_was_asked_and_is_damaged_has_no_words(tmp_path):
    (tmp_path / ASKED).write_text("{}")

    with pytest.raises(ConfigError, match="join again"):
        own_words(tmp_path)
