"""What an operator mistypes is refused before anybody is called, as the settings are."""

import pytest
from typer.testing import CliRunner

from veilsum.cli import app, operate

FILE = ("--config", "nowhere.toml")


def coordinator(*words):
    return CliRunner().invoke(app, ["coordinator", *words])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("invite", "Hospital A", *FILE), "NAME: "),
        (("invite", "hospital-a", "--role", "trainee", *FILE), "--role trainee: "),
        (("invite", "a", "--role", "trainer", "--role", "trainer", *FILE), "--role trainer: "),
        (("approve", "hospital-a", "--words", "one two three", *FILE), "--words: 4 words"),
        (("refuse", "hospital-a", "--reason", " ", *FILE), "--reason: one line"),
        (("revoke", "hospital-a", "--reason", "a\nb", *FILE), "--reason: one line"),
        (("revoke", "hospital-a", "--reason", "x" * 501, *FILE), "--reason: one line"),
        (("reopen", "--fingerprint", "ab", "--reason", "why", *FILE), "--fingerprint: the 64"),
        (("reopen", "--fingerprint", "ab" * 32, "--reason", " ", *FILE), "--reason: one line"),
    ],
)
def test_what_is_mistyped_is_the_operators_own_to_mend(words, says):
    """Exit status 2, and no blame for a peer that has sent nothing."""
    ended = coordinator(*words)

    assert ended.exit_code == 2, ended.stderr
    assert says in ended.stderr
    assert "who must act: the operator of this process" in ended.stderr


@pytest.mark.parametrize("ttl", ["31d", "99999999d", "0h", "1w", "day"])
def test_a_link_works_for_a_time_that_there_is(tmp_path, ttl):
    config = tmp_path / "operator.toml"
    config.write_text(
        'federation = "heart"\nparticipant = "operator"\nstate = "."\n[coordinator]\n'
        'address = "a.test:1"\nauthority = "a.pem"\ncertificate = "c.pem"\n'
    )

    ended = coordinator("invite", "hospital-a", "--ttl", ttl, "--config", str(config))

    assert ended.exit_code == 2
    assert f"--ttl {ttl}" in ended.stderr.replace("'", "")


def test_a_table_says_what_its_columns_are():
    """Two times beside each other are not told apart by looking at them."""
    rows = [
        {"participant": "hospital-a", "last_seen_seconds": 1_795_000_000, "revoked": ""},
        {"participant": "b", "last_seen_seconds": 0, "revoked": "lost"},
    ]

    text = operate._table(rows, ("participant", "last_seen_seconds", "revoked"))

    assert text.splitlines() == [
        "member      last seen          revoked",
        "hospital-a  2026-11-18 11:06Z  -",
        "b           -                  lost",
    ]
    assert operate._table([], ("participant",)) == ""
