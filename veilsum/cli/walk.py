"""Every command there is, with the words that are typed for it."""

from collections.abc import Iterator
from typing import Any

import typer
import typer.main


def commands(app: typer.Typer) -> Iterator[tuple[str, Any]]:
    """Yield each command of `app`, such as `veilsum audit sum`, in the order of help."""
    yield from _below(typer.main.get_command(app), "veilsum")


def _below(command: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - the library's
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for word, child in children.items():
        yield from _below(child, f"{name} {word}")
