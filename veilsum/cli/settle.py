"""`veilsum settle`: what a programme owes, pays and can lose, on its chain."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .config_file import ConfigFile
from .surface import Answer, Sets, command, over

if TYPE_CHECKING:
    from privacy.settlement.sum_proof import Tree
    from veilsum.chain.endpoint import Receipt

settle_app = typer.Typer(no_args_is_help=True, help="Look at a programme on its chain, and act.")

_PAID = {
    0: "All that is owed is paid, for good.",
    5: "Not yet: the round has not matured, what was sent is not final, or nothing answers.",
}

_CHALLENGED = {
    0: "The round is void, and what was slashed is said.",
    3: "The proof proves nothing against what is on the chain, or comes too late.",
}

_EXPIRED = {
    0: "The demand has expired, and what was slashed is said.",
    3: "Nobody has demanded that node, or it was answered.",
    5: "Not yet: the coordinator may still answer; or nothing answers here.",
}

_Round = Annotated[int, typer.Option("--round", min=1, help="The round whose commit it is of.")]
_Tree = Annotated[
    str,
    typer.Option(
        help="sum_trees, published_sum, cohort or contribution. Copy the words of `demand it:` "
        "from `audit sum` or `settle status`."
    ),
]
_Chunk = Annotated[int, typer.Option(min=0, help="The node's chunk, from the same words.")]
_Leaf = Annotated[int, typer.Option(min=0, help="The node's leaf, from the same words.")]
_Level = Annotated[int, typer.Option(min=0, help="The node's level, from the same words.")]
_Index = Annotated[int, typer.Option(min=0, help="The node's index, from the same words.")]

_Programme = Annotated[
    str, typer.Option(help="Another programme than settlement.programme: 64 hex digits.")
]


@command(settle_app, "status")
def settle_status(
    *,
    config: ConfigFile,
    programme: _Programme = "",
    from_block: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Look for demands from this block on; else from the oldest round that is shown, "
            "or that can be disputed.",
        ),
    ] = None,
    sets: Sets = None,
) -> Answer:
    """Say how a programme stands: escrow, rounds, bonds, demands, and what this site is owed."""
    from participant.settling.dossier import FOLDER, Dossiers  # noqa: PLC0415
    from participant.settling.standing import standing_of  # noqa: PLC0415
    from veilsum.settling.place import place_of  # noqa: PLC0415
    from veilsum.settling.words import of_standing  # noqa: PLC0415

    place = place_of(config, over(sets))
    account = None if place.payee else place.address()
    standing = standing_of(
        place.on_chain(programme),
        account=account,
        payee=place.payee,
        offered=place.offered,
        dossiers=Dossiers(place.state / FOLDER),
        from_block=from_block,
    )
    return Answer(standing, of_standing(standing))


@command(settle_app, "claim", verdicts=_PAID)
def settle_claim(
    *,
    config: ConfigFile,
    offline: Annotated[
        bool, typer.Option("--offline", help="Claim what was offered before; ask nobody.")
    ] = False,
    sets: Sets = None,
) -> Answer:
    """Claim what this site has earned, once its round has matured; it is checked here first."""
    from participant.config import read  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415
    from veilsum.settling.claiming import claim  # noqa: PLC0415
    from veilsum.settling.words import of_paid  # noqa: PLC0415

    start_log()
    paid = claim(read(config, over(sets)), offline=offline)
    return Answer(paid, of_paid(paid))


@command(settle_app, "stake")
def settle_stake(
    *,
    config: ConfigFile,
    programme: _Programme = "",
    bond_up_to: Annotated[
        int | None, typer.Option(min=1, help="Bring the bond up to so many token units.")
    ] = None,
    thaw_down_to: Annotated[
        int | None, typer.Option(min=0, help="Let all of the bond thaw but so many token units.")
    ] = None,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take back what has thawed.")
    ] = False,
    collect: Annotated[
        bool,
        typer.Option("--collect", help="Have rewards paid out, and bonds of demands."),
    ] = False,
    sets: Sets = None,
) -> Answer:
    """Bond for a programme with the key of a coordinator, a seat or anyone; or say what is bonded.

    An act says what is to be, not by how much: after a crash, run it again.
    """
    from participant.settling.stake import Staking  # noqa: PLC0415
    from participant.settling.standing import stake_of  # noqa: PLC0415
    from privacy.errors import ConfigError  # noqa: PLC0415
    from veilsum.chain.endpoint import signer_of  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415
    from veilsum.settling.place import place_of  # noqa: PLC0415
    from veilsum.settling.words import of_stake  # noqa: PLC0415

    if (bond_up_to is not None) + (thaw_down_to is not None) + withdraw + collect > 1:
        raise ConfigError("--bond-up-to, --thaw-down-to, --withdraw, --collect: one act at a time")
    start_log()
    place = place_of(config, over(sets))
    on_chain, key = place.on_chain(programme), signer_of(place.access)
    staking = Staking(on_chain, key, place.journal())
    sent: tuple[Receipt, ...] = ()
    if bond_up_to is not None:
        sent = staking.bond_up_to(bond_up_to)
    elif thaw_down_to is not None:
        sent = staking.thaw_down_to(thaw_down_to)
    elif withdraw:
        sent = staking.withdraw()
    elif collect:
        sent = staking.collect()
    stake = stake_of(on_chain, key.address)
    said = {"stake": stake, "sent": [_said(each) for each in sent]}
    return Answer(said, "\n".join((of_stake(stake), *map(_sentence, sent))))


@command(settle_app, "challenge", verdicts=_CHALLENGED)
def settle_challenge(
    *,
    config: ConfigFile,
    proof: Annotated[Path, typer.Option(help="The file with the proof.")],
    sets: Sets = None,
) -> Answer:
    """Have a round voided by a proof: sealed, shown a block later, and the reward collected.

    The proof is judged first, at no cost. It ends with 3 if it proves nothing, or comes too late.
    """
    from participant.settling.challenge import Challenger  # noqa: PLC0415
    from privacy.settlement.accusation import decode  # noqa: PLC0415
    from veilsum.chain.endpoint import signer_of  # noqa: PLC0415
    from veilsum.files import read_file  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415
    from veilsum.settling.place import place_of  # noqa: PLC0415
    from veilsum.settling.words import of_challenge  # noqa: PLC0415

    start_log()
    place, accusation = place_of(config, over(sets)), decode(read_file(proof).strip())
    challenger = Challenger(place.reach(), signer_of(place.access), place.journal(), place.contract)
    done = challenger.challenge(accusation)
    return Answer(done, of_challenge(done))


@command(settle_app, "demand")
def settle_demand(
    *,
    config: ConfigFile,
    number: _Round,
    tree: _Tree,
    chunk: _Chunk = 0,
    leaf: _Leaf = 0,
    level: _Level = 0,
    index: _Index = 0,
    programme: _Programme = "",
    sets: Sets = None,
) -> Answer:
    """Demand a node that the coordinator does not show; or see how that demand stands.

    It costs the bond of a demand. The coordinator answers in time, and earns that; or it loses its
    own by `settle expire`.
    """
    from privacy.settlement.sum_proof import Node  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415
    from veilsum.settling.demanding import demand  # noqa: PLC0415
    from veilsum.settling.place import place_of  # noqa: PLC0415
    from veilsum.settling.words import of_demand  # noqa: PLC0415

    start_log()
    node = Node(_tree(tree), chunk, leaf, level, index)
    done = demand(place_of(config, over(sets)), number, node, programme)
    return Answer(done, of_demand(done))


@command(settle_app, "expire", verdicts=_EXPIRED)
def settle_expire(
    *,
    config: ConfigFile,
    number: _Round,
    tree: _Tree,
    chunk: _Chunk = 0,
    leaf: _Leaf = 0,
    level: _Level = 0,
    index: _Index = 0,
    programme: _Programme = "",
    sets: Sets = None,
) -> Answer:
    """Have the coordinator slashed for a demand that it has not answered in time.

    Whoever demanded has the bond back, and half of what is slashed; both are collected.
    """
    from privacy.settlement.sum_proof import Node  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415
    from veilsum.settling.demanding import expire  # noqa: PLC0415
    from veilsum.settling.place import place_of  # noqa: PLC0415
    from veilsum.settling.words import of_expiry  # noqa: PLC0415

    start_log()
    node = Node(_tree(tree), chunk, leaf, level, index)
    done = expire(place_of(config, over(sets)), number, node, programme)
    return Answer(done, of_expiry(done))


def _tree(name: str) -> "Tree":
    from participant.settling.demand import tree_named  # noqa: PLC0415

    return tree_named(name)


def _said(receipt: "Receipt") -> dict[str, object]:
    return {"transaction": receipt.transaction, "gas": receipt.gas}


def _sentence(receipt: "Receipt") -> str:
    return f"sent {receipt.transaction}, gas {receipt.gas}"
