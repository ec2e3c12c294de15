"""Evidence holds only if everybody has signed what it says; a verdict counts of each judge once."""

import hashlib
from functools import partial

import msgspec
import pytest
from eth_account import Account

from privacy import canonical
from privacy.errors import InvalidSignature, MalformedMessage, VeilsumError, WrongContext
from privacy.records import Exhibit
from privacy.settlement import verdict as verdicts
from privacy.settlement.verdict import Accused, Evidence, SignedVerdict
from tests.participant import pledged
from tests.participant import signed_round as made
from veilsum.chain.digests import sign_typed, signer_of_digest


def examined(evidence: Evidence) -> Accused:
    return verdicts.examine(evidence, pledged.roster(), signer_of_digest)


def signed(judge: int, accused: Accused | None = None) -> SignedVerdict:
    key = pledged.JUDGES[judge]
    accused = accused or examined(pledged.evidence())
    return verdicts.sign_verdict(accused, key.address, partial(sign_typed, key))


def quorum(*given: SignedVerdict, needed: int = 2, judges: tuple[str, ...] = pledged.NAMES):
    accused = examined(pledged.evidence())
    return verdicts.quorum(accused, given, judges, needed, signer_of_digest)


def test_evidence_names_the_account_that_the_liar_has_pledged() -> None:
    """In the round and the programme of both its signatures."""
    evidence = pledged.evidence()

    accused = examined(evidence)

    assert (accused.seat, accused.account) == (pledged.LIAR, pledged.ACCOUNT.address.lower())
    assert (accused.domain, accused.round) == (pledged.HERE, 1)
    assert accused.evidence == hashlib.sha256(canonical.encode(evidence)).digest()


def test_evidence_is_what_its_file_says_and_nothing_else() -> None:
    """Every judge signs the digest of the same bytes."""
    body = canonical.encode(pledged.evidence())

    assert verdicts.decode(body) == pledged.evidence()
    for spoiled in (b" " + body, body[:-1], b"[]", b"", body.replace(b'"round":1', b'"round":1.0')):
        with pytest.raises(MalformedMessage):
            verdicts.decode(spoiled)
    with pytest.raises(MalformedMessage, match="more than"):
        verdicts.decode(bytes(verdicts.LARGEST_EVIDENCE + 1))


def of_round(number: int, federation: str = made.FEDERATION):
    """The same lie in another round: what both seats have signed of it."""
    exhibits = []
    for each in pledged.round_of().stated[:2]:
        moved = msgspec.structs.replace(each.statement, round=number, federation=federation)
        signed_again = made.signed_by(moved, moved.seat)
        signature = signed_again.signatures[moved.seat]
        exhibits.append(Exhibit(moved.seat, signed_again.body, signature))
    return {"round": number, "federation": federation, "exhibits": tuple(exhibits)}


def test_a_pledge_of_an_earlier_round_answers_for_a_later_lie() -> None:
    """A seat that means to lie would make none of that round."""
    accused = examined(pledged.evidence(pledged.pledge(), **of_round(2)))

    assert (accused.round, accused.account) == (2, pledged.ACCOUNT.address.lower())


def test_a_pledge_of_a_later_round_or_for_another_sum_answers_for_nothing() -> None:
    """Who was bonded only afterwards did not answer for it then."""
    stated = pledged.round_of().stated[1].statement
    later = pledged.made_for(msgspec.structs.replace(stated, round=3))
    other = pledged.made_for(msgspec.structs.replace(stated, cohort="ab" * 32))

    with pytest.raises(WrongContext, match="one of this round is needed, or of one before"):
        examined(pledged.evidence(later, **of_round(2)))
    with pytest.raises(WrongContext, match="another round, plan or cohort"):
        examined(pledged.evidence(other))


def test_what_was_signed_for_another_federation_accuses_nobody_here() -> None:
    """Members of two federations have one key in both, if they like."""
    stated = pledged.round_of().stated[1].statement
    elsewhere = pledged.made_for(msgspec.structs.replace(stated, federation="cardiology"))

    with pytest.raises(WrongContext, match="a pledge of fern for round 1 of 'cardiology'"):
        examined(pledged.evidence(elsewhere, **of_round(2)))
    with pytest.raises(WrongContext, match="a report of federation 'cardiology'"):
        examined(pledged.evidence(elsewhere, **of_round(2, "cardiology")))


@pytest.mark.parametrize(
    "evidence",
    [
        lambda: pledged.evidence(signer=pledged.HONEST),
        lambda: pledged.evidence(auditor=pledged.HONEST, signer=pledged.HONEST),
        lambda: pledged.evidence(auditor="amber", signer="amber"),
        lambda: pledged.evidence(auditor="nobody"),
        lambda: pledged.evidence(code="seats_disagree"),
        lambda: pledged.evidence(liars=()),
        lambda: pledged.evidence(liars=(pledged.HONEST,)),
        lambda: pledged.evidence(liars=(), withheld=(pledged.LIAR,)),
        lambda: pledged.evidence(exhibits=()),
        lambda: pledged.evidence(exhibits=pledged.report().exhibits[1:]),
        lambda: pledged.evidence(exhibits=pledged.report().exhibits[1:] * 2),
        lambda: pledged.evidence(seats=(pledged.HONEST, "gorse")),
        lambda: pledged.evidence(round=2),
        lambda: pledged.evidence(plan="ab" * 32),
        lambda: pledged.evidence(cohort="ab" * 32),
        lambda: pledged.evidence(federation="cardiology"),
        lambda: pledged.evidence(component=(pledged.report().component + 1) % 3),
        lambda: pledged.evidence(pledged.pledge(0), seat=pledged.HONEST),
        lambda: pledged.evidence(pledged.changed(pledged.pledge(), account="0x" + "ab" * 20)),
    ],
    ids=[
        "unsigned", "by a seat", "by a trainer", "by nobody", "no lie", "no liar", "another liar",
        "withheld", "no exhibits", "one exhibit", "one exhibit twice", "other seats", "round",
        "plan", "cohort", "federation", "component", "pledge of the honest", "pledge of another",
    ],
)  # fmt: skip
def test_evidence_in_which_one_part_does_not_hold_accuses_nobody(evidence) -> None:
    """Each of them is a way to have an honest seat slashed, or somebody else's account."""
    made_up = evidence()

    with pytest.raises(VeilsumError):
        examined(made_up)


def test_two_seats_that_signed_the_same_sum_are_in_no_dispute() -> None:
    """Whatever an auditor says."""
    honest = pledged.exhibits_of(pledged.truthful())

    with pytest.raises(WrongContext, match="nothing to judge"):
        examined(pledged.evidence(exhibits=honest))


def test_a_forged_exhibit_is_found() -> None:
    first, second = pledged.report().exhibits

    with pytest.raises(InvalidSignature):
        examined(pledged.evidence(exhibits=(first, msgspec.structs.replace(second, signature=b""))))


def test_signatures_of_a_quorum_rise_by_address() -> None:
    """As the contract wants them, in whatever order the files come."""
    for given in ((0, 1), (1, 0), (2, 0), (2, 1, 0)):
        found = quorum(*map(signed, given))

        signers = [signer_of_digest(examined(pledged.evidence()).digest(), each) for each in found]
        assert signers == [pledged.NAMES[each] for each in sorted(given)]


def test_fewer_judges_than_are_needed_make_no_verdict() -> None:
    """One who signs twice is one."""
    with pytest.raises(WrongContext, match="1 of 3 judges have signed this verdict, 2 are needed"):
        quorum(signed(0), signed(0))
    with pytest.raises(WrongContext, match="0 of 0"):
        quorum(needed=0, judges=())


def test_a_verdict_about_something_else_counts_for_nothing() -> None:
    other = Accused(pledged.LIAR, "0x" + "ab" * 20, pledged.HERE, 1, bytes(32))

    with pytest.raises(WrongContext, match="about something else"):
        quorum(signed(0), signed(1, other))


def test_a_verdict_of_a_stranger_or_in_anothers_name_is_refused() -> None:
    stranger = Account.from_key(b"\x31" * 32)
    accused = examined(pledged.evidence())
    by_stranger = verdicts.sign_verdict(accused, stranger.address, partial(sign_typed, stranger))

    with pytest.raises(WrongContext, match="no judge of this programme"):
        quorum(signed(0), by_stranger)
    in_name = msgspec.structs.replace(by_stranger, judge=pledged.NAMES[1])
    with pytest.raises(InvalidSignature, match="has not signed the verdict that is in its name"):
        quorum(signed(0), in_name)


def test_evidence_holds_no_word_of_a_sum() -> None:
    """It goes to people who may see none: to the third seat it would be plain text."""
    evidence = canonical.encode(pledged.evidence())

    for stated in pledged.round_of().stated:
        for stream in stated.sealed:
            assert all(chunk[:64] not in evidence for chunk in stream)
    assert len(canonical.encode(pledged.report(exhibits=()))) < 2048
    assert made.WATCH.encode() in evidence
