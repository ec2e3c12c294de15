"""Every command has `--json`, one object on stdout, and exit statuses that a table explains."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from privacy.errors import BudgetExhausted, ConfigError, InvariantBroken, VeilsumError
from tests.source_tree import ROOT
from veilsum.catalogue import ENTRIES, STATUSES
from veilsum.cli import app
from veilsum.cli.surface import (
    INTERRUPTED,
    SOFTWARE,
    USAGE,
    Answer,
    AsJson,
    Command,
    Root,
    command,
)
from veilsum.cli.walk import commands
from veilsum.process import EXIT_CODES

COMMANDS = dict(commands(app))

ERROR_KEYS = {"code", "who_acts", "message", "fix"}

WHILE_JOINING = {"join", "confirm", "admit", "status"}
"""Commands that make a file of settings, or read the few lines that one has before it is whole."""


def options(name: str) -> set[str]:
    """The options of a command as they are typed."""
    return {word for param in COMMANDS[name].params for word in param.opts}


def run(*words: str, of: typer.Typer = app) -> Any:
    """Run a command line; stdout, stderr and the exit status of it."""
    return CliRunner().invoke(of, list(words))


def one_command(function: Callable[..., Answer | None], **named: Any) -> typer.Typer:
    """A command line of two commands, one of which is `do`."""
    small = typer.Typer(cls=Root, rich_markup_mode=None)
    command(small, "do", **named)(function)
    command(small, "rest")(lambda: None)
    return small


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_json_and_documented_statuses(name: str) -> None:
    """A script asks any command in the same way, and knows how it may end."""
    made = COMMANDS[name]

    assert isinstance(made, Command), f"make {name} with veilsum.cli.surface.command"
    assert "--json" in options(name)
    assert all(means.endswith(".") for means in made.callback.verdicts.values())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_verdict_stands_in_the_table(name: str) -> None:
    """Also in `veilsum explain NUMBER`, which is made from the same values."""
    page = (ROOT / "docs" / "errors.md").read_text()

    for number, means in COMMANDS[name].callback.verdicts.items():
        assert f"| `{name}` | {number} | {means} |" in page


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_whatever_reads_settings_takes_them_from_the_command_line_too(name: str) -> None:
    """File, environment, flag: for every command, or an operator has to remember for which."""
    if name.rpartition(" ")[2] not in WHILE_JOINING:
        assert ("--config" in options(name)) <= ("--set" in options(name))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_mistake_in_any_command_line_is_one_object(name: str) -> None:
    """The library's own words would go to stderr, and leave a program with nothing to read."""
    ended = run(*name.split()[1:], "--no-such-option", "--json")

    assert set(json.loads(ended.stdout)) == ERROR_KEYS
    assert json.loads(ended.stdout)["code"] == "usage"
    assert ended.exit_code in {2, USAGE}


@pytest.mark.parametrize("words", [("nothing",), ("audit", "nothing"), ()])
def test_a_command_that_there_is_not_is_one_object_too(words: tuple[str, ...]) -> None:
    ended = run(*words, "--json")

    assert json.loads(ended.stdout)["code"] == "usage"
    assert ended.exit_code == 2


def sources() -> list[Path]:
    """The files of commands; the surface prints for all of them."""
    here = sorted((ROOT / "veilsum" / "cli").glob("*.py"))
    return [path for path in here if path.name != "surface.py"]


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_no_command_catches_errors_or_ends_by_itself(path: Path) -> None:
    """It would print words where an object was asked for."""
    tree = ast.parse(path.read_text())

    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert not {"exit_status", "SystemExit", "print"} & (named | imported)


def test_an_answer_is_words_or_one_object() -> None:
    """Both from one value; what is said beside it goes to stderr, where it breaks no object."""
    small = one_command(lambda: Answer({"rounds": 3}, "3 rounds", notes=("one is live",)))

    words, as_json = run("do", of=small), run("do", "--json", of=small)

    assert (words.stdout, words.stderr) == ("3 rounds\n", "one is live\n")
    assert (as_json.stdout, as_json.stderr) == ('{"rounds":3}\n', "one is live\n")


def test_a_command_that_has_nothing_to_say_says_so_in_json() -> None:
    """A program reads one object after every command, also after a service has ended."""
    small = one_command(lambda: None)

    assert run("do", of=small).stdout == ""
    assert json.loads(run("do", "--json", of=small).stdout) == {"status": 0}


def test_a_verdict_is_the_exit_status_and_the_object_stays() -> None:
    small = one_command(lambda: Answer({"held": False}, "no", 1), verdicts={1: "It does not hold."})

    ended = run("do", "--json", of=small)

    assert (ended.exit_code, json.loads(ended.stdout)) == (1, {"held": False})


def test_a_list_is_no_answer() -> None:
    """An object can have another field one day, and a list cannot."""
    ended = run("do", "--json", of=one_command(lambda: Answer([1, 2], "1 2")))

    assert (ended.stdout, type(ended.exception)) == ("", AssertionError)


def fails(error: BaseException) -> Callable[[], Answer]:
    """A command that ends with an error."""

    def do() -> Answer:
        raise error

    return do


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("a key is missing"), 2),
        (BudgetExhausted(spent=2.6, cost=0.7, limit=3.0), 4),
        (InvariantBroken("counted twice"), 70),
    ],
)
def test_an_error_says_who_acts_and_how_as_one_object(error: VeilsumError, status: int) -> None:
    """The same words as `veilsum explain` has, at the moment when they are needed."""
    ended = run("do", "--json", of=one_command(fails(error)))

    said = json.loads(ended.stdout)
    assert said == {
        "code": error.code,
        "who_acts": error.who_acts,
        "message": str(error),
        "fix": ENTRIES[error.code].fix,
    }
    assert ended.exit_code == status


def test_without_json_an_error_is_two_lines_on_stderr() -> None:
    ended = run("do", of=one_command(fails(ConfigError("a key is missing"))))

    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "veilsum: a key is missing",
        "  config; who must act: the operator of this process",
    ]


def test_what_nobody_has_foreseen_is_internal_and_leaves_its_traceback() -> None:
    """The developers want the traceback, and a program an object."""
    ended = run("do", "--json", of=one_command(fails(RuntimeError("never"))))

    assert json.loads(ended.stdout)["code"] == "internal"
    assert "RuntimeError: never" in ended.stderr
    assert ended.exit_code == 1


@pytest.mark.parametrize(
    ("error", "status"), [(ConfigError("gone"), 3), (RuntimeError("never"), SOFTWARE)]
)
def test_a_command_of_verdicts_gives_none_after_an_error(error: Exception, status: int) -> None:
    """1 and 2 would say of the evidence what is only true of the reader."""
    small = one_command(fails(error), verdicts={3: "It cannot be read."}, without_verdict=3)

    assert run("do", of=small).exit_code == status
    assert run("do", "--nothing", of=small).exit_code == USAGE


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [(KeyboardInterrupt(), "interrupted", INTERRUPTED), (typer.Abort(), "aborted", 1)],
)
def test_what_a_person_stops_is_one_object_too(
    error: BaseException, code: str, status: int
) -> None:
    ended = run("do", "--json", of=one_command(fails(error)))

    assert json.loads(ended.stdout)["code"] == code
    assert ended.exit_code == status


def test_a_command_may_ask_whether_json_was_asked_for() -> None:
    """To put a question to stderr, say; the option is still there once."""

    def do(*, as_json: AsJson = False) -> Answer:
        return Answer({"as_json": as_json}, str(as_json))

    assert json.loads(run("do", "--json", of=one_command(do)).stdout) == {"as_json": True}
    assert run("do", of=one_command(do)).stdout == "False\n"


def test_the_table_of_statuses_holds_every_one_that_the_code_ends_with() -> None:
    """Whoever writes a unit file or a script reads that table."""
    told = {each.number for each in STATUSES}

    assert set(EXIT_CODES.values()) | {0, USAGE, SOFTWARE, INTERRUPTED} <= told
    for kind, number in EXIT_CODES.items():
        means = next(each.means for each in STATUSES if each.number == number)
        word = {ConfigError: "configuration"}.get(kind, kind.code)  # type: ignore[call-overload]
        assert word in means.lower()


@pytest.mark.parametrize("words", [(), ("audit",), ("coordinator", "database")])
def test_help_of_any_depth_is_found_by_its_words(words: tuple[str, ...]) -> None:
    ended = run(*words, "--help")

    assert ended.stdout.startswith(f"Usage: {' '.join(('veilsum', *words))} ")
    assert ended.exit_code == 0
