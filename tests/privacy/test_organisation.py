"""What an organisation may be called, and when two names are one organisation's."""

import pytest

from privacy.errors import MalformedMessage
from privacy.organisation import LONGEST, check, key, normal, shown

REAL = (
    "Hospital A",
    "St. Mary's Hospital (North), 2nd site",
    "Universitätsklinikum Köln",
    "Clinique Sainte-Thérèse",
    "Γενικό Νοσοκομείο Αθηνών",
    "Клиническая больница 1",
    "मुंबई अस्पताल",
    "NTT東日本関東病院",
    "서울 Hospital",
    "مستشفى الملك",
)


@pytest.mark.parametrize("name", REAL)
def test_real_names_are_taken_as_they_are(name: str) -> None:
    """The positive control: in any one script, or in those that are written together."""
    check(normal(name))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "1 to 100"),
        ("H" * (LONGEST + 1), "1 to 100"),
        ("Hospital A\x1b[8m", "no screen shows"),
        ("\x9b8mHospital", "no screen shows"),
        ("Hospital\nA", "no screen shows"),
        ("St. Mary\u200b", "no screen shows"),
        ("\u202eyraM .tS", "no screen shows"),
        ("St. Mary\u034f", "no screen shows"),
        ("St. Mary\u3164", "no screen shows"),
        ("St. Mary\ufe0f", "no screen shows"),
        ("St. Mary\u2800", "no screen shows"),
        ("St. Mary ", "written as 'St. Mary'"),
        ("St.  Mary", "written as 'St. Mary'"),
        ("\uff33t. Mary", "written as 'St. Mary'"),
        ("Cafe\u0301", "written as"),
        ("--", "no letter or digit"),
        ("St. M\u0430ry", "CYRILLIC and LATIN"),
        ("\u039fld Clinic", "GREEK and LATIN"),
    ],
    ids=ascii,
)
def test_a_name_that_a_screen_does_not_show_as_it_is_is_refused(name: str, says: str) -> None:
    """People compare what they see, and policies count what it says."""
    with pytest.raises(MalformedMessage, match=says) as refused:
        check(name)
    assert str(refused.value).isascii()


@pytest.mark.parametrize(
    "other", ["ST. MARY", "St Mary", "St.Mary", "St. Mary.", "St. Mary\u02b9", "st.-mary"]
)
def test_names_that_look_the_same_are_one_organisations(other: str) -> None:
    """Nobody becomes two organisations by a dot."""
    assert key(other) == key("St. Mary")


@pytest.mark.parametrize("other", ["St. Marie", "St. Mary 2", "St. Máry"])
def test_other_letters_are_another_organisation(other: str) -> None:
    """Or real hospitals would be counted as one."""
    assert key(other) != key("St. Mary")


def test_a_name_in_another_script_is_marked_with_it() -> None:
    """A name wholly of letters that look like Latin ones: САО here is Cyrillic."""
    assert shown("\u0421\u0410\u041e") == "\u0421\u0410\u041e (Cyrillic)"
    assert shown("CAO") == "CAO"


def test_a_name_is_typed_in_any_form() -> None:
    """A terminal may hand over letters and accents apart."""
    assert normal("  Cafe\u0301   Nord ") == "Caf\u00e9 Nord"
