"""Settings as typed values, from TOML text: unknown keys are refused, and named."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .errors import ConfigError

Settings = TypeVar("Settings", bound=msgspec.Struct)


def decode(text: str, kind: type[Settings], name: str) -> Settings:
    """Return the settings that `text` says.

    Args:
        name: of the file, for the message.

    Raises:
        ConfigError: not TOML, a key unknown or missing, or a value not of its type.
    """
    try:
        return msgspec.convert(tomllib.loads(text), type=kind, strict=True, dec_hook=_path)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, TypeError) as error:
        raise ConfigError(f"{name}: {error}") from None


def _path(kind: type[Any], value: object) -> Path:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
