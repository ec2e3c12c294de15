"""`veilsum audit sum`: what is found now, or was before; and whom it is told to."""

import json

import msgspec
import pytest

from participant.auditing.report import DisputeReports
from participant.auditing.run import error_in, look, text_of
from privacy.errors import (
    FalseSum,
    IllegalEvent,
    NotYet,
    OpeningRefused,
    PeerUnreachable,
    PolicyRefusal,
    SeatLied,
)
from privacy.records import DisputeReport
from privacy.signing import Purpose, verify
from tests.participant import at_dispute
from tests.participant import auditor_at_work as work
from tests.participant import signed_round as made
from tests.participant.auditing.test_auditor import ROUND, false_chunks


@pytest.fixture
def shown():
    coordinator = work.Audited()
    coordinator.audits(ROUND)
    return coordinator


async def found(folder, shown, name="watch", number=1):
    return await look(work.config(folder, name), made.keys(name), shown, number)


async def test_an_honest_round_is_found_so_now(tmp_path, shown):
    """And the exit status is 0."""
    finding = await found(tmp_path, shown)

    assert (finding.stored, error_in(finding)) == (False, None)
    assert "the sum is that of its contributions, found now" in text_of(finding)
    assert f"root {ROUND.sum.root}" in text_of(finding)


async def test_a_false_sum_is_told_down_to_the_word(tmp_path, shown):
    """Which round, which chunk, which word; and the status is not 0."""
    chunks = false_chunks()
    shown.sums[1] = (work.with_sum(ROUND, chunks), chunks)

    finding = await found(tmp_path, shown)

    assert type(error_in(finding)) is FalseSum
    assert "round 1: false_sum, found now" in text_of(finding)
    words = "chunk 1 of the sum, ciphertext 0, polynomial 1, modulus 0, word 99: "
    assert words in text_of(finding)


async def test_when_the_contributions_are_gone_the_stored_report_is_shown(tmp_path, shown):
    """What serve has found outlives the round, a false sum before anything else."""
    auditor, memory = work.auditor(tmp_path, shown)
    await auditor.sign(1, memory)
    shown.payloads.clear()

    finding = await found(tmp_path, shown)

    assert (finding.stored, finding.report.code) == (True, "")
    assert "found before" in text_of(finding)


async def test_a_coordinator_that_is_away_hides_no_report(tmp_path, shown, monkeypatch):
    """It is who stands accused; of a round without a report its absence is the error."""
    chunks = false_chunks()
    shown.sums[1] = (work.with_sum(ROUND, chunks), chunks)
    auditor, memory = work.auditor(tmp_path, shown)
    with pytest.raises(FalseSum):
        await auditor.sign(1, memory)

    async def away(fingerprint):
        raise PeerUnreachable("connection refused")

    monkeypatch.setattr(shown, "roster", away)

    finding = await found(tmp_path, shown)
    assert (finding.stored, finding.report.code) == (True, "false_sum")
    with pytest.raises(PeerUnreachable):
        await found(tmp_path, shown, number=2)


async def test_of_two_reports_the_one_that_accuses_is_shown(tmp_path, shown):
    """A sum was signed, and then a second one shown: the round is not all right."""
    auditor, memory = work.auditor(tmp_path, shown)
    await auditor.sign(1, memory)
    shown.audits(made.Round(ROUND.plan, made.OPENERS))
    with pytest.raises(OpeningRefused):
        await auditor.sign(1, memory)
    shown.payloads.clear()

    finding = await found(tmp_path, shown)

    assert type(error_in(finding)) is OpeningRefused


async def test_without_contributions_and_without_a_report_there_is_nothing_to_say(tmp_path, shown):
    """A round that this auditor has not seen."""
    shown.payloads.clear()

    with pytest.raises(NotYet):
        await found(tmp_path, shown)


async def test_what_is_printed_can_be_checked_by_others(tmp_path, shown):
    """One JSON object: the report, and the auditor's signature on its canonical form."""
    finding = json.loads(msgspec.json.encode(await found(tmp_path, shown)))

    body = json.dumps(finding["report"], sort_keys=True, separators=(",", ":")).encode()
    key = made.roster().member("watch").signing_key
    verify(key, Purpose.AUDIT_REPORT, body, msgspec.convert(finding["signature"], bytes))


@pytest.mark.parametrize("name", made.TRAINERS)
async def test_a_trainer_is_told_nothing(tmp_path, shown, name):
    """Refused before anything of the round is asked for."""
    asked = []
    for verb in ("plan", "key", "cohort", "sum", "contributions"):
        setattr(shown, verb, lambda *_, verb=verb: asked.append(verb))

    with pytest.raises(PolicyRefusal, match="no auditor of the roster"):
        await found(tmp_path, shown, name)
    assert asked == []


async def test_of_a_dispute_the_stored_report_is_shown(tmp_path, shown):
    """It was settled once, and is not again: whatever the coordinator shows now."""
    report = DisputeReport(
        federation=made.FEDERATION,
        round=1,
        auditor="watch",
        code="seat_lied",
        reason="the sum of fern is not that of the sites",
        component=1,
        seats=("elm", "fern"),
        liars=("fern",),
    )
    DisputeReports(tmp_path / "disputes", made.keys("watch").signing).keep(report)

    finding = await found(tmp_path, shown)

    assert (finding.stored, finding.report) == (True, report)
    assert type(error_in(finding)) is SeatLied
    assert "round 1: seat_lied, found before\n  the sum of fern" in text_of(finding)
    assert json.loads(msgspec.json.encode(finding))["report"]["liars"] == ["fern"]


async def test_a_round_under_shares_without_a_dispute_says_who_vouches_for_it(tmp_path, shown):
    """There is no contribution that an auditor could add."""
    shown.plans[1] = at_dispute.plan()

    with pytest.raises(IllegalEvent, match="nothing was disputed"):
        await found(tmp_path, shown)
