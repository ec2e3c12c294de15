"""One file for whoever helps: findings, settings, versions and the end of a log, without secrets.

Paths stay; what is in the files they name is never read. How many records a dataset has stays
here too.
"""

import io
import json
import platform
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from privacy.errors import ConfigError
from veilsum.files import read_file, write_new
from veilsum.release import RELEASE

from .packages import locked_versions, versions
from .redact import REMOVED, redacted, without_keys, without_secrets
from .report import Report

LAST_LINES: Final = 500
_MOST_LOG: Final = 4 << 20

_SECRET_NAMES: Final = (
    "password",
    "passphrase",
    "secret",
    "token",
    "key",
    "keystore",
    "credential",
)
_PUBLIC_DIGESTS: Final = frozenset({"roster", "initial", "first_model", "models"})
_ABOUT_PEOPLE: Final = frozenset({"records", "records_per_unit"})
_MOST_WORD: Final = 40


def write_bundle(target: Path, report: Report, settings: Path | None, log: Path | None) -> None:
    """Write the bundle to a new file that only its owner reads.

    Args:
        settings: the file of settings, if there is one.
        log: of which the last lines go in, if there is one.

    Raises:
        ConfigError: there is such a file already, or one of those cannot be read.
        StoreUnavailable: the disk refuses.
    """
    parts = {
        "findings.json": _pretty(without_secrets_in(msgspec.to_builtins(report))),
        "versions.json": _pretty(_versions()),
    }
    if settings is not None:
        parts["settings.json"] = _pretty(_settings(settings))
    if log is not None:
        parts["log.txt"] = "".join(f"{_line(each)}\n" for each in _last_lines(log))
    if not write_new(target, _tar(parts)):
        raise ConfigError(f"{target} exists; name another file, or delete that one")


def _tar(parts: Mapping[str, str]) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        for name, text in parts.items():
            # No user's name, no time of a file: what is in it says enough.
            member = tarfile.TarInfo(f"veilsum-doctor/{name}")
            encoded = text.encode()
            member.size, member.mode = len(encoded), 0o600
            tar.addfile(member, io.BytesIO(encoded))
    return body.getvalue()


def _versions() -> dict[str, Any]:
    installed, locked = versions(), locked_versions()
    return {
        "veilsum": RELEASE,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "grpcio": version("grpcio"),
        "bits": sys.maxsize.bit_length() + 1,
        "packages": {name: installed[name] for name in sorted(locked) if name in installed},
    }


def _settings(path: Path) -> Any:  # noqa: ANN401 (whatever TOML has)
    try:
        return without_values(tomllib.loads(read_file(path).decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return {"unreadable": type(error).__name__}


def without_values(value: Any, name: str = "") -> Any:  # noqa: ANN401 (whatever TOML has)
    """Return settings without what may be a secret, or is about how many people.

    Where a secret belongs is the path of a file, so what is no path there is taken out.
    """
    if isinstance(value, dict):
        return {each: without_values(inner, each) for each, inner in value.items()}
    if isinstance(value, list):
        return [without_values(each, name) for each in value]
    if name in _ABOUT_PEOPLE:
        return REMOVED
    return _word(value, name) if isinstance(value, str) else value


def _word(value: str, name: str) -> str:
    if _is_secret(name):
        return value if value.startswith(("/", "./", "../")) else REMOVED
    shown = without_secrets(value)
    harmless = name in _PUBLIC_DIGESTS or "/" in shown or len(shown) < _MOST_WORD
    return shown if harmless else REMOVED


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_NAMES)


def without_secrets_in(value: Any, name: str = "") -> Any:  # noqa: ANN401 (whatever JSON has)
    """Return what a process says of itself, with every text in it redacted.

    Before it is text itself: quotation marks in quotation marks hide where a secret ends.
    """
    if isinstance(value, dict):
        return {each: without_secrets_in(inner, each) for each, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets_in(each, name) for each in value]
    if not isinstance(value, str):
        return value
    return _word(value, name) if _is_secret(name) else redacted(value)


def _line(text: str) -> str:
    try:
        said = json.loads(text)
    except ValueError:
        return redacted(text)
    return json.dumps(without_secrets_in(said), ensure_ascii=False)


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _MOST_LOG))
            text = log.read().decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    # Before it is cut into lines, of which none looks like a key's file any more.
    return without_keys(text).splitlines()[-LAST_LINES:]


def _pretty(value: Any) -> str:  # noqa: ANN401 (whatever JSON has)
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
