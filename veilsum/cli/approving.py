"""`veilsum participant approve-plan`: the word of whoever answers for a site's data."""

from typing import TYPE_CHECKING, Annotated

import typer

from .config_file import ConfigFile
from .surface import Answer, Sets, over

if TYPE_CHECKING:
    from participant.policy.approvals import Asked, Standing


def approve_plan(
    config: ConfigFile,
    plan: Annotated[str, typer.Argument(metavar="ROUND|DIGEST", help="The plan; see --list.")] = "",
    *,
    listed: Annotated[
        bool, typer.Option("--list", help="Show the plans that this site was asked about.")
    ] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="Refuse it, for good.")] = False,
    sets: Sets = None,
) -> Answer:
    """Approve a plan that waits, if policy.approve_plans is true; the agent may run meanwhile."""
    import time  # noqa: PLC0415

    from participant.config import read  # noqa: PLC0415
    from participant.policy.approving import decide, standing  # noqa: PLC0415

    settings = read(config, over(sets))
    if listed or not plan:
        found = standing(settings)
        notes = () if found else ("this site was asked about no plan yet",)
        said = {"plans": [_of(each) for each in found]}
        return Answer(said, "\n".join(map(_line, found)), notes=notes)
    asked, word = decide(settings, plan, time.time, refuse=refuse), "refused" if refuse else ""
    state = word or "approved"
    return Answer(
        {"plan": asked.plan, "round": asked.round, "state": state},
        f"{state}: round {asked.round}, plan {asked.plan}\n{_words(asked)}",
    )


def _of(each: "Standing") -> dict[str, object]:
    import msgspec  # noqa: PLC0415

    said = {"by": each.said.by, "at": each.said.at} if each.said else {}
    return {**msgspec.structs.asdict(each.asked), "state": each.state, **said}


def _line(each: "Standing") -> str:
    by = f" by {each.said.by}" if each.said else ""
    return f"{each.state}{by}: round {each.asked.round}, plan {each.asked.plan}\n" + _words(
        each.asked
    )


def _words(asked: "Asked") -> str:
    auditor = asked.auditor or "nobody"
    return (
        f"  starts from model {asked.model}\n"
        f"  {asked.scheme}, mechanism {asked.mechanism}, {asked.cohort_minimum} organisations or "
        f"more, audited by {auditor}\n"
        f"  costs epsilon {asked.epsilon} in this round; {asked.rounds_left} rounds are planned"
    )
