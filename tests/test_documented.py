"""What the code offers, the documents name: public names, errors, settings, commands."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main

import coordinator.config
import participant.auditing.config
import participant.config
import participant.joining.operator_config
import participant.seat.config
import veilsum.settling.terms_file
from tests import command_pages
from tests.source_tree import ROOT, parsed, public_definitions, source_files
from tests.test_architecture import every_error

SETTINGS = {
    "coordinator.toml": coordinator.config.Settings,
    "driver.toml": coordinator.config.DriverSettings,
    "site.toml": participant.config.SiteConfig,
    "auditor.toml": participant.auditing.config.AuditorConfig,
    "aggregator.toml": participant.seat.config.AggregatorConfig,
    "operator.toml": participant.joining.operator_config.OperatorConfig,
    "programme.toml": veilsum.settling.terms_file.ProgrammeFile,
}


def document(name: str) -> str:
    """The text of one document."""
    return (ROOT / "docs" / name).read_text()


def setting_names(struct: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings below a configuration struct."""
    for field in msgspec.structs.fields(struct):
        inner = [kind for kind in alternatives(field.type) if is_struct(kind)]
        if not inner:
            yield f"{prefix}{field.encode_name}"
        for kind in inner:
            yield from setting_names(kind, f"{prefix}{field.encode_name}.")


def alternatives(kind: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    return getattr(kind, "__args__", None) or (kind,)


def is_struct(kind: Any) -> bool:
    """True for a nested table of settings."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def environment_names() -> set[str]:
    """Every environment variable of ours that the product's code names."""
    texts = ((ROOT / path).read_text() for path in source_files())
    return {name for text in texts for name in re.findall(r"VEILSUM_[A-Z_]*[A-Z]", text)}


def command_names() -> list[str]:
    """Every command as it is typed, without its options."""
    import veilsum.cli  # noqa: PLC0415 - its absence fails one test, not all of the file

    return sorted(below(typer.main.get_command(veilsum.cli.app), "veilsum"))


def below(command: Any, name: str) -> Iterator[str]:
    """A command's leaves."""
    children = getattr(command, "commands", {})
    if not children:
        yield name
    for word, child in children.items():
        yield from below(child, f"{name} {word}")


@pytest.mark.parametrize("path", source_files(), ids=str)
def test_public_names_have_docstrings(path: Path) -> None:
    """A name without a sentence is a name that only its author can use."""
    tree = parsed(path)

    silent = [node.name for node in public_definitions(tree) if not ast.get_docstring(node)]

    assert ast.get_docstring(tree)
    assert silent == []


@pytest.mark.parametrize("code", sorted(error.code for error in every_error()))
def test_error_codes_are_documented(code: str) -> None:
    """An operator looks up the code that the screen shows."""
    assert f"`{code}`" in document("errors.md")


@pytest.mark.parametrize("file", sorted(SETTINGS))
def test_settings_are_documented(file: str) -> None:
    """Each setting by its dotted name, as in `listen.address`."""
    text = document("configuration.md")

    missing = [name for name in setting_names(SETTINGS[file]) if f"`{name}`" not in text]

    assert missing == []


def test_environment_variables_are_documented() -> None:
    """Nothing steers a process that its operator cannot read about."""
    text = document("configuration.md")

    assert [name for name in sorted(environment_names()) if f"`{name}`" not in text] == []


def test_commands_are_documented() -> None:
    """Each command as it is typed, as in `veilsum demo`."""
    text = document("commands.md")

    assert [name for name in command_names() if f"`{name}`" not in text] == []


def test_the_help_that_is_shown_is_the_help_that_is_printed() -> None:
    """`python -m tests.command_pages` writes it, of every command."""
    text = document("commands.md")

    assert text == command_pages.written(text)
