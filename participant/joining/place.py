"""Where a member is, and whom it calls: what its file says before its policy is complete.

`confirm`, `admit` and `status` are run while lines are still missing; they read no others. And
`confirm` writes one: the roster's fingerprint, into a file that is somebody's own. Nothing else
of that file changes, not a comment and not a space; that it reads as it should is checked first.
"""

import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import msgspec

from participant.config import CoordinatorAddress
from privacy.errors import ConfigError
from privacy.identifiers import Digest, FederationId, ParticipantId
from privacy.learned import learned
from veilsum.files import disk_errors, read_file, write_durably

_KEYS: Final = ("federation", "participant", "state", "coordinator")
_COMMENTED: Final = re.compile(r"\s*#\s*roster\s*=")
_TABLE: Final = re.compile(r"\s*\[\s*policy\s*\]")


class Place(msgspec.Struct, frozen=True):
    """The part of a member's file that joining has filled in.

    Attributes:
        roster: the fingerprint that was confirmed; None before.
    """

    federation: FederationId
    participant: ParticipantId
    state: Path
    coordinator: CoordinatorAddress
    roster: Digest | None = None

    def fingerprint(self) -> Digest:
        """Return the fingerprint that was confirmed.

        Raises:
            ConfigError: none was; it must be, first.
        """
        if self.roster is None:
            raise ConfigError(
                "policy.roster is not set: compare the members first, by `veilsum participant "
                "confirm` (or `auditor`, or `aggregator`)"
            )
        return self.roster


def read_place(path: Path) -> Place:
    """Return what the TOML file at `path` says of a member's place.

    Raises:
        ConfigError: the file cannot be read, or such a line is missing or not of its type.
    """
    document = _document(_text(path), path)
    known: dict[str, object] = {key: document[key] for key in _KEYS if key in document}
    policy = document.get("policy", {})
    if isinstance(policy, dict) and "roster" in policy:
        known["roster"] = policy["roster"]
    try:
        return msgspec.convert(known, learned(Place), strict=True, dec_hook=_path)
    except (msgspec.ValidationError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def check_proxy(proxy: str) -> None:
    """Return if `proxy` can stand in a member's file.

    Raises:
        ConfigError: it cannot; give http://HOST:PORT, without a name or a password.
    """
    nowhere = {"address": "nowhere:1", "authority": "none", "certificate": "none"}
    try:
        msgspec.convert({**nowhere, "proxy": proxy}, learned(CoordinatorAddress), dec_hook=_path)
    except msgspec.ValidationError:
        raise ConfigError("--proxy: give http://HOST:PORT, without a name or a password") from None


def write_roster(path: Path, fingerprint: Digest) -> bool:
    """Write `policy.roster` into a member's file; return whether it was not there before.

    Raises:
        ConfigError: another fingerprint stands there; it is not replaced. Or the file is of a
            form in which this command finds no place for the line.
        StoreUnavailable: the disk refuses.
    """
    path = path.resolve()
    text = _text(path)
    document = _document(text, path)
    held = document.get("policy", {}).get("roster")
    if held == fingerprint:
        return False
    if held is not None:
        raise ConfigError(
            f"{path}: policy.roster is {held} already: another roster was confirmed here before. "
            "If that was a mistake, or the operator has opened version 0 again, as the other "
            "members say by phone too, take that line out by hand, and confirm again"
        )
    wanted = deepcopy(document)
    wanted.setdefault("policy", {})["roster"] = fingerprint
    line = f'roster = "{fingerprint}"'
    for changed in _candidates(text, line):
        if _reads_as(changed, wanted):
            _replace(path, changed)
            return True
    raise ConfigError(f"{path}: write this line yourself, into its table [policy]: {line}")


def _candidates(text: str, line: str) -> Iterator[str]:
    """Yield the text with the line in each place where it may belong, the likeliest first."""
    lines = text.split("\n")
    for at, each in enumerate(lines):
        if _COMMENTED.match(each):
            yield "\n".join([*lines[:at], line + _end(each), *lines[at + 1 :]])
    for at, each in enumerate(lines):
        if _TABLE.match(each):
            yield "\n".join([*lines[: at + 1], line + _end(each), *lines[at + 1 :]])
    yield f"{text.rstrip()}\n\n[policy]\n{line}\n"


def _end(line: str) -> str:
    return "\r" if line.endswith("\r") else ""


def _reads_as(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False


def _replace(path: Path, text: str) -> None:
    with disk_errors(path):
        mode = path.stat().st_mode & 0o777
        write_durably(path, text.encode())
        path.chmod(mode)  # it may be for a group to read; no secret is in it


def _text(path: Path) -> str:
    try:
        return read_file(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {error.reason} at byte {error.start}") from None


def _document(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None


def _path(kind: type[Any], value: object) -> Path:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
