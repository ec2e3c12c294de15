"""A quorum of judges costs a seat that lied its bond, and nobody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account

from participant.config import ProgrammeAccess
from participant.seat.pledging import account_of
from participant.settling.court import Court, Judged
from participant.settling.standing import standing_of
from privacy.errors import InvalidSignature, WrongContext
from privacy.settlement import pledge as pledges
from privacy.settlement.verdict import SignedVerdict
from tests.chain.fake_signer import FakeSigner, listening, served
from tests.participant import pledged
from tests.participant import signed_round as made
from tests.participant.settling.lied_programme import BOND, SEAT_BOND, Lied, lied
from veilsum.chain.access import SignerAccess
from veilsum.chain.journal import FolderJournal
from veilsum.chain.signing import RemoteSigner
from veilsum.demo.chain import embedded_chain, give_gas


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with embedded_chain() as url:
        yield url, tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def open_case(chain: tuple[str, Path]) -> Lied:
    """Nothing is ever sent of it."""
    return lied(*chain)


def signed(case: Lied, *judges: int) -> list[SignedVerdict]:
    accused = case.court().examine(case.evidence, pledged.roster())
    return [case.court(pledged.JUDGES[each]).judge(accused) for each in judges]


def submitted(case: Lied, *judges: int) -> Judged:
    court = case.court()
    accused = court.examine(case.evidence, pledged.roster())
    return court.submit(accused, signed(case, *judges))


@pytest.fixture(scope="module")
def convicted(chain: tuple[str, Path]) -> tuple[Lied, Judged]:
    case = lied(*chain)
    return case, submitted(case, 2, 0)


def test_the_seat_that_lied_loses_its_bond_and_the_coordinator_keeps_its_own(
    convicted: tuple[Lied, Judged],
) -> None:
    """All of it burns: a quorum gets nothing for a verdict. The round is void."""
    case, done = convicted

    programme = case.programme()
    assert (done.slashed, done.judges, done.round) == (str(SEAT_BOND), 2, 1)
    assert done.accused == pledged.ACCOUNT.address.lower()
    assert programme.stake_of(pledged.ACCOUNT.address).bonded == 0
    assert programme.stake_of(case.run.chain.key.address).bonded == BOND
    assert programme.credit_of(case.run.gas_key.address) == 0
    standing = standing_of(programme)
    assert (standing.state, standing.void_from) == ("halted", 1)


def test_a_seat_and_judges_whose_keys_are_elsewhere_are_heard_by_the_contract(
    chain: tuple[str, Path], tmp_path: Path
) -> None:
    """The pledge by a web3signer's key; a verdict by another's, and one by clef's."""
    case = lied(*chain)
    with served(FakeSigner(key=pledged.ACCOUNT)) as url:
        account = account_of(
            ProgrammeAccess(
                rpc=chain[0],
                chain_id=case.run.endpoint.chain_id,
                contract=str(case.run.chain.contract.address),
                programme=case.run.programme,
                signer=SignerAccess(url, pledged.ACCOUNT.address),
            )
        )
        stated = pledged.round_of().stated[1].statement
        key = made.keys(stated.seat).signing
        pledge = pledges.make(stated, account.domain, account.address, account.sign, key)
    evidence = pledged.evidence(pledge)
    accused = case.court().examine(evidence, pledged.roster())
    first, second = pledged.JUDGES[0], pledged.JUDGES[2]
    with (
        served(FakeSigner(key=first)) as url,
        listening(FakeSigner(key=second, clef=True), tmp_path) as path,
    ):
        verdicts = [
            case.court(RemoteSigner(SignerAccess(at, key.address))).judge(accused)
            for at, key in ((url, first), (path, second))
        ]

    done = case.court().submit(accused, verdicts)

    assert (done.slashed, done.judges) == (str(SEAT_BOND), 2)


def test_submitting_again_sends_nothing_and_answers_the_same(
    convicted: tuple[Lied, Judged],
) -> None:
    """After a crash, with whichever judges' files are at hand."""
    case, first = convicted
    before = case.nonce()

    again = submitted(case, 2, 0)

    assert again == first
    assert case.nonce() == before


def test_a_verdict_that_somebody_else_has_carried_out_is_said_to_be(
    convicted: tuple[Lied, Judged],
) -> None:
    """Whoever is second learns that there is nothing left to do."""
    case, _ = convicted
    second = case.run.sites["site-0"]
    give_gas(case.run.endpoint, [second.address])
    late = Court(case.programme(), second, FolderJournal(case.run.folder / "second"))
    accused = late.examine(case.evidence, pledged.roster())

    with pytest.raises(WrongContext, match="carried out before"):
        late.submit(accused, signed(case, 0, 1))


def test_too_few_judges_are_noticed_before_anything_is_sent(open_case: Lied) -> None:
    before = open_case.nonce()

    with pytest.raises(WrongContext, match="1 of 3 judges have signed this verdict, 2 are needed"):
        submitted(open_case, 1, 1)

    assert open_case.nonce() == before


def test_whoever_is_no_judge_signs_no_verdict(open_case: Lied) -> None:
    stranger = open_case.court(Account.from_key(b"\x31" * 32))
    accused = stranger.examine(open_case.evidence, pledged.roster())

    with pytest.raises(WrongContext, match="is no judge of this programme; they are 0x"):
        stranger.judge(accused)


def test_evidence_for_another_programme_is_not_heard(open_case: Lied) -> None:
    """A bond there cannot be slashed from here."""
    other = pledged.evidence(pledged.pledge())

    with pytest.raises(WrongContext, match="pledged for programme 7070707070707070"):
        open_case.court().examine(other, pledged.roster())


def test_evidence_that_does_not_hold_is_not_heard(open_case: Lied) -> None:
    forged = pledged.evidence(signer=pledged.HONEST)

    with pytest.raises(InvalidSignature):
        open_case.court().examine(forged, pledged.roster())


def test_a_round_that_is_not_committed_costs_nobody_a_bond(chain: tuple[str, Path]) -> None:
    """The chain knows nothing of it yet."""
    case = lied(*chain, committed=False)

    with pytest.raises(WrongContext, match="is not committed on the chain"):
        case.court().examine(case.evidence, pledged.roster())


def test_a_round_that_has_matured_costs_nobody_a_bond(chain: tuple[str, Path]) -> None:
    """Nor do verdicts that were signed in time and come too late."""
    case = lied(*chain, window=600)
    accused = case.court().examine(case.evidence, pledged.roster())
    verdicts = signed(case, 0, 1)
    later = case.programme().round(1)
    assert later is not None
    case.run.endpoint.web3.provider.make_request("testing_timeTravel", [later.matures_at])
    give_gas(case.run.endpoint, [case.run.sites["site-1"].address])  # a block of that time

    with pytest.raises(WrongContext, match="has matured at Unix time"):
        case.court().examine(case.evidence, pledged.roster())
    with pytest.raises(WrongContext, match="has matured at Unix time"):
        case.court().submit(accused, verdicts)
