"""Demand, by hand, what a coordinator does not show; and have it slashed for its silence."""

from participant.settling.demand import Demanded, Demander, Expired
from participant.settling.dossier import FOLDER, Dossiers
from participant.settling.programme import Programme, commit_of
from privacy.errors import ConfigError
from privacy.settlement.commitment import Commit
from privacy.settlement.sum_proof import Node, Tree
from veilsum.chain.endpoint import signer_of

from .place import Place


def demand(place: Place, number: int, node: Node, programme: str = "") -> Demanded:
    """Demand a node of a round's commit, once, and return how that demand stands.

    The coordinator is not asked for anything: the commit is the one that is kept, or the chain's.

    Raises:
        ConfigError: no programme is named, or the arithmetic of its plans is not kept here.
        NotYet, RootMismatch: as for `commit_of`.
        WrongContext, IllegalEvent, ChainUnavailable: as for `Demander.demand`.
    """
    on_chain, dossiers = place.on_chain(programme), Dossiers(place.state / FOLDER)
    commit = commit_of(on_chain, number, _kept(dossiers, number))
    arithmetic = b"" if node.tree is Tree.COHORT else dossiers.arithmetic()
    if arithmetic is None:
        raise ConfigError(
            f"{dossiers.folder}: no round of this programme was looked at from here yet, and to "
            "name a node its plans' arithmetic is needed; run `veilsum audit sum`, or a site's "
            "agent, for any round of it"
        )
    return _demander(place, on_chain).demand(commit, node, arithmetic)


def expire(place: Place, number: int, node: Node, programme: str = "") -> Expired:
    """Have a coordinator slashed for a demand that it has not answered in time.

    Raises:
        ConfigError: no programme is named.
        WrongContext, NotYet, ChainUnavailable: as for `Demander.expire`.
    """
    on_chain = place.on_chain(programme)
    return _demander(place, on_chain).expire(on_chain, number, node)


def _demander(place: Place, on_chain: Programme) -> Demander:
    key = signer_of(place.access)
    return Demander(on_chain.endpoint, key, place.journal(), place.contract)


def _kept(dossiers: Dossiers, number: int) -> Commit | None:
    kept = dossiers.of(number)
    return None if kept is None else kept.commit
