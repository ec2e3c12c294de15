"""What `veilsum settle` says to people."""

from datetime import UTC, datetime

from participant.settling.challenge import Challenged
from participant.settling.demand import Demanded, Expired
from participant.settling.payout import Paid
from participant.settling.standing import PayeeStanding, RoundStanding, StakeStanding, Standing


def of_standing(standing: Standing) -> str:
    """Return a programme's standing, a line for each thing."""
    lines = [
        f"programme  {standing.programme}",
        f"contract   {standing.contract}, chain {standing.chain_id}, block {standing.block}",
        f"state      {_state(standing)}",
        f"escrow     {standing.funded} funded, {standing.paid} paid",
        f"bond       {_stake(standing.bond)}; {standing.bond_needed} needed to commit",
        *_demands(standing),
        *(_round(each) for each in standing.rounds),
    ]
    if standing.own is not None and standing.own.account != standing.bond.account:
        lines.append(f"own stake  {_stake(standing.own)}")
    if standing.payee is not None:
        lines.append(f"payee      {_payee(standing.payee)}")
    for each in standing.looked_at:
        reason = f": {each.reason}" if each.reason else ""
        lines.append(f"looked at  round {each.round}: {each.standing}{reason}")
    return "\n".join(lines)


def of_stake(stake: StakeStanding) -> str:
    """Return an account's stake in one line."""
    return _stake(stake)


def of_paid(paid: Paid) -> str:
    """Return what a claim has come to."""
    sent = f"transaction {paid.transaction}, gas {paid.gas}" if paid.transaction else "sent before"
    return f"{paid.cumulative} token units in all are paid to {paid.payee}, for good; {sent}"


def of_challenge(done: Challenged) -> str:
    """Return what a challenge has come to."""
    gas = ", ".join(f"{name} {used}" for name, used in done.gas.items())
    return "\n".join(
        (
            f"round {done.round} and all later ones are void; the programme is halted",
            f"proof      {done.kind}, by {done.challenger}",
            f"slashed    {done.slashed} token units: {done.rewarded} to the challenger, "
            f"{done.burned} burned",
            f"collected  {done.collected}",
            f"gas        {gas}",
            f"sent as    {done.transaction}",
        )
    )


def of_demand(demanded: Demanded) -> str:
    """Return how a demand stands."""
    head = f"demand     {demanded.demand}, by {demanded.demander}"
    told: tuple[str, ...]
    match demanded.state:
        case "open":
            told = (
                f"open       to be answered until {_time(demanded.deadline)}; from then on "
                "`veilsum settle expire` slashes the coordinator",
            )
        case "answered":
            steps = " ".join(demanded.steps) or "which this endpoint does not have"
            told = (f"answered   {demanded.bond} token units are the coordinator's", steps)
        case "expired":
            told = ("expired    nobody answered it in time",)
        case _:
            told = ("closed     answered or expired: this endpoint does not say which",)
    return "\n".join((head, *told))


def of_expiry(done: Expired) -> str:
    """Return what came of a demand that nobody answered."""
    gas = ", ".join(f"{name} {used}" for name, used in done.gas.items())
    void = f"round {done.round} and all later ones are void; the programme is halted"
    late = f"round {done.round} had matured, or was void already; nothing is slashed"
    return "\n".join(
        (
            void if done.slashed != "0" else late,
            f"demand     {done.demand}",
            f"slashed    {done.slashed} token units: {done.rewarded} to the demander, "
            f"{done.burned} burned",
            f"collected  {done.collected}",
            f"gas        {gas}",
        )
    )


def _state(standing: Standing) -> str:
    head = f"round {standing.head} is the newest that stands" if standing.head else "no round yet"
    if standing.void_from is not None:
        return f"halted; round {standing.void_from} was proved wrong; {head}"
    return f"{standing.state} until {_time(standing.end)}; {head}"


def _stake(stake: StakeStanding) -> str:
    words = f"{stake.account}: {stake.bonded} bonded"
    if stake.thawing != "0":
        words += f", {stake.thawing} thawing until {_time(stake.thaws_at)}"
    if stake.credit != "0":
        words += f", {stake.credit} to be collected"
    return words


def _demands(standing: Standing) -> list[str]:
    if standing.demands is None:
        return ["demands    this endpoint does not say"]
    listed = [
        f"demand     {each.demand[:16]}…, round {each.round}, to be answered until "
        f"{_time(each.deadline)}"
        for each in standing.demands
    ]
    return [*listed, f"demands    {_searched(standing)}"]


def _searched(standing: Standing) -> str:
    count, searched = len(standing.demands or ()), standing.searched
    assert searched is not None  # where there are demands
    words = f"{count or 'none'} open, from block {searched.first} on"
    if searched.last < standing.block:
        words += f" to {searched.last}: this endpoint tells no more now; look again"
    return words


def _round(each: RoundStanding) -> str:
    word = {
        "open": f"open to challenges until {_time(each.matures_at)}",
        "matured": f"matured {_time(each.matures_at)}",
        "void": "void",
    }[each.state]
    return f"round {each.number:<4} {word}; {each.total} committed in all"


def _payee(payee: PayeeStanding) -> str:
    words = f"{payee.payee}: {payee.paid} paid"
    if payee.round:
        words += f", {payee.offered} earned up to round {payee.round}"
    if payee.claimable != "0":
        words += f"; {payee.claimable} to be claimed now"
    if payee.waiting != "0":
        words += f"; {payee.waiting} once that round has matured"
    return words


def _time(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
