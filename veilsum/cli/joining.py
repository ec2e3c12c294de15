"""`join`, `confirm`, `admit` and `status`: how a member enrols, and whom it lives with."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from .config_file import ConfigFile
from .surface import Answer, AsJson, command

if TYPE_CHECKING:
    from participant.joining.admitting import Proposal
    from participant.joining.confirm import Line, Shown
    from participant.joining.enrol import Enrolled
    from participant.joining.place import Place
    from participant.joining.status import Status
    from participant.keys import SiteKeys
    from participant.wire.coordinator import Coordinator

T = TypeVar("T")

_LinkText = Annotated[str, typer.Argument(metavar="LINK", help="What the operator has sent.")]
_Organisation = Annotated[str, typer.Option(help="Who runs this member; other members compare it.")]
_State = Annotated[
    Path | None,
    typer.Option(help="The state folder, made if need be; by default named after the member."),
]
_Config = Annotated[
    Path | None,
    typer.Option("--config", help="Its file, written unless it is there; by default in the state."),
]
_Proxy = Annotated[
    str, typer.Option(help="http://HOST:PORT of a proxy that takes HTTP CONNECT, if one must be.")
]
_Chain = Annotated[bool, typer.Option(help="Also make a payout key and a key that pays for gas.")]
_Trains = Annotated[
    bool, typer.Option(help="Whether it was invited as a trainer, or as a participant alone.")
]
_Fingerprint = Annotated[
    str, typer.Option(help="What was compared, 64 digits; for scripts, instead of a question.")
]
_InsteadOf = Annotated[
    str, typer.Option(help="The version of this number that was signed before, and is withdrawn.")
]

_MINUTE_SECONDS = 60.0


def add_joining(app: typer.Typer, word: str) -> None:
    """Give the commands of one kind of member what joins it: `word` is that kind's."""
    if word == "participant":
        command(app, "join")(_join_site)
        command(app, "admit")(_admit)
    else:
        command(app, "join")(_join_outsider(word))
    command(app, "confirm")(_confirm(word))
    command(app, "status")(_status(word))


def _join_site(
    link: _LinkText,
    organisation: _Organisation = "",
    state: _State = None,
    config: _Config = None,
    proxy: _Proxy = "",
    *,
    trains: _Trains = True,
    chain: _Chain = False,
) -> Answer:
    """Join with a link: make keys here, show four words, wait for approval, keep a certificate."""
    role = "trainer" if trains else "participant"
    where = (state, config)
    return _join("participant", role, link, organisation, *where, proxy, chain=chain)


def _join_outsider(word: str) -> Callable[..., Answer]:
    def join(
        link: _LinkText,
        organisation: _Organisation = "",
        state: _State = None,
        config: _Config = None,
        proxy: _Proxy = "",
    ) -> Answer:
        """Join with a link: make keys here, show four words, wait for approval."""
        return _join(word, word, link, organisation, state, config, proxy, chain=False)

    return join


def _join(
    word: str,
    role: str,
    text: str,
    organisation: str,
    state: Path | None,
    config: Path | None,
    proxy: str,
    *,
    chain: bool,
) -> Answer:
    import asyncio  # noqa: PLC0415
    import os  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from participant.joining.enrol import enrol  # noqa: PLC0415
    from participant.joining.link import parse  # noqa: PLC0415
    from participant.joining.place import check_proxy  # noqa: PLC0415
    from participant.joining.skeleton import name_of, write_skeleton  # noqa: PLC0415
    from privacy.roster import Role  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415

    start_log()
    link = parse(text)
    home = state or Path(link.participant)
    if proxy:
        check_proxy(proxy)
    through = proxy or None
    screen = _Screen()
    enrolling = enrol(
        *(link, home, organisation, Role(role), screen, os.urandom),
        now=lambda: datetime.now(UTC),
        chain=chain,
        proxy=through,
    )
    try:
        enrolled = asyncio.run(enrolling)
    except KeyboardInterrupt:
        screen.end()
        typer.echo("stopped; run the same command again, and it goes on from here", err=True)
        raise
    finally:
        screen.end()
    path = config or home / name_of(Role(role))
    wrote = write_skeleton(path, enrolled, link.address, through)
    return _joined(word, enrolled, path, wrote=wrote)


def _joined(word: str, enrolled: "Enrolled", path: Path, *, wrote: bool) -> Answer:
    member, next_step = enrolled.member, f"veilsum {word} confirm --config {path}"
    by = f" by {enrolled.decided_by}" if enrolled.decided_by else ""
    words = [
        f"approved{by}: {member.participant} of {member.organisation}, in {enrolled.federation}",
        f"  certificate until {enrolled.ends:%Y-%m-%d %H:%M}Z; it renews itself while this runs",
        f"  {'wrote' if wrote else 'left as it was:'} {path}",
        f"next: {next_step}, when the operator says that all have joined",
    ]
    said = {
        "participant": member.participant,
        "federation": enrolled.federation,
        "roles": member.roles,
        "approved_by": enrolled.decided_by,
        "certificate_ends": enrolled.ends,
        "config": str(path),
        "config_written": wrote,
        "next": next_step,
    }
    return Answer(said, "\n".join(words))


class _Screen:
    """Tells who joins how far it is, on stderr: a line that changes, or lines where none can."""

    def __init__(self) -> None:
        import time  # noqa: PLC0415

        self._clock = time.monotonic
        self._began = self._said = self._clock()
        self._alive = sys.stderr.isatty()
        self._open = False
        self._cut = ""

    def words(self, words: str) -> None:
        """Show the four words, apart from all else."""
        shown = " · ".join(words.split())
        typer.echo(f"\n  Read these words to the operator by phone:  {shown}\n", err=True)
        typer.echo("waiting for approval; ctrl-C stops, and the same command goes on", err=True)

    def waiting(self) -> None:
        """Show how long it has been."""
        self._cut = ""
        self._line("waiting for approval")

    def cut(self, reason: str) -> None:
        """Say once why nobody answers."""
        if reason != self._cut:
            self.end()
            typer.echo(f"cut off, trying again: {reason}", err=True)
        self._cut = reason
        self._line("waiting for the coordinator")

    def end(self) -> None:
        """Leave the line that changes."""
        if self._open:
            typer.echo("", err=True)
        self._open = False

    def _line(self, what: str) -> None:
        now = self._clock()
        minutes, seconds = divmod(int(now - self._began), 60)
        if self._alive:
            sys.stderr.write(f"\r\x1b[K{what} … {minutes}:{seconds:02d}")
            sys.stderr.flush()
            self._open = True
        elif now - self._said >= _MINUTE_SECONDS:
            self._said = now
            typer.echo(f"{what} … {minutes} min", err=True)


def _confirm(word: str) -> Callable[..., Answer]:
    def confirm(
        config: ConfigFile, fingerprint: _Fingerprint = "", *, as_json: AsJson = False
    ) -> Answer:
        """Show the roster; once it is compared by phone, write its fingerprint into the file."""
        from participant.joining.confirm import shown  # noqa: PLC0415

        async def look(place: "Place", keys: "SiteKeys", coordinator: "Coordinator") -> "Shown":
            return await shown(coordinator, keys, place.participant, place.federation)

        place, found = _with_coordinator(config, look)
        if not as_json:
            typer.echo(_roster_text(found))
        return _compared(word, config, place, found, fingerprint, as_json=as_json)

    return confirm


def _compared(
    word: str, config: Path, place: "Place", found: "Shown", fingerprint: str, *, as_json: bool
) -> Answer:
    from participant.joining.place import write_roster  # noqa: PLC0415

    _check_fingerprint(fingerprint, found.fingerprint)
    asked = not (fingerprint or as_json or place.roster == found.fingerprint)
    agreed = bool(fingerprint) or (asked and _agrees("every other member reads the same words"))
    if agreed:
        write_roster(config, found.fingerprint)
    confirmed = agreed or place.roster == found.fingerprint
    run = "run" if word == "participant" else "serve"
    next_step = f"veilsum {word} {run} --config {config}"
    if not confirmed:
        next_step = f"veilsum {word} confirm --config {config} --fingerprint {found.fingerprint}"
    state = "confirmed: policy.roster is set" if confirmed else "not confirmed"
    said = {
        "federation": found.federation,
        "fingerprint": found.fingerprint,
        "words": found.words(),
        "version": found.version,
        "founded": found.founded,
        "included": found.included,
        "members": found.members,
        "confirmed": confirmed,
        "next": next_step,
    }
    return Answer(said, f"{state}\nnext: {next_step}")


def _roster_text(found: "Shown") -> str:
    lines = [f"roster of {found.federation}, version {found.version}", *_table(found.members)]
    lines += [
        f"trainers of {found.organisations()} organisations",
        f"fingerprint  {found.fingerprint}",
        f"words        {' · '.join(found.words().split())}",
    ]
    if not found.included:
        lines.append("this member is not in it yet: the trainers have to admit it")
    lines.append("Call the other members, at numbers that you have from elsewhere: each must see")
    lines.append("the same words, and know each organisation in the list.")
    return "\n".join(lines)


def _table(members: "tuple[Line, ...]") -> list[str]:
    rows = [("member", "organisation", "roles", "keys")]
    rows += [(m.participant, m.organisation, ", ".join(m.roles), m.keys) for m in members]
    widths = [max(len(row[at]) for row in rows) for at in range(4)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _admit(
    config: ConfigFile,
    fingerprint: _Fingerprint = "",
    instead_of: _InsteadOf = "",
    *,
    as_json: AsJson = False,
) -> Answer:
    """Show what a proposed version of the roster changes; sign it, once it is agreed to."""
    from participant.joining.admitting import admit, proposed  # noqa: PLC0415

    agreed = bool(fingerprint)

    async def look(
        place: "Place", keys: "SiteKeys", coordinator: "Coordinator"
    ) -> "tuple[Proposal | None, bool]":
        found = await proposed(coordinator, keys, place.participant, place.fingerprint())
        if found is None:
            return None, False
        _check_fingerprint(fingerprint, found.fingerprint)
        if not as_json:
            typer.echo(_proposal_text(found))
        wants = agreed or (not as_json and _agrees("this is what the members have agreed on"))
        if wants:
            await admit(coordinator, keys, place.state, found, instead_of or None)
        return found, wants

    place, (found, signed) = _with_coordinator(config, look)
    if found is None:
        return Answer({"proposal": None, "signed": False}, "nothing is proposed")
    return _admitted(place, found, signed=signed)


def _admitted(place: "Place", found: "Proposal", *, signed: bool) -> Answer:
    signers = sorted({*found.signed, *([place.participant] if signed else [])})
    proposal = {
        "version": found.roster.version,
        "fingerprint": found.fingerprint,
        "words": found.words(),
        "added": found.added,
        "removed": found.removed,
        "changed": found.changed,
        "signed_by": signers,
        "needed": found.needed,
    }
    counts = len(signers) >= found.needed
    tail = "it counts" if counts else f"it counts with {found.needed - len(signers)} more"
    state = f"signed; {tail}" if signed else "not signed"
    return Answer({"proposal": proposal, "signed": signed}, state)


def _proposal_text(found: "Proposal") -> str:
    lines = [f"version {found.roster.version} of the roster is proposed; it would"]
    for member in found.added:
        roles = ", ".join(member.roles)
        what = f"{member.participant}  {member.organisation}  {roles}  {member.keys}"
        lines.append(f"  + add     {what}")
    lines += [f"  - remove  {name}" for name in found.removed]
    for each in found.changed:
        lines.append(f"  ~ change  {each.who}: {each.what}: {each.before} -> {each.after}")
    if len(lines) == 1:
        lines.append("  change nothing")
    signers = ", ".join(found.signed) or "nobody"
    lines += [
        f"fingerprint  {found.fingerprint}",
        f"words        {' · '.join(found.words().split())}",
        f"signed by    {signers}; it counts with {found.needed} trainers",
    ]
    return "\n".join(lines)


def _status(word: str) -> Callable[..., Answer]:
    def status(config: ConfigFile) -> Answer:
        """Show one screen: connection, certificate, roster, last round, and the next step."""
        import asyncio  # noqa: PLC0415
        from datetime import UTC, datetime  # noqa: PLC0415

        from participant.joining.place import read_place  # noqa: PLC0415
        from participant.joining.status import status_of  # noqa: PLC0415
        from participant.keys import load_keys  # noqa: PLC0415
        from veilsum.process import start_log  # noqa: PLC0415

        start_log()
        place = read_place(config)
        keys, now = load_keys(place.state / "keys"), datetime.now(UTC)
        found = asyncio.run(status_of(place, keys, word, config, _reader(word, config), now))
        return Answer(found, _status_text(found, keys_run=word))

    return status


def _reader(word: str, config: Path) -> Callable[[], object]:
    def read() -> object:
        import importlib  # noqa: PLC0415

        rooms = {"auditor": "participant.auditing", "aggregator": "participant.seat"}
        return importlib.import_module(f"{rooms.get(word, 'participant')}.config").read(config)

    return read


def _status_text(found: "Status", keys_run: str) -> str:
    lines = [
        f"member       {found.participant}, in {found.federation}",
        f"link         {found.address}: {found.link}",
        f"certificate  {_left(found.certificate_left_seconds)}",
        f"roster       {_roster_line(found)}",
    ]
    if keys_run == "participant":
        sent = f"round {found.sent}" if found.sent else "none yet"
        adopted = f"round {found.released}" if found.released else "none yet"
        lines.append(f"last sent    {sent}; last model adopted: {adopted}")
    return "\n".join([*lines, f"next step    {found.next}"])


def _left(seconds: int) -> str:
    if seconds < 0:
        return f"ended {-seconds // 3600} h {-seconds % 3600 // 60} min ago"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min left; it renews itself at half"


def _roster_line(found: "Status") -> str:
    confirmed = "confirmed" if found.confirmed else "not confirmed"
    if found.roster is None:
        return confirmed
    roles = ", ".join(found.roster.roles) or "not in it"
    missing = f"; not signed by {', '.join(found.roster.missing)}" if found.roster.missing else ""
    return f"version {found.roster.version}, {confirmed}; here: {roles}{missing}"


def _with_coordinator(
    config: Path, act: "Callable[[Place, SiteKeys, Coordinator], Awaitable[T]]"
) -> "tuple[Place, T]":
    """Return a member's place, and what came of acting with its coordinator."""
    import asyncio  # noqa: PLC0415

    from participant.joining.place import read_place  # noqa: PLC0415
    from participant.keys import load_keys  # noqa: PLC0415
    from participant.wire.connect import connect  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415

    start_log()
    place = read_place(config)
    keys = load_keys(place.state / "keys")

    async def run() -> Any:  # noqa: ANN401 - as `act` gives it
        coordinator = connect(place.coordinator, keys)
        try:
            return await act(place, keys, coordinator)
        finally:
            await coordinator.close()

    return place, asyncio.run(run())


def _check_fingerprint(typed: str, shown: str) -> None:
    if typed and typed.strip().lower() != shown:
        from privacy.errors import WrongContext  # noqa: PLC0415

        raise WrongContext(
            f"--fingerprint: the coordinator shows {shown}, and not the one that was compared; "
            "call the other members before anything else"
        )


def _agrees(what: str) -> bool:
    """Return whether a person says so; without one, nothing is agreed to."""
    if not sys.stdin.isatty():
        from privacy.errors import ConfigError  # noqa: PLC0415

        raise ConfigError(
            "nobody is there to ask; compare, and give what was compared as --fingerprint"
        )
    typed: str = typer.prompt(f"Type yes if {what}", default="no", show_default=False)
    return typed.strip().lower() == "yes"
