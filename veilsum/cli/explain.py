"""`veilsum explain`: what a code, an error's class or an exit status means, without a network."""

import re
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .surface import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from privacy.errors import VeilsumError

_WIDTH = 88
_LINK = re.compile(r"\[([^]]*)\]\(([^)]*)\)")


def explain(
    what: Annotated[
        str,
        typer.Argument(metavar="CODE", help="A code, a class's name, or an exit status."),
    ],
) -> Answer:
    """Say what an error means, who must act, and what to do; no network is needed."""
    if what.isdecimal():
        return _status(int(what))
    return _code(what)


def _code(what: str) -> Answer:
    from veilsum.catalogue import ENTRIES, entry_of  # noqa: PLC0415

    classes = _classes()
    by_class = {kind.__name__.lower(): code for code, kind in classes.items()}
    code = what if what in ENTRIES else by_class.get(what.lower(), what.lower().replace("-", "_"))
    if code not in ENTRIES:
        raise _unknown(what, [*ENTRIES, *(kind.__name__ for kind in classes.values())])
    entry, kind = entry_of(code), classes.get(code)
    said: dict[str, Any] = {
        "code": code,
        "class": kind.__name__ if kind else None,
        "who_acts": entry.who_acts or (kind.who_acts if kind else ""),
        "means": _plain(entry.means),
        "fix": _plain(entry.fix),
        "status": _status_of(kind, code),
    }
    return Answer(said, "\n".join(_page(said)))


def _classes() -> "dict[str, type[VeilsumError]]":
    from privacy.errors import VeilsumError  # noqa: PLC0415

    return {kind.code: kind for kind in _below(VeilsumError)}


def _below(kind: "type[VeilsumError]") -> "Iterator[type[VeilsumError]]":
    yield kind
    for child in kind.__subclasses__():
        yield from _below(child)


def _status_of(kind: "type[VeilsumError] | None", code: str) -> int:
    from veilsum.process import EXIT_CODES  # noqa: PLC0415

    if kind is None:
        return {"usage": 2, "aborted": 1, "interrupted": 130}[code]
    return next(EXIT_CODES[one] for one in kind.__mro__ if one in EXIT_CODES)


def _page(said: dict[str, Any]) -> "Iterator[str]":
    name = f" ({said['class']})" if said["class"] else ""
    yield f"{said['code']}{name}, exit status {said['status']}"
    for heading, words in (
        ("Means", said["means"]),
        ("Who must act", said["who_acts"]),
        ("Do", said["fix"]),
    ):
        yield ""
        yield f"{heading}:"
        yield _wrapped(words, "  ", "  ")


def _status(number: int) -> Answer:
    from veilsum.catalogue import STATUSES  # noqa: PLC0415

    found = next((each for each in STATUSES if each.number == number), None)
    if found is None:
        raise _unknown(str(number), [str(each.number) for each in STATUSES])
    means = _plain(found.means)
    others = _verdicts(number)
    lines = [_wrapped(f"exit status {number}: {means}", "", "  ")]
    lines += [_wrapped(f"{name}: {words}", "  ", "    ") for name, words in others.items()]
    said = {"status": number, "means": means, "verdicts": others}
    return Answer(said, "\n".join(lines))


def _verdicts(number: int) -> dict[str, str]:
    """Return what a status is the verdict of, by the commands that have it."""
    from . import app  # noqa: PLC0415 - it holds this command too
    from .walk import commands  # noqa: PLC0415

    found = ((name, command.callback.verdicts) for name, command in commands(app))
    return {name: _plain(told[number]) for name, told in found if number in told}


def _wrapped(words: str, first: str, others: str) -> str:
    # Not at hyphens: a page's name, or a command's, is typed as it stands.
    return textwrap.fill(
        words, _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False
    )


def _plain(words: str) -> str:
    """Return words for a screen: a link becomes the name of a page of docs/."""
    return _LINK.sub(r"\1 (docs/\2)", words).replace("**", "")


def _unknown(what: str, known: list[str]) -> Exception:
    import difflib  # noqa: PLC0415

    from privacy.errors import ConfigError  # noqa: PLC0415

    near = difflib.get_close_matches(what, known, 3, 0.5)
    hint = f"; near to it: {', '.join(near)}" if near else "; docs/errors.md lists all of them"
    return ConfigError(f"there is no code, class or exit status {what}{hint}")
