"""What a peer has sent steers no terminal: it is written out, and all else is as it was."""

import pytest
import typer
from typer.testing import CliRunner

from veilsum.catalogue import ENTRIES
from veilsum.cli.surface import Answer, command
from veilsum.process import write_error
from veilsum.screen import in_line, on_screen

HIDES = "Hospital A\x1b[8m"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (HIDES, r"Hospital A\x1b[8m"),
        ("\x9b2J", r"\x9b2J"),
        ("a\rb\x08", r"a\rb\x08"),
        ("\u202eoperator", r"\u202eoperator"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("a\u2028b", r"a\u2028b"),
        ("Universität Köln · 東日本 … 100 %", "Universität Köln · 東日本 … 100 %"),
    ],
    ids=ascii,
)
def test_what_would_steer_a_terminal_is_written_out(sent, shown):
    assert on_screen(sent) == in_line(sent) == shown


def test_lines_are_ours_and_not_a_peers():
    """A reason with a line break in it would be a second line of the screen."""
    assert on_screen("one\n\ttwo") == "one\n\ttwo"
    assert in_line("one\n\ttwo") == r"one\n\ttwo"


def test_neither_answers_nor_errors_steer_a_terminal(capsys):
    """The two doors of every command."""
    app = typer.Typer()

    @command(app, "say")
    def say() -> Answer:
        return Answer({}, HIDES, notes=(HIDES,))

    ended = CliRunner().invoke(app, [])
    write_error(next(iter(ENTRIES)), HIDES, as_json=False)

    for text in (ended.stdout, ended.stderr, capsys.readouterr().err):
        assert r"Hospital A\x1b[8m" in text
        assert "\x1b" not in text
