"""`veilsum config`: what a process would be set to, and who says so."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .config_file import ConfigFile
from .kinds import Kind, type_of
from .surface import Answer, Sets, command, over

if TYPE_CHECKING:
    from pathlib import Path

    from privacy.configuration import Over, Setting

config_app = typer.Typer(no_args_is_help=True, help="Look at settings.")


@command(config_app, "show")
def config_show(
    *,
    config: ConfigFile,
    kind: Annotated[
        Kind | None, typer.Option(help="Whose file it is; by default the one it is named after.")
    ] = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Also print where each value came from.")
    ] = False,
    sets: Sets = None,
) -> Answer:
    """Print every setting as a process would have it; it starts nothing."""
    whose = kind or _by_name(config)
    found = _settings(config, whose, over(sets))
    said = {
        "kind": str(whose),
        "file": str(config),
        "settings": [_said(setting) for setting in found],
    }
    return Answer(said, "\n".join(_lines(found, origin=origin)))


def _by_name(config: "Path") -> Kind:
    from privacy.errors import ConfigError  # noqa: PLC0415

    if config.stem in list(Kind):
        return Kind(config.stem)
    raise ConfigError(
        f"{config}: say with --kind whose settings they are; one of {', '.join(Kind)}"
    )


def _settings(config: "Path", kind: Kind, over: "Over") -> "list[Setting]":
    from privacy.configuration import explain  # noqa: PLC0415
    from veilsum.files import read_text  # noqa: PLC0415

    return explain(read_text(config), type_of(kind), str(config), over)


def _said(setting: "Setting") -> dict[str, Any]:
    origin = {"kind": setting.origin.kind, "where": setting.origin.where}
    return {"name": setting.name, "value": _shown(setting.value), "origin": origin}


def _shown(value: Any) -> Any:  # noqa: ANN401 - TOML's
    """Return a value without the password in an address, which no process would start with."""
    import re  # noqa: PLC0415

    if isinstance(value, str):
        return re.sub(r"(?<=://)([^/?#:@]*):[^/?#]*@", r"\1:***@", value)
    return [_shown(each) for each in value] if isinstance(value, list) else value


def _lines(settings: "list[Setting]", *, origin: bool) -> list[str]:
    rows = [(f"{each.name} = {_toml(_shown(each.value))}", str(each.origin)) for each in settings]
    if not origin:
        return [value for value, _ in rows]
    width = max(len(value) for value, _ in rows)
    return [f"{value:<{width}}  {where}" for value, where in rows]


def _toml(value: Any) -> str:  # noqa: ANN401 - whatever a setting is
    import msgspec  # noqa: PLC0415

    # JSON's words, numbers, strings and lists of them are TOML's too; only nothing is not.
    return "(none)" if value is None else msgspec.json.encode(value).decode()
