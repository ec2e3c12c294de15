"""`join`, `confirm`, `admit` and `status`: how a member enrols, and whom it lives with."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from veilsum.screen import on_screen

from .config_file import ConfigFile
from .surface import Answer, AsJson, command

if TYPE_CHECKING:
    from participant.joining.admitting import Proposal
    from participant.joining.confirm import Shown
    from participant.joining.enrol import Enrolled
    from participant.joining.place import Place
    from participant.joining.status import Status
    from participant.keys import SiteKeys
    from participant.wire.coordinator import Coordinator

T = TypeVar("T")

_LinkText = Annotated[
    str,
    typer.Argument(
        metavar="LINK",
        help="What the operator has sent; - reads it from stdin, and without it you are asked.",
    ),
]
_LinkFile = Annotated[
    Path | None, typer.Option(help="A file with the link, so that it is in no list of processes.")
]
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

_LONGEST = 4096
"""Of what is read from stdin; no link has as many characters."""


def add_joining(app: typer.Typer, word: str) -> None:
    """Give the commands of one kind of member what joins it: `word` is that kind's."""
    if word == "participant":
        command(app, "join")(_join_site)
        command(app, "admit")(_admit)
    else:
        command(app, "join")(_join_outsider(word))
    if word == "operator":
        return  # it has no policy, and runs nothing: `found` signs version 0 for it
    command(app, "confirm")(_confirm(word))
    command(app, "status")(_status(word))


def _join_site(
    link: _LinkText = "",
    organisation: _Organisation = "",
    state: _State = None,
    config: _Config = None,
    proxy: _Proxy = "",
    *,
    link_file: _LinkFile = None,
    trains: _Trains = True,
    chain: _Chain = False,
) -> Answer:
    """Join with a link: make keys here, show four words, wait for approval, keep a certificate."""
    role = "trainer" if trains else "participant"
    text, where = _link_of(link, link_file), (state, config)
    return _join("participant", role, text, organisation, *where, proxy, chain=chain)


def _join_outsider(word: str) -> Callable[..., Answer]:
    def join(
        link: _LinkText = "",
        organisation: _Organisation = "",
        state: _State = None,
        config: _Config = None,
        proxy: _Proxy = "",
        link_file: _LinkFile = None,
    ) -> Answer:
        """Join with a link: make keys here, show four words, wait for approval."""
        text = _link_of(link, link_file)
        return _join(word, word, text, organisation, state, config, proxy, chain=False)

    return join


def _link_of(link: str, file: Path | None) -> str:
    """Return the text of a link; a process's arguments are for all of a machine's users to see."""
    from privacy.errors import ConfigError  # noqa: PLC0415
    from veilsum.files import read_text  # noqa: PLC0415

    if link and file is not None:
        raise ConfigError("LINK and --link-file: give one of them")
    if file is not None:
        return read_text(file)
    if link == "-":
        return sys.stdin.read(_LONGEST)
    if link:
        return link
    if not sys.stdin.isatty():
        raise ConfigError("nobody is there to ask for the link; give it by --link-file, or as -")
    asks = "The link that the operator has sent (it is not shown)"
    typed: str = typer.prompt(asks, hide_input=True, err=True)
    return typed


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
    from veilsum.files import hold  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415

    start_log()
    link = parse(text)
    home = state or Path(link.participant)
    hold(home)  # two that join from one folder would undo each other's work
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
    member = enrolled.member
    next_step, when = _after(word, path)
    by = f" by {enrolled.decided_by}" if enrolled.decided_by else ""
    words = [
        f"approved{by}: {member.participant} of {member.organisation}, in {enrolled.federation}",
        f"  certificate until {enrolled.ends:%Y-%m-%d %H:%M}Z; {_renewed(word)}",
        f"  {'wrote' if wrote else 'left as it was:'} {path}",
        f"  its words, for trainers that admit it later: {_apart(enrolled.words)}",
        f"next: {next_step}, {when}",
    ]
    said = {
        "participant": member.participant,
        "federation": enrolled.federation,
        "roles": member.roles,
        "approved_by": enrolled.decided_by,
        "words": enrolled.words,
        "certificate_ends": enrolled.ends,
        "config": str(path),
        "config_written": wrote,
        "next": next_step,
    }
    return Answer(said, "\n".join(words))


def _after(word: str, path: Path) -> tuple[str, str]:
    """Return what whoever has joined does next, and when."""
    if word == "operator":
        found = f"veilsum coordinator found --config {path}"
        return found, "once version 0 is closed; joined later: nothing, once trainers admit you"
    return f"veilsum {word} confirm --config {path}", "when the operator says that all have joined"


def _renewed(word: str) -> str:
    if word == "operator":
        return "the next command renews it, up to 7 days after"
    return "it renews itself while this runs"


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
        typer.echo(f"\n  Read these words to the operator by phone:  {_apart(words)}\n", err=True)
        typer.echo("waiting for approval; ctrl-C stops, and the same command goes on", err=True)

    def waiting(self) -> None:
        """Show how long it has been."""
        self._cut = ""
        self._line("waiting for approval")

    def cut(self, reason: str) -> None:
        """Say once why nobody answers."""
        if reason != self._cut:
            self.end()
            typer.echo(f"cut off, trying again: {on_screen(reason)}", err=True)
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
        from participant.joining.own import read_entry  # noqa: PLC0415

        async def look(place: "Place", keys: "SiteKeys", coordinator: "Coordinator") -> "Shown":
            mine = read_entry(place.state)
            return await shown(coordinator, keys, place.participant, place.federation, mine)

        place, found = _with_coordinator(config, look)
        if not as_json:
            typer.echo(on_screen(_roster_text(found)))
        return _compared(word, config, place, found, fingerprint, as_json=as_json)

    return confirm


def _compared(
    word: str, config: Path, place: "Place", found: "Shown", fingerprint: str, *, as_json: bool
) -> Answer:
    from participant.joining.admitting import FOLDER  # noqa: PLC0415
    from participant.joining.place import write_roster  # noqa: PLC0415
    from veilsum.files import holding  # noqa: PLC0415

    _check_fingerprint(fingerprint, found.fingerprint)
    asked = not (fingerprint or as_json or place.roster == found.fingerprint)
    agreed = bool(fingerprint) or (asked and _agrees("every other member reads the same words"))
    if agreed:
        # What was confirmed is looked at and written in one: no other `confirm` comes between.
        with holding(place.state / FOLDER):
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
        "organisations": found.organisations,
        "coordinator_key": found.coordinator_key,
        "confirmed": confirmed,
        "next": next_step,
    }
    return Answer(said, f"{state}\nnext: {next_step}")


def _roster_text(found: "Shown") -> str:
    from participant.joining.confirm import table  # noqa: PLC0415

    lines = [f"roster of {found.federation}, version {found.version}", *table(found.members)]
    lines += [
        f"trainers of {found.organisations} organisations",
        f"coordinator's key  {found.coordinator_key}",
        f"fingerprint  {found.fingerprint}",
        f"words        {_apart(found.words())}",
    ]
    if not found.included:
        lines.append("this member is not in it yet: the trainers have to admit it")
    lines.append("Call the other members, at numbers that you have from elsewhere: each must see")
    lines.append("all of the same words, and know each organisation in the list.")
    return "\n".join(lines)


def _apart(words: str) -> str:
    return " · ".join(words.split())


def _admit(
    config: ConfigFile,
    fingerprint: _Fingerprint = "",
    instead_of: _InsteadOf = "",
    *,
    as_json: AsJson = False,
) -> Answer:
    """Show what a proposed version of the roster changes; sign it, once it is agreed to."""
    from participant.joining.admitting import admit, proposed  # noqa: PLC0415
    from participant.kept import FOLDER, Kept  # noqa: PLC0415

    agreed = bool(fingerprint)

    async def look(
        place: "Place", keys: "SiteKeys", coordinator: "Coordinator"
    ) -> "tuple[Proposal | None, bool]":
        who = (keys, place.participant, place.fingerprint())
        found = await proposed(coordinator, *who, Kept(place.state / FOLDER))
        if found is None:
            return None, False
        _check_fingerprint(fingerprint, found.fingerprint)
        if not as_json:
            typer.echo(on_screen(_proposal_text(found)))
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
        "calls": found.calls(),
        "signed_by": signers,
        "needed": found.needed,
    }
    counts = len(signers) >= found.needed
    tail = "it counts" if counts else f"it counts with {found.needed - len(signers)} more"
    state = f"signed; {tail}" if signed else "not signed"
    return Answer({"proposal": proposal, "signed": signed}, state)


def _proposal_text(found: "Proposal") -> str:
    from privacy.organisation import shown  # noqa: PLC0415

    lines = [f"version {found.roster.version} of the roster is proposed; it would"]
    for member in found.added:
        roles = ", ".join(member.roles)
        paid = f"  paid at {member.payout_address}" if member.payout_address else ""
        what = f"{member.participant}  {shown(member.organisation)}  {roles}  {member.keys}{paid}"
        lines.append(f"  + add     {what}")
    lines += [f"  - remove  {name}" for name in found.removed]
    for each in found.changed:
        lines.append(f"  ~ change  {each.who}: {each.what}: {each.before} -> {each.after}")
    if len(lines) == 1:
        lines.append("  change nothing")
    if found.asked:
        lines.append(
            "Call each of these, at a number that you have from elsewhere, before you sign:"
        )
        lines.append("it must read you these words, which `join` and `status` show it.")
    lines += [f"  {each.participant}: {_apart(each.words)}" for each in found.calls()]
    signers = ", ".join(found.signed) or "nobody"
    lines += [
        f"fingerprint  {found.fingerprint}",
        f"words        {_apart(found.words())}",
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
        f"certificate  {_left(found.certificate_left_seconds, revoked=found.revoked)}",
        f"roster       {_roster_line(found)}",
    ]
    if keys_run == "participant":
        sent = f"round {found.sent}" if found.sent else "none yet"
        adopted = f"round {found.released}" if found.released else "none yet"
        lines.append(f"last sent    {sent}; last model adopted: {adopted}")
    if found.words:
        lines.append(f"words        {_apart(found.words)}; trainers compare them before they admit")
    return "\n".join([*lines, f"next step    {found.next}"])


def _left(seconds: int, *, revoked: bool) -> str:
    if revoked:
        return "revoked by an operator: it opens nothing and is not renewed"
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
