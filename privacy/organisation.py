"""Names of organisations: what one may be, and when two of them are one organisation.

A cohort's minimum, openers and seats count organisations, and people compare their names on a
screen. So a name is made of what a screen shows, in one way of writing; and names that differ only
in case, spaces or punctuation count as one. A name of letters of two scripts is refused, as
`St. Mary` may be with one Cyrillic letter. A name wholly in another script is marked with it.
"""

import unicodedata
from typing import Final

from .errors import MalformedMessage

LONGEST: Final = 100

# Japanese, Chinese and Korean names are written with each other and with Latin letters, and share
# no look with these. Source: Unicode Technical Standard 39, section 5.2, highly restrictive.
_TOGETHER: Final = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"})

# What isprintable lets through and a screen does not show. Source: Default_Ignorable_Code_Point of
# DerivedCoreProperties.txt; U+2800 is a blank by its glyph.
_UNSEEN: Final = frozenset(
    [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0]
) | frozenset([*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])

_COUNTED: Final = frozenset(["Lu", "Ll", "Lt", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No"])
"""Categories of what tells names apart: letters, the marks on them, and digits.

Not of letters that modify, as many look like an apostrophe.
"""


def normal(name: str) -> str:
    """Return a name as it is written in a roster: normal form NFKC, and single spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).split())


def check(name: str) -> None:
    """Return if an organisation may be called that.

    Raises:
        MalformedMessage: it is empty or too long, not in its normal form, has what no screen
            shows, or has letters of scripts that are taken for each other.
    """
    if not 0 < len(name) <= LONGEST:
        raise MalformedMessage(
            f"an organisation's name has 1 to {LONGEST} characters, not {len(name)}"
        )
    if not name.isprintable() or any(ord(each) in _UNSEEN for each in name):
        raise MalformedMessage(
            f"the organisation's name {name!a} has characters that no screen shows"
        )
    if name != normal(name):
        raise MalformedMessage(
            f"the organisation's name {name!a} is to be written as {normal(name)!a}: in "
            "normal form NFKC, and with single spaces"
        )
    if not key(name):
        raise MalformedMessage(f"the organisation's name {name!a} has no letter or digit")
    found = scripts(name)
    if len(found) > 1 and not found <= _TOGETHER:
        raise MalformedMessage(
            f"the organisation's name {name!a} mixes letters of {' and '.join(sorted(found))}"
        )


def key(name: str) -> str:
    """Return what two names have in common if they are of one organisation."""
    folded = unicodedata.normalize("NFKC", name.casefold())
    return "".join(each for each in folded if unicodedata.category(each) in _COUNTED)


def shown(name: str) -> str:
    """Return a name for people: with its script, if that is not Latin."""
    found = scripts(name) - {"LATIN"}
    return f"{name} ({', '.join(sorted(found)).title()})" if found else name


def scripts(name: str) -> frozenset[str]:
    """Return of which scripts its letters are, in capitals."""
    letters = (each for each in name if unicodedata.category(each) in ("Lu", "Ll", "Lt", "Lo"))
    return frozenset(unicodedata.name(each, "UNKNOWN").split()[0] for each in letters)
