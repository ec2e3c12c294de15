"""`veilsum coordinator backup` and `restore`: all that a coordinator knows, in one file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .config_file import ConfigFile
from .surface import Answer, Sets, over

if TYPE_CHECKING:
    from coordinator.upkeep.backup import BackedUp


def coordinator_backup(
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="The new file.")],
    sets: Sets = None,
) -> Answer:
    """Write what this coordinator knows to one file; it may serve meanwhile."""
    import time  # noqa: PLC0415
    from dataclasses import asdict  # noqa: PLC0415

    from coordinator.config import read  # noqa: PLC0415
    from coordinator.upkeep.backup import back_up, keep_also  # noqa: PLC0415
    from veilsum.progress import meter  # noqa: PLC0415

    settings = read(config, over(sets))
    with meter("backing up", "objects") as watcher:
        made = back_up(settings, out, time.time, watcher)
    keep = [str(path) for path in (config, *keep_also(settings))]
    words = [
        f"{out}: {made.rounds} rounds, {made.objects} objects",
        "no key, password or certificate is in it; keep beside it, where only you read:",
        *(f"  {path}" for path in keep),
    ]
    said = {"file": str(out), **asdict(made), "keep_beside_it": keep}
    return Answer(said, "\n".join(words), notes=_notes_of(made))


def coordinator_restore(
    config: ConfigFile,
    source: Annotated[Path, typer.Option("--from", help="The backup.")],
    rounds: Annotated[
        list[Path] | None,
        typer.Option(
            help="What a site remembers of rounds, by `participant rounds`; repeat it for each."
        ),
    ] = None,
    revoked: Annotated[
        list[str] | None,
        typer.Option(help="A member that was revoked since the backup was made; repeat it."),
    ] = None,
    none_revoked: Annotated[
        bool, typer.Option("--none-revoked", help="Nobody was revoked since the backup was made.")
    ] = False,
    sets: Sets = None,
) -> Answer:
    """Put a backup into an empty database and object store, all of it or nothing."""
    from coordinator.config import read  # noqa: PLC0415
    from coordinator.upkeep.backup import restore  # noqa: PLC0415
    from veilsum.progress import meter  # noqa: PLC0415

    since = _revoked_since(revoked, none=none_revoked)
    with meter("restoring", "objects") as watcher:
        made = restore(read(config, over(sets)), source, rounds or (), watcher, since)
    words = [f"as of {made.made}: {made.rounds} rounds, {made.objects} objects"]
    words += [
        f"round {number} is released, as sites remember it" for number in made.relearnt.released
    ]
    words += [f"round {number} is over without a model" for number in made.relearnt.forgotten]
    words += [f"{name} is shut out" for name in made.revoked]
    words.append(f"revoked before the backup was made: {', '.join(made.known_revoked) or 'none'}")
    notes = [f"not there, because it was damaged or gone: {name}" for name in made.missing]
    if not rounds:
        notes.append(
            "if sites have gone on since then, restore again with --rounds, or they refuse what "
            "this coordinator begins"
        )
    return Answer(made, "\n".join(words), notes=notes)


def _revoked_since(names: list[str] | None, *, none: bool) -> list[str] | None:
    from privacy.errors import ConfigError  # noqa: PLC0415

    if names and none:
        raise ConfigError("--revoked and --none-revoked: give one of them")
    return names or ([] if none else None)


def participant_rounds(
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="The new file.")],
    sets: Sets = None,
) -> Answer:
    """Write what this site remembers of rounds, for a coordinator that was restored."""
    from participant.config import read  # noqa: PLC0415
    from participant.kept import FOLDER, Kept  # noqa: PLC0415
    from privacy.remembered import pack  # noqa: PLC0415
    from veilsum.files import write_new  # noqa: PLC0415

    settings = read(config, over(sets))
    kept = Kept(settings.state / FOLDER)
    body = pack(settings.federation, settings.participant, kept.all())
    if not write_new(out, body):
        from privacy.errors import ConfigError  # noqa: PLC0415

        raise ConfigError(f"{out} exists; name another file")
    return Answer({"file": str(out)}, str(out))


def _notes_of(made: "BackedUp") -> list[str]:
    notes = [f"not in it, because it was damaged or gone: {name}" for name in made.missing]
    if made.live:
        numbers = ", ".join(map(str, made.live))
        notes.append(
            f"rounds under way, or open to disputes: {numbers}; their contributions are in this "
            "file, so delete it when they are over and a newer backup is made"
        )
    return notes
