"""An auditor writes evidence against who lied, with what that seat has pledged."""

import msgspec
import pytest
from eth_account import Account

from participant.auditing import accusing as module
from participant.auditing.accusing import Accusing
from participant.auditing.report import DisputeReports
from privacy import canonical
from privacy.errors import MissingDependency, NotYet, PeerUnreachable, WrongIdentity
from privacy.settlement import verdict as verdicts
from privacy.settlement.pledge import Pledge
from tests.participant import pledged
from tests.participant import signed_round as made
from veilsum.chain.digests import signer_of_digest


class Shows:
    """Pledges by round; a round that is not there is not compared yet."""

    def __init__(self, by_round):
        self.by_round, self.asked = by_round, []

    async def pledges(self, number):
        self.asked.append(number)
        found = self.by_round.get(number, NotYet("not compared"))
        if isinstance(found, Exception):
            raise found
        return found


def accusing(folder, by_round, report=None, rosters=None):
    keys = made.keys(made.WATCH)
    reports = DisputeReports(folder / "disputes", keys.signing)
    if report is not None:
        reports.keep(report)
    known = (pledged.roster(),) if rosters is None else rosters
    return Accusing(folder, keys, reports, Shows(by_round), known, signer_of_digest)


async def test_evidence_is_what_a_judge_can_examine(tmp_path):
    """The report as it was signed, and the pledge of that round."""
    by_round = {1: [pledged.pledge(0), pledged.pledge()]}

    (written,) = await accusing(tmp_path, by_round, pledged.report()).accuse(1)

    assert written.path == str(tmp_path / "evidence" / "000001-fern.json")
    evidence = verdicts.decode((tmp_path / "evidence" / "000001-fern.json").read_bytes())
    accused = verdicts.examine(evidence, pledged.roster(), signer_of_digest)
    assert (accused.seat, accused.account) == (pledged.LIAR, written.account)


async def test_it_is_the_same_each_time(tmp_path):
    """Judges sign its digest: another file would be another verdict."""
    at_work = accusing(tmp_path, {1: [pledged.pledge()]}, pledged.report())

    (first,) = await at_work.accuse(1)
    before = (tmp_path / "evidence" / "000001-fern.json").read_bytes()
    (again,) = await at_work.accuse(1)

    assert again == first
    assert (tmp_path / "evidence" / "000001-fern.json").read_bytes() == before


async def test_where_a_liar_has_made_no_pledge_an_earlier_one_serves(tmp_path):
    """Whose account it is was said then."""
    report = msgspec.structs.replace(pledged.report(), round=4)
    at_work = accusing(tmp_path, {4: [pledged.pledge(0)], 1: [pledged.pledge()]}, report)

    (written,) = await at_work.accuse(4)

    assert written.account == pledged.ACCOUNT.address.lower()
    assert at_work.shows.asked == [4, 3, 2, 1]


async def test_a_fresh_account_pledged_with_the_lie_does_not_shield_those_before(tmp_path):
    """It has no bond; the account of the round before has, and the lie is the same seat's."""
    empty = Account.from_key(b"\x08" * 32)
    report = msgspec.structs.replace(pledged.report(), round=4)
    by_round = {4: [pledged.pledge(account=empty)], 3: [pledged.pledge()], 2: [pledged.pledge()]}

    written = await accusing(tmp_path, by_round, report).accuse(4)

    accounts = [empty.address.lower(), pledged.ACCOUNT.address.lower()]
    assert [one.account for one in written] == accounts
    folder = tmp_path / "evidence"
    assert [one.path for one in written] == [
        str(folder / "000004-fern.json"),
        str(folder / "000004-fern-2.json"),
    ]
    found = verdicts.decode((folder / "000004-fern-2.json").read_bytes())
    assert canonical.decode(found.pledge, Pledge).account == pledged.ACCOUNT.address.lower()


async def test_a_seat_that_has_never_pledged_has_no_account_that_answers(tmp_path):
    """It is said, and nothing is written."""
    (written,) = await accusing(tmp_path, {1: [pledged.pledge(0)]}, pledged.report()).accuse(1)

    assert (written.account, written.path) == ("", "")
    assert not (tmp_path / "evidence").exists()


async def test_a_pledge_that_does_not_hold_is_left_out(tmp_path):
    """A coordinator shows what it likes: with it the evidence would be in vain."""
    spoiled = pledged.changed(pledged.pledge(), account="0x" + "ab" * 20)

    (written,) = await accusing(tmp_path, {1: [spoiled]}, pledged.report()).accuse(1)

    assert written.path == ""


async def test_a_coordinator_that_knows_no_such_seat_of_an_earlier_round_is_asked_on(tmp_path):
    """Seats change; whoever was none of that round had nothing to pledge there."""
    report = msgspec.structs.replace(pledged.report(), round=3)
    by_round = {3: [], 2: WrongIdentity("no part"), 1: [pledged.pledge()]}

    (written,) = await accusing(tmp_path, by_round, report).accuse(3)

    assert written.account


async def test_nobody_is_accused_of_what_was_only_withheld(tmp_path):
    """A coordinator that drops letters makes any seat one of these."""
    report = pledged.report(code="seats_disagree", liars=(), withheld=(pledged.LIAR,))

    with pytest.raises(NotYet, match="has found no seat that lied"):
        await accusing(tmp_path, {1: [pledged.pledge()]}, report).accuse(1)
    with pytest.raises(NotYet):
        await accusing(tmp_path, {}).accuse(2)


async def test_a_coordinator_that_is_away_is_asked_again_by_whoever_runs_it(tmp_path):
    with pytest.raises(PeerUnreachable):
        await accusing(tmp_path, {1: PeerUnreachable("away")}, pledged.report()).accuse(1)


async def test_a_roster_that_this_auditor_has_not_seen_is_said(tmp_path):
    """Whose key a pledge is signed with is not the coordinator's to say."""
    at_work = accusing(tmp_path, {1: [pledged.pledge()]}, pledged.report(), rosters=())

    with pytest.raises(NotYet, match="run its agent once"):
        await at_work.accuse(1)


def test_without_web3_nobody_is_accused_and_it_is_said(tmp_path, monkeypatch):
    """An auditor that cannot do it goes on with its sums."""
    monkeypatch.setattr(module, "find_spec", lambda _: None)

    with pytest.raises(MissingDependency, match="install the extra `chain`"):
        module.accusing(None, made.keys(made.WATCH), Shows({}), ())
