"""`veilsum settle accuse` and `judge`: what a seat's lie costs it, where no word may be shown."""

from pathlib import Path
from typing import Annotated

import typer

from .config_file import ConfigFile
from .settle import settle_app
from .surface import Answer, Sets, command, over

_ACCUSED = {
    0: "Evidence is written against each seat that lied.",
    3: "A seat that lied has pledged nothing: no account answers for it.",
    5: "Not yet: this auditor has found no seat that lied, or the coordinator does not answer.",
}

_JUDGED = {
    0: "The evidence holds; what was asked for is signed, or carried out.",
    3: "It proves nothing, comes too late, or too few judges have signed.",
    5: "Nothing answers, or what was sent is not mined yet; run it again.",
}


@command(settle_app, "accuse", verdicts=_ACCUSED)
def settle_accuse(
    *,
    config: ConfigFile,
    round_number: Annotated[int, typer.Option("--round", min=1, help="The round.")],
    sets: Sets = None,
) -> Answer:
    """Write evidence against each seat whose sum this auditor has found to be false.

    It goes to the programme's judges; it holds no word of an update.
    """
    import asyncio  # noqa: PLC0415

    from participant.auditing.accusing import accuse_of  # noqa: PLC0415
    from participant.auditing.config import read  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415
    from veilsum.settling.judging import of_written  # noqa: PLC0415

    start_log()
    found = asyncio.run(accuse_of(read(config, over(sets)), round_number))
    status = 0 if all(each.path for each in found) else 3
    return Answer({"evidence": found}, of_written(found), status)


@command(settle_app, "judge", verdicts=_JUDGED)
def settle_judge(
    *,
    config: ConfigFile,
    evidence: Annotated[Path, typer.Option(help="The file that the auditor has written.")],
    out: Annotated[
        Path | None, typer.Option(help="Sign a verdict as a judge, and write it here.")
    ] = None,
    submit: Annotated[
        bool, typer.Option("--submit", help="Carry out the verdict that judges have signed.")
    ] = False,
    verdict: Annotated[
        list[Path] | None, typer.Option(help="A judge's verdict, to submit; repeat it.")
    ] = None,
    sets: Sets = None,
) -> Answer:
    """Look at evidence against a seat; sign a verdict with a judge's key; or have it carried out.

    Without --out or --submit nothing is signed or sent. What it says rests on the word of its
    auditor: ask before you sign. A verdict voids the round and all later ones, and burns the bond.
    """
    from privacy.errors import ConfigError  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415
    from veilsum.settling.judging import (  # noqa: PLC0415
        court_of,
        examined,
        of_examined,
        of_judged,
        read_evidence,
        read_verdict,
        roster_for,
        write_verdict,
    )
    from veilsum.settling.place import place_of  # noqa: PLC0415

    if out is not None and submit:
        raise ConfigError("--out, --submit: one act at a time")
    if bool(verdict) != submit:
        raise ConfigError("--submit goes with one --verdict for each judge who has signed")
    start_log()
    place, shown = place_of(config, over(sets)), read_evidence(evidence)
    roster, court = roster_for(place, shown), court_of(place)
    accused = court.examine(shown, roster)
    if submit:
        done = court.submit(accused, [read_verdict(each) for each in verdict or ()])
        return Answer(done, of_judged(done))
    if out is not None:
        write_verdict(out, court.judge(accused))
    found = examined(court, accused, shown, "" if out is None else str(out))
    return Answer(found, of_examined(found))
