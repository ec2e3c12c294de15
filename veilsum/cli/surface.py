"""What every command has: `--json`, one object on stdout, and exit statuses that a table explains.

A command returns an `Answer` or raises; it prints nothing itself, so that both forms of what it
says come from one value:

    @command(coordinator_app, "members")
    def coordinator_members(config: ConfigFile, sets: Sets = None) -> Answer:
        settings = read(config, over(sets))
        ...
        return Answer(members, "\\n".join(lines))
"""

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, ParamSpec

import typer
from typer.core import TyperCommand, TyperGroup

from veilsum.process import exit_status, write_error
from veilsum.screen import on_screen

if TYPE_CHECKING:
    from privacy.configuration import Over

P = ParamSpec("P")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
"""For a command that must know it; all others have the option without naming it."""

Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A setting over the file's, by its name; repeat it."
    ),
]
"""What goes over the file and the environment; beside each `--config`."""

USAGE: Final = 64
"""EX_USAGE of sysexits.h. Elsewhere it is 2, which would say here that evidence was changed."""

SOFTWARE: Final = 70
"""EX_SOFTWARE. Python's own is 1, which would say here that a policy was breached."""

INTERRUPTED: Final = 130
"""As shells have it."""

_LIBRARYS: Final = 2

_OPTION: Final = "as_json"


class Answer(NamedTuple):
    """What a command has to say, for programs and for people.

    Attributes:
        value: what `--json` prints, whatever msgspec encodes as an object.
        words: the same for people; or what shows it, where that is more than text.
        status: of the command, by its table of verdicts.
        notes: what people are told beside it, on stderr in either form.
    """

    value: object
    words: str | Callable[[], None] = ""
    status: int = 0
    notes: Sequence[str] = ()


class Command(TyperCommand):
    """A command of ours; its callback's `verdicts` says what its own exit statuses mean."""


class Verdicts(Command):
    """A command that ends with a verdict only if it has come to one."""

    def make_context(self, *words: Any, **named: Any) -> Any:  # noqa: ANN401 - as it is inherited
        """Read the command line; a mistake in it ends with `USAGE`."""
        try:
            return super().make_context(*words, **named)
        except Exception as error:
            # The library's class of these mistakes is not public; their status is.
            if getattr(error, "exit_code", 0) == _LIBRARYS:
                setattr(error, "exit_code", USAGE)  # noqa: B010 - as above
            raise

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as it is inherited
        """Run the command; one that is interrupted has no verdict either."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None


class Root(TyperGroup):
    """All commands; with `--json` what is wrong with the command line is an object too."""

    def main(self, args: Sequence[str] | None = None, *words: Any, **named: Any) -> Any:  # noqa: ANN401 - as it is inherited
        """Run a command line; does not return unless the caller asks for it."""
        typed = list(sys.argv[1:] if args is None else args)
        if "--help" in typed:
            self._show_help(typed, named)
        if "--json" not in typed or not named.get("standalone_mode", True):
            return super().main(typed, *words, **named)
        named["standalone_mode"] = False
        try:
            status = super().main(typed, *words, **named)
        except typer.Abort:
            sys.exit(_say_outside("aborted", "nothing was done: the question was not answered", 1))
        except Exception as error:
            # The library's class of these mistakes is not public; what it has is.
            if not hasattr(error, "format_message"):
                raise
            sys.exit(_say_outside("usage", error.format_message(), getattr(error, "exit_code", 2)))
        if status == INTERRUPTED:
            _say_outside("interrupted", "stopped from the keyboard", INTERRUPTED)
        sys.exit(status if isinstance(status, int) else 0)

    def _show_help(self, typed: Sequence[str], named: Mapping[str, Any]) -> None:
        """Print the help of the command that is named, and exit; return if there is none.

        The library would first load what checks the types of values, for values that there are not.
        """
        found: Any = self
        context = self.context_class(self, info_name=named.get("prog_name") or "veilsum")
        for word in typed:
            if word.startswith("-") or not hasattr(found, "commands"):
                break
            if word not in found.commands:
                return
            found = found.commands[word]
            context = found.context_class(found, info_name=word, parent=context)
        typer.echo(context.get_help())
        sys.exit(0)


def command(
    app: typer.Typer,
    name: str,
    *,
    verdicts: Mapping[int, str] | None = None,
    without_verdict: int | None = None,
) -> Callable[[Callable[P, Answer | None]], Callable[P, None]]:
    """Return what makes a function the command `name` of `app`, with `--json` and its statuses.

    The function returns an `Answer`, or nothing where its status says it all. An error that it
    raises ends as every error does: in words on stderr or as an object on stdout, with the exit
    status of its family.

    Args:
        verdicts: for a command whose status is a verdict, what each one means.
        without_verdict: its status after an error, one of `verdicts`; what nobody has foreseen
            then ends with `SOFTWARE`, and a mistake in the command line with `USAGE`.
    """

    def made(function: Callable[P, Answer | None]) -> Callable[P, None]:
        run = _ending(function, without_verdict)
        setattr(run, "verdicts", dict(verdicts or {}))  # noqa: B010 - functions have no such field
        app.command(name, cls=Command if without_verdict is None else Verdicts)(run)
        return run

    return made


def over(sets: list[str] | None) -> "Over":
    """Return what goes over a file of settings: this process's environment, then `--set`."""
    from privacy.configuration import Over  # noqa: PLC0415

    return Over(dict(os.environ), tuple(sets or ()), _is_set_elsewhere)


def _is_set_elsewhere(key: str) -> bool:
    """Return whether a name is a setting of some process of Veilsum that is installed here."""
    from contextlib import suppress  # noqa: PLC0415

    from privacy.configuration import is_setting  # noqa: PLC0415

    from .kinds import Kind, type_of  # noqa: PLC0415

    for kind in Kind:
        with suppress(ImportError):
            if is_setting(key, type_of(kind)):
                return True
    return False


def _ending(function: Callable[P, Answer | None], without_verdict: int | None) -> Callable[P, None]:
    signature = inspect.signature(function)
    knows = _OPTION in signature.parameters

    @functools.wraps(function)
    def run(*words: P.args, **named: P.kwargs) -> None:
        as_json = bool(named[_OPTION] if knows else named.pop(_OPTION, False))
        with exit_status(as_json=as_json, status=without_verdict):
            answer = _foreseen(function, without_verdict, as_json)(*words, **named)
        if answer is not None or as_json:
            _print(answer or Answer({"status": 0}), as_json=as_json)

    if not knows:
        option = inspect.Parameter(
            _OPTION, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson
        )
        parameters = [*signature.parameters.values(), option]
        setattr(run, "__signature__", signature.replace(parameters=parameters))  # noqa: B010
    return run


def _foreseen(
    function: Callable[P, Answer | None], without_verdict: int | None, as_json: bool
) -> Callable[P, Answer | None]:
    """Return `function` with an end for what nobody has foreseen: the process's edge."""

    def run(*words: P.args, **named: P.kwargs) -> Answer | None:
        from privacy.errors import VeilsumError  # noqa: PLC0415

        try:
            return function(*words, **named)
        except (VeilsumError, typer.Exit, typer.Abort):
            raise
        except Exception as error:
            # The library's own, such as a bad parameter, say for themselves what is wrong.
            if hasattr(error, "format_message"):
                raise
            traceback.print_exc()
            if as_json:
                write_error("internal", "stderr holds the traceback", as_json=True)
            raise SystemExit(1 if without_verdict is None else SOFTWARE) from None

    return run


def _print(answer: Answer, *, as_json: bool) -> None:
    for note in answer.notes:
        typer.echo(on_screen(note), err=True)
    if as_json:
        import msgspec  # noqa: PLC0415

        text = msgspec.json.encode(answer.value, enc_hook=str).decode()
        assert text.startswith("{"), "an object can grow another field, and a list cannot"
        typer.echo(text)
    elif callable(answer.words):
        answer.words()
    elif answer.words:
        typer.echo(on_screen(answer.words))
    if answer.status:
        raise SystemExit(answer.status)


def _say_outside(code: str, message: str, status: int) -> int:
    write_error(code, message, as_json=True)
    return status
