"""`veilsum coordinator init`, `invite`, `approve` and what else an operator does."""

import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from veilsum.screen import in_line

from .config_file import ConfigFile
from .surface import Answer, Sets, command, over

if TYPE_CHECKING:
    from participant.joining.operator_config import OperatorConfig
    from participant.wire.operating import Invited, Operator
    from privacy.roster import Roster

T = TypeVar("T")

_LONGEST_SECONDS: Final = 30 * 86_400
_LONGEST_REASON: Final = 500
_WORDS: Final = 4

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The member.")]
_Reason = Annotated[str, typer.Option(help="What the member is told.")]
_Words = Annotated[
    str, typer.Option(help="The four words that the member shows, as it read them to you.")
]

_HEADINGS: Final = {"participant": "member"}

_TTL: Final = re.compile(r"([1-9][0-9]{0,7})([smhd])")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_operating(app: typer.Typer) -> None:
    """Give `veilsum coordinator` what its operator does."""
    for name, function in (
        ("init", _init),
        ("invite", _invite),
        ("invitations", _invitations),
        ("approve", _approve),
        ("refuse", _refuse),
        ("found", _found),
        ("reopen", _reopen),
        ("propose", _propose),
        ("members", _members),
        ("revoke", _revoke),
        ("recertify", _recertify),
    ):
        command(app, name)(function)


def _init(
    folder: Annotated[Path, typer.Argument(help="A new folder for all of it.")],
    federation: Annotated[str, typer.Option(help="The federation's name.")],
    address: Annotated[str, typer.Option(help="HOST:PORT under which members reach it.")],
    organisation: Annotated[str, typer.Option(help="Who runs it; members compare it.")],
    *,
    joining: Annotated[
        str, typer.Option(help="HOST:PORT for who has no certificate yet; by default PORT + 1.")
    ] = "",
    alternative: Annotated[
        list[str] | None,
        typer.Option(help="HOST:PORT of a coordinator that stands by; repeat it for each."),
    ] = None,
    operator: Annotated[str, typer.Option(help="The operator's name in the roster.")] = "operator",
    bind: Annotated[
        str, typer.Option(help="The address of this machine to answer at; by default all.")
    ] = "0.0.0.0",  # noqa: S104 - members come from elsewhere
    opener: Annotated[
        list[str] | None, typer.Option(help="A trainer that opens sums; repeat it, two to four.")
    ] = None,
    database: Annotated[
        str, typer.Option(help="postgresql://user@host/name; by default a file in the folder.")
    ] = "",
    database_password: Annotated[
        Path | None, typer.Option(help="A file with the password of the database's role.")
    ] = None,
    authority_certificate: Annotated[
        Path | None,
        typer.Option(help="An authority of your own: who issues first, the root last, in PEM."),
    ] = None,
    authority_key: Annotated[
        Path | None, typer.Option(help="The key of the first of these certificates.")
    ] = None,
    passphrase: Annotated[
        Path | None, typer.Option(help="A file with the passphrase of the authority's keys.")
    ] = None,
) -> Answer:
    """Begin a federation: authority, keys, operator, settings and database, in a new folder."""
    from veilsum.federation.beginning import Wanted, begin  # noqa: PLC0415

    wanted = Wanted(
        federation,
        address,
        joining or _next_port(address),
        operator,
        organisation,
        bind,
        tuple(opener or ("hospital-a", "hospital-b", "hospital-c")),
        database,
        database_password,
        _own(authority_certificate, authority_key),
        passphrase,
        tuple(alternative or ()),
    )
    made = begin(folder, wanted)
    said = {
        "config": str(made.config),
        "operator": str(made.operator),
        "authority": made.fingerprint,
        "root_key": str(made.root_key or ""),
    }
    lines = [
        f"settings   {made.config}",
        f"operator   {made.operator}",
        f"authority  {made.fingerprint}",
    ]
    if made.root_key:
        lines.append(f"keep away from every network: {made.root_key}")
    lines.append(f"next: veilsum coordinator serve --config {made.config}")
    return Answer(said, "\n".join(lines))


def _invite(
    name: _Name,
    config: ConfigFile,
    role: Annotated[
        list[str] | None,
        typer.Option(help="trainer, participant, aggregator, auditor, operator; repeat it."),
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long the link works: 30m, 24h, 7d.")] = "24h",
    sets: Sets = None,
) -> Answer:
    """Print one link, by which one member joins, once."""
    wanted = role or ["trainer"]
    _check_member(name, wanted)
    settings, seconds = _read(config, sets), _seconds(ttl)

    async def invite(operator: "Operator") -> "Invited":
        return await operator.invite(name, wanted, seconds)

    made = _ask(settings, invite)
    link = _link(made, name)
    said = {"link": link, "participant": name, "ends_at_seconds": made.ends_at_seconds}
    note = f"works until {_time(made.ends_at_seconds)}; send it to nobody but {name}"
    return Answer(said, link, notes=(note,))


def _invitations(config: ConfigFile, sets: Sets = None) -> Answer:
    """List every invitation, with the words of who has asked."""

    async def listed(operator: "Operator") -> list[dict[str, object]]:
        return [
            {
                "participant": each.participant,
                "roles": list(each.roles),
                "state": each.state,
                "ends_at_seconds": each.ends_at_seconds,
                "words": each.words,
                "organisation": each.organisation,
                "decided_by": each.decided_by,
            }
            for each in await operator.invitations()
        ]

    found = _ask(_read(config, sets), listed)
    columns = ("participant", "state", "roles", "organisation", "words", "ends_at_seconds")
    return Answer({"invitations": found}, _table(found, columns) or "nobody is invited")


def _approve(name: _Name, config: ConfigFile, words: _Words = "", sets: Sets = None) -> Answer:
    """Enrol a member, once its four words are compared by telephone."""
    words = _spaced(words)
    settings = _read(config, sets)
    heard = words or _asked_words(settings, name)

    async def approve(operator: "Operator") -> None:
        await operator.decide(name, heard, "", approve=True)

    _ask(settings, approve)
    return Answer({"participant": name, "decision": "approved"}, f"{name} is enrolled")


def _refuse(
    name: _Name, config: ConfigFile, reason: _Reason, words: _Words = "", sets: Sets = None
) -> Answer:
    """Refuse a member's request; its link is worth nothing from now on."""
    words = _spaced(words)
    _check_reason(reason)
    settings = _read(config, sets)

    async def refuse(operator: "Operator") -> None:
        heard = words or await _shown_words(operator, name)
        await operator.decide(name, heard, reason, approve=False)

    _ask(settings, refuse)
    return Answer({"participant": name, "decision": "refused"}, f"{name} is refused")


def _found(config: ConfigFile, sets: Sets = None) -> Answer:
    """Close version 0 of the roster, and sign it as operator; members compare and sign it next."""
    from privacy.words import ROSTER_WORDS, words_of  # noqa: PLC0415

    def agrees(roster: "Roster") -> bool:
        typer.echo(_founding_text(roster), err=True)
        if not sys.stdin.isatty():
            return True  # a script: each member compares before it signs, whatever is signed here
        return typer.confirm("Are these the members that you have approved?", err=True)

    async def found(operator: "Operator") -> "tuple[Roster, bool]":
        return await operator.found(agrees)

    roster, signed = _ask(_read(config, sets), found)
    fingerprint = roster.digest()
    words = words_of(fingerprint, ROSTER_WORDS)
    members = [each.participant for each in roster.members]
    said = {"fingerprint": fingerprint, "words": words, "members": members, "signed": signed}
    lines = (
        f"fingerprint  {fingerprint}",
        f"words        {words}",
        f"members      {', '.join(members)}",
        "each of them compares it, and runs: veilsum participant confirm"
        if signed
        else "not signed: revoke who does not belong there, and run this again",
    )
    return Answer(said, "\n".join(lines))


def _reopen(
    config: ConfigFile,
    fingerprint: Annotated[
        str, typer.Option(help="Of the version 0 that `found` has closed, 64 digits.")
    ],
    reason: Annotated[str, typer.Option(help="What stands in the coordinator's log.")],
    sets: Sets = None,
) -> Answer:
    """Open version 0 again, while members have not all signed it; each signs anew then."""
    _check_reason(reason)
    which = _fingerprint(fingerprint)

    async def reopen(operator: "Operator") -> None:
        await operator.reopen(which, reason)

    _ask(_read(config, sets), reopen)
    lines = (
        "version 0 is open again, and the signatures on it are forgotten",
        "next: revoke or invite whom it is about; then veilsum coordinator found, and call every "
        "member: it compares the new fingerprint, and whoever has confirmed the old one takes the "
        "line policy.roster out of its file first",
    )
    said = {"reopened": which, "reason": reason, "next": "veilsum coordinator found"}
    return Answer(said, "\n".join(lines))


def _founding_text(roster: "Roster") -> str:
    from participant.joining.confirm import line_of, table  # noqa: PLC0415

    key = roster.coordinator_key.hex()[:16]
    head = f"version 0 of the roster of {roster.federation}; coordinator's key {key}"
    return "\n".join([head, *table([line_of(each) for each in roster.members])])


def _propose(
    config: ConfigFile,
    add: Annotated[
        list[str] | None, typer.Option(help="A member that is enrolled; repeat it.")
    ] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A member; repeat it.")] = None,
    roles: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=ROLE,ROLE", help="Other roles for a member; repeat it."),
    ] = None,
    sets: Sets = None,
) -> Answer:
    """Put another version of the roster before the trainers, more than half of whom must sign."""
    from privacy.errors import ConfigError  # noqa: PLC0415
    from privacy.words import ROSTER_WORDS, words_of  # noqa: PLC0415

    if not (add or remove or roles):
        raise ConfigError("--add, --remove or --roles: say what the next version changes")
    changed = dict(map(_roles, roles or ()))

    async def propose(operator: "Operator") -> tuple["Roster", str]:
        roster = await operator.next_roster(add or (), remove or (), changed)
        return roster, await operator.propose(roster)

    roster, fingerprint = _ask(_read(config, sets), propose)
    words = words_of(fingerprint, ROSTER_WORDS)
    said = {"version": roster.version, "fingerprint": fingerprint, "words": words}
    lines = (
        f"version      {roster.version}",
        f"fingerprint  {fingerprint}",
        f"words        {words}",
        "more than half of the trainers compare it, and run: veilsum participant admit",
    )
    return Answer(said, "\n".join(lines))


def _members(config: ConfigFile, sets: Sets = None) -> Answer:
    """List every member: when it was last seen, with which release, until when certified."""

    async def listed(operator: "Operator") -> list[dict[str, object]]:
        return [
            {
                "participant": each.participant,
                "organisation": each.organisation,
                "roles": list(each.roles),
                "last_seen_seconds": each.last_seen_seconds,
                "release": each.release,
                "certified_until_seconds": each.certified_until_seconds,
                "revoked": each.revoked,
            }
            for each in await operator.members()
        ]

    found = _ask(_read(config, sets), listed)
    columns = (
        "participant",
        "organisation",
        "roles",
        "last_seen_seconds",
        "release",
        "certified_until_seconds",
        "revoked",
    )
    return Answer({"members": found}, _table(found, columns))


def _revoke(name: _Name, config: ConfigFile, reason: _Reason, sets: Sets = None) -> Answer:
    """Shut a member out at once, on open streams too; only a new invitation lets it in again."""
    _check_reason(reason)

    async def revoke(operator: "Operator") -> None:
        await operator.revoke(name, reason)

    _ask(_read(config, sets), revoke)
    note = "its keys stay in the roster: to take them out, run `veilsum coordinator propose`"
    said = {"participant": name, "reason": reason}
    return Answer(said, f"{name} is shut out", notes=(note,))


def _recertify(
    config: ConfigFile,
    operator: Annotated[
        Path | None, typer.Option(help="The operator's own file, operator.toml.")
    ] = None,
    *,
    server: Annotated[
        bool, typer.Option("--server", help="The coordinator itself, for its key and its names.")
    ] = False,
    sets: Sets = None,
) -> Answer:
    """Certify an operator or the server again, where the coordinator is: --config is its file."""
    from privacy.errors import ConfigError  # noqa: PLC0415
    from veilsum.federation.beginning import recertify, recertify_server  # noqa: PLC0415

    if server == (operator is not None):
        raise ConfigError("--operator FILE or --server: say whom to certify, one of the two")
    if operator is None:
        path, ends = recertify_server(config, over(sets))
        note = f"until {ends:%Y-%m-%d %H:%M}Z; start `veilsum coordinator serve` again to show it"
        return Answer({"certificate": str(path), "ends": ends}, str(path), notes=(note,))
    made = recertify(config, operator, over(sets))
    said, notes = {"certificate": str(made.path), "overrides": made.overrides}, []
    if made.overrides is not None:
        notes.append(
            f"{made.overrides.participant} was shut out by {made.overrides.by} "
            f"({made.overrides.reason}); this certificate goes over that"
        )
    return Answer(said, str(made.path), notes=notes)


# -- what is asked -------------------------------------------------------------------------


def _read(config: Path, sets: list[str] | None) -> "OperatorConfig":
    from participant.joining.operator_config import read  # noqa: PLC0415

    return read(config, over(sets))


def _ask(settings: "OperatorConfig", what: Callable[["Operator"], Awaitable[T]]) -> T:
    import asyncio  # noqa: PLC0415

    from participant.wire.operating import operating  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415

    async def ask() -> T:
        async with operating(settings) as operator:
            return await what(operator)

    start_log()
    return asyncio.run(ask())


async def _shown_words(operator: "Operator", name: str) -> str:
    asked = [each for each in await operator.invitations() if each.participant == name]
    return next((each.words for each in reversed(asked) if each.state == "asked"), "")


def _asked_words(settings: "OperatorConfig", name: str) -> str:
    """Show the words of a request, and return them if whoever sits here has heard the same."""

    async def shown(operator: "Operator") -> str:
        return await _shown_words(operator, name)

    words = _ask(settings, shown)
    if not words:
        from privacy.errors import NotYet  # noqa: PLC0415

        raise NotYet(f"nobody has asked as {name}; the link was not used yet")
    typer.echo(f"{name} asks with these words:\n\n  {words}\n", err=True)
    typer.confirm("Did its operator read the same words to you?", abort=True, err=True)
    return words


def _link(made: "Invited", name: str) -> str:
    from base64 import urlsafe_b64encode  # noqa: PLC0415

    token, pin = (
        urlsafe_b64encode(each).decode().rstrip("=") for each in (made.token, made.authority)
    )
    return f"veilsum://{made.address}/#v1.{token}.{pin}.{name}"


def _seconds(ttl: str) -> int:
    from privacy.errors import ConfigError  # noqa: PLC0415

    found = _TTL.fullmatch(ttl)
    if found is None:
        raise ConfigError(f"--ttl {ttl!r}: a number and s, m, h or d, such as 24h")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST_SECONDS:
        raise ConfigError(f"--ttl {ttl}: a link works for {_LONGEST_SECONDS // 86_400}d at most")
    return seconds


def _check_member(name: str, roles: list[str]) -> None:
    """Return if a member could be invited so; what is mistyped here never leaves this machine."""
    from privacy.errors import ConfigError, MalformedMessage  # noqa: PLC0415
    from privacy.identifiers import check_name  # noqa: PLC0415
    from privacy.roster import Role  # noqa: PLC0415

    try:
        check_name(name)
    except MalformedMessage as error:
        raise ConfigError(f"NAME: {error}") from None
    known = [str(each) for each in Role]
    for role in roles:
        if role not in known or roles.count(role) > 1:
            raise ConfigError(f"--role {role}: once each of {', '.join(known)}")


def _fingerprint(text: str) -> str:
    from privacy.errors import ConfigError  # noqa: PLC0415

    found = text.strip().lower()
    if _FINGERPRINT.fullmatch(found) is None:
        raise ConfigError("--fingerprint: the 64 hexadecimal digits that `found` has shown")
    return found


def _check_reason(reason: str) -> None:
    from privacy.errors import ConfigError  # noqa: PLC0415

    if not reason.strip() or not reason.isprintable() or len(reason) > _LONGEST_REASON:
        raise ConfigError(f"--reason: one line of at most {_LONGEST_REASON} characters")


def _spaced(words: str) -> str:
    """Return words as they are compared; a screen shows them with a dot between every two."""
    from privacy.errors import ConfigError  # noqa: PLC0415

    found = words.replace("·", " ").split()
    if found and len(found) != _WORDS:
        raise ConfigError(f"--words: {_WORDS} words in one pair of quotes, not {len(found)}")
    return " ".join(found)


def _roles(text: str) -> tuple[str, tuple[str, ...]]:
    from privacy.errors import ConfigError  # noqa: PLC0415

    name, equals, words = text.partition("=")
    if not (name and equals and words):
        raise ConfigError(f"--roles {text!r}: NAME=ROLE,ROLE, such as hospital-a=participant")
    return name, tuple(words.split(","))


def _next_port(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + 1}" if port.isdecimal() and port.isascii() else address


def _own(chain: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    from privacy.errors import ConfigError  # noqa: PLC0415

    if (chain is None) != (key is None):
        raise ConfigError("--authority-certificate and --authority-key: give both, or neither")
    return (chain, key) if chain is not None and key is not None else None


def _time(seconds: int) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}Z"


def _table(rows: list[dict[str, object]], columns: tuple[str, ...]) -> str:
    """Return rows under their columns' names, for people: times as times, nothing as a dash."""
    if not rows:
        return ""
    heads = [_heading(name) for name in columns]
    shown = [heads, *([_cell(name, row[name]) for name in columns] for row in rows)]
    widths = [max(len(row[place]) for row in shown) for place in range(len(columns))]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in shown
    )
    return "\n".join(line.rstrip() for line in padded)


def _heading(name: str) -> str:
    return _HEADINGS.get(name, name.removesuffix("_seconds").replace("_", " "))


def _cell(name: str, value: object) -> str:
    if name.endswith("_seconds"):
        return _time(int(str(value))) if value else "-"
    if isinstance(value, list):
        return in_line(",".join(map(str, value)))
    return in_line(str(value)) or "-"
