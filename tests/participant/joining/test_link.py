"""A link says all that a member needs to join; what is not whole is refused."""

import pytest

from participant.joining.link import Link, parse
from privacy.errors import ConfigError

LINK = Link("veilsum.example.org:8444", bytes(range(32)), bytes(range(32, 64)), "hospital-a")


@pytest.mark.parametrize(
    "address", ["veilsum.example.org:8444", "192.0.2.7:1", "[2001:db8::7]:65535"]
)
def test_a_link_is_read_as_it_was_written(address):
    """Hosts by name, and by both kinds of address."""
    link = Link(address, LINK.token, LINK.authority, "hospital-a")

    assert parse(link.text()) == link
    assert parse(f"  {link.text()}\n") == link


@pytest.mark.parametrize("around", ["<{}>", '"{}"', "\u201c{}\u201d", "'{}'.", "\ufeff{}", "({}),"])
def test_a_link_is_read_as_mail_has_wrapped_it(around):
    """Lines are cut at 78 characters, and what stands around a link is none of it."""
    text = LINK.text()
    wrapped = f"{text[:60]}\r\n   {text[60:100]}\n{text[100:]}"

    assert parse(around.format(wrapped)) == LINK


def test_its_form_is_the_published_one():
    """Operators read it, and so do tools that are not ours."""
    assert LINK.text() == (
        "veilsum://veilsum.example.org:8444/#v1.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8."
        "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8.hospital-a"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no link"),
        ("https://veilsum.example.org/", "no link"),
        (LINK.text().partition("#")[0], "ends before its token"),
        (LINK.text().replace("#v1.", "#v2."), "another release"),
        (LINK.text()[:-20], "not whole"),
        (LINK.text().replace("AAEC", "AAE="), "not whole"),
        (LINK.text().replace("8444", "99999"), "65535"),
        (LINK.text().replace("hospital-a", "Hospital A"), "names a member badly"),
        (LINK.text().replace("hospital-a", "coordinator"), "names a member badly"),
        (LINK.text() + "x" * 1000, "not whole"),
    ],
)
def test_what_is_no_link_is_refused(text, says):
    """With what to do about it; a shell that cuts it is the most frequent cause."""
    with pytest.raises(ConfigError, match=says):
        parse(text)


def test_two_texts_of_the_same_bytes_are_not_two_links():
    """The last letter carries four bits of nothing."""
    other = LINK.text().replace("Hh8.", "Hh9.")

    with pytest.raises(ConfigError, match="a letter of it is wrong"):
        parse(other)


@pytest.mark.parametrize(
    "change", [("#v1.", "#v2."), ("hospital-a", "Hospital A"), ("8444", "99999")]
)
def test_no_refusal_and_no_log_line_has_the_token_in_it(change):
    """Whoever reads it over a shoulder could join in the member's place."""
    secret = LINK.text().split(".")[3]

    with pytest.raises(ConfigError) as refused:
        parse(LINK.text().replace(*change))

    assert secret not in str(refused.value)
    assert secret not in repr(LINK)
    assert repr(LINK.token) not in repr(LINK)
