"""A link is a secret: there is a way to give it that no other user of the machine sees."""

import pytest
from typer.testing import CliRunner

from veilsum.cli import app

NO_LINK = "this is no link to join with"


def join(*words, text=None):
    return CliRunner().invoke(app, ["participant", "join", *words], input=text)


def test_a_link_is_read_from_stdin_or_from_a_file(tmp_path):
    """What stands there is looked at, as what is typed is."""
    (tmp_path / "link").write_text("not one")

    for ended in (
        join("-", text="not one"),
        join("--link-file", str(tmp_path / "link")),
        join("not one"),
    ):
        assert ended.exit_code == 2
        assert NO_LINK in ended.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "nobody is there to ask for the link"),
        (("veilsum://a", "--link-file", "b"), "give one of them"),
        (("--link-file", "nowhere"), "No such file"),
    ],
)
def test_a_link_that_is_not_given_once_is_said_to_be_missing(words, says):
    ended = join(*words)

    assert ended.exit_code == 2
    assert says in ended.stderr
