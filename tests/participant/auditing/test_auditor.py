"""An auditor signs a sum that it has added again, once; of any other it says what is wrong."""

from pathlib import Path

import msgspec
import pytest

from participant.policy.plans import check_audit
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import (
    CohortTooSmall,
    FalseSum,
    IllegalEvent,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    OpeningRefused,
    PeerLedgerRolledBack,
    PeerUnreachable,
    PolicyRefusal,
    RootMismatch,
    StoreUnavailable,
    WrongContext,
    WrongIdentity,
)
from privacy.failpoints import Failpoints
from privacy.limbs import decode_chunk
from privacy.records import Fault, digest_of
from privacy.signing import Purpose, verify
from tests.participant import auditor_at_work as work
from tests.participant import signed_round as made
from tests.participant.auditing.test_audit import changed

PLAN = made.plan(auditor="watch")
ROUND = made.Round(PLAN, made.TRAINERS)


class Died(BaseException):
    """The process ends here."""


def dies_at(place):
    def die(where):
        raise Died(where)

    return Failpoints({(place, 1): die})


@pytest.fixture
def shown():
    coordinator = work.Audited()
    coordinator.audits(ROUND)
    return coordinator


@pytest.fixture
def watch(tmp_path, shown):
    return work.auditor(tmp_path, shown)


async def test_a_sum_with_an_older_ledger_than_was_seen_is_not_signed(tmp_path, shown, watch):
    """An old backup was put back at that site, which is named; a restart forgets nothing."""
    header = made.header_of(PLAN, "cedar")
    before = msgspec.structs.replace(header, round=0)
    _, memory = watch
    memory.sees_ledgers([before])
    memory.close()

    at_work, memory = work.auditor(tmp_path, shown)
    with pytest.raises(PeerLedgerRolledBack, match=r"^cedar: "):
        await at_work.sign(1, memory)

    assert shown.countersigned == {}
    assert at_work.reports.of(1)[0].report.code == "peer_ledger_rolled_back"


async def test_an_auditor_remembers_the_ledgers_of_what_it_signs(watch):
    """And signs the same round again, as after a restart."""
    at_work, memory = watch

    for _ in range(2):
        await at_work.sign(1, memory)

    assert set(memory.ledgers_seen()) == set(made.TRAINERS)


def false_chunks(chunk=1, where=(0, 1, 0, 99)):
    chunks = list(ROUND.chunks)
    chunks[chunk] = changed(chunks[chunk], chunk, where)
    return tuple(chunks)


def shows_sum(shown, chunks, **other):
    shown.sums[1] = (work.with_sum(ROUND, chunks, **other), chunks)


async def test_an_honest_sum_is_signed(shown, watch):
    """The manifest that openers will ask for, with the purpose of a sum."""
    auditor, memory = watch

    await auditor.sign(1, memory)

    body = shown.sums[1][0].body
    verify(made.roster().member("watch").signing_key, Purpose.SUM, body, shown.countersigned[1])
    assert memory.countersigned(1) == (digest_of(ROUND.cohort), digest_of(ROUND.sum))
    (kept,) = auditor.reports.of(1)
    assert kept.report.code == ""
    assert kept.report.found == ROUND.sum.root
    assert (kept.report.contributions, kept.report.chunks) == (4, 2)
    assert kept.report.length == sum(len(c) for n in made.TRAINERS for c in ROUND.payloads(n))


async def test_a_false_sum_is_not_signed_and_its_word_is_named(shown, watch):
    """Chunk, place, what it is, what it should be: on disk, before the round is refused."""
    auditor, memory = watch
    shows_sum(shown, false_chunks())

    with pytest.raises(FalseSum, match="chunk 1 of the sum, ciphertext 0, polynomial 1"):
        await auditor.sign(1, memory)

    assert (shown.countersigned, memory.countersigned(1)) == ({}, None)
    (kept,) = auditor.reports.of(1)
    right = int(decode_chunk(made.PARAMETERS.layout, 1, 1, ROUND.chunks[1])[0, 1, 0, 99])
    assert kept.report.fault == Fault("", 1, 0, 1, 0, 99, str(right), str(right + 1))
    signed = kept.report.manifest, kept.report.manifest_signature
    verify(made.roster().coordinator_key, Purpose.SUM, *signed)


async def test_what_was_false_stays_false(tmp_path, shown, watch):
    """The coordinator mends its sum; the round is refused all the same, without adding again."""
    auditor, memory = watch
    shows_sum(shown, false_chunks())
    with pytest.raises(FalseSum):
        await auditor.sign(1, memory)
    shown.audits(ROUND)
    asked = len(shown.streams)
    again, _ = work.auditor(tmp_path, shown)

    with pytest.raises(FalseSum, match="chunk 1"):
        await again.sign(1, memory)

    assert (shown.countersigned, len(shown.streams)) == ({}, asked)


@pytest.mark.parametrize(
    ("chunks", "fault"),
    [
        (ROUND.chunks, Fault("")),
        (ROUND.chunks[:1], Fault("", 1)),
        ((), Fault("", 0)),
        ((*ROUND.chunks, b"more"), Fault("")),
        ((b"none", ROUND.chunks[1]), Fault("", 0)),
    ],
)
async def test_a_root_of_other_chunks_than_are_shown_is_a_false_sum(shown, watch, chunks, fault):
    """As far as it can be told: too few chunks, or a root that belongs to none of them."""
    auditor, memory = watch
    shown.sums[1] = (work.with_sum(ROUND, ROUND.chunks, root="1" * 64), chunks)

    with pytest.raises(FalseSum):
        await auditor.sign(1, memory)
    assert auditor.reports.of(1)[-1].report.fault == fault


async def test_a_contribution_that_its_site_did_not_sign_is_named(shown, watch):
    """The sum is that of what was streamed; cedar's header says that cedar sent something else."""
    auditor, memory = watch

    def chunks(name):
        honest = ROUND.payloads(name)
        return (honest[0], changed(honest[1], 1, (0, 0, 0, 5))) if name == "cedar" else honest

    total = made.Round(PLAN, made.TRAINERS, chunks)
    shown.payloads[1] = chunks
    shows_sum(shown, total.chunks)

    with pytest.raises(
        RootMismatch, match="cedar's contribution, as the coordinator hands it out, does not lead"
    ):
        await auditor.sign(1, memory)
    assert auditor.reports.of(1)[-1].report.fault == Fault("cedar")
    assert shown.countersigned == {}


async def test_the_word_is_not_named_from_other_contributions(shown, watch):
    """What the coordinator streams the second time does not choose what is said."""
    auditor, memory = watch
    shows_sum(shown, false_chunks())
    honest = shown._contributions
    second = []

    async def stream(number, from_chunk):
        async for chunk, name, payload in honest(number, from_chunk):
            yield chunk, name, ROUND.payloads("amber")[chunk] if second else payload
        second.append(1)

    shown._contributions = stream

    with pytest.raises(FalseSum):
        await auditor.sign(1, memory)
    assert auditor.reports.of(1)[-1].report.fault == Fault("", 1)


@pytest.mark.parametrize(
    ("breaks", "asked"),
    [
        ([0], [0, 0]),
        ([3], [0, 0]),
        ([4], [0, 1]),
        ([7], [0, 1]),
        ([2, 3, 0, 0, 1], [0, 0, 0, 0, 0, 0]),
        ([5, 3, 1], [0, 1, 1, 1]),
    ],
)
async def test_a_stream_that_breaks_goes_on_from_the_chunk_reached(shown, watch, breaks, asked):
    """Nothing that was added is added twice, and nothing is left out."""
    auditor, memory = watch
    shown.breaks = list(breaks)

    await auditor.sign(1, memory)

    assert 1 in shown.countersigned
    assert [chunk for _, chunk in shown.streams] == asked
    assert auditor.patience.waited == ["the stream broke"] * len(breaks)
    assert auditor.reports.of(1)[-1].report.found == ROUND.sum.root


async def test_a_stream_that_ends_too_early_is_asked_for_more_once(shown, watch):
    """As long as a chunk came; a coordinator that sends nothing more has none."""
    auditor, memory = watch
    shown.ends = [4, 0]

    with pytest.raises(MalformedMessage, match="no contribution to chunk 1"):
        await auditor.sign(1, memory)
    assert auditor.reports.of(1)[-1].report.code == "malformed_message"


@pytest.mark.parametrize("error", [NotYet("erased"), IllegalEvent("aborted")])
async def test_a_round_that_is_gone_is_not_refused(shown, watch, error):
    """Nothing is wrong with it; there is nothing to say."""
    auditor, memory = watch

    async def gone(number, from_chunk):
        raise error
        yield

    shown._contributions = gone

    with pytest.raises(type(error)):
        await auditor.sign(1, memory)
    assert auditor.reports.of(1) == ()


async def test_an_auditor_that_dies_before_it_recorded_adds_again(tmp_path, shown):
    """Nothing was signed: the round can still get its signature."""
    auditor, memory = work.auditor(tmp_path, shown, dies_at("audit.before_record"))
    with pytest.raises(Died):
        await auditor.sign(1, memory)
    assert memory.countersigned(1) is None
    again, _ = work.auditor(tmp_path, shown)

    await again.sign(1, memory)

    assert len(shown.streams) == 2
    assert len(again.reports.of(1)) == 1


async def test_an_auditor_that_dies_before_it_signed_signs_the_same_without_adding(tmp_path, shown):
    """What was recorded was added; a second hour would say nothing new."""
    auditor, memory = work.auditor(tmp_path, shown, dies_at("audit.before_sign"))
    with pytest.raises(Died):
        await auditor.sign(1, memory)
    assert shown.countersigned == {}
    again, memory = work.auditor(tmp_path, shown)

    await again.sign(1, memory)

    assert 1 in shown.countersigned
    assert len(shown.streams) == 1


async def test_a_second_sum_of_a_round_is_never_signed(tmp_path, shown, watch):
    """Restarted or not; the coordinator's second signed manifest is kept as evidence."""
    auditor, memory = watch
    await auditor.sign(1, memory)
    other = made.Round(PLAN, made.OPENERS)
    shown.countersigned.clear()
    shown.audits(other)

    for _ in range(2):
        with pytest.raises(OpeningRefused, match="shows two"):
            await auditor.sign(1, memory)
        memory.close()
        auditor, memory = work.auditor(tmp_path, shown)

    assert shown.countersigned == {}
    first, second = (each.report for each in auditor.reports.of(1))
    assert (first.code, second.code) == ("", "opening_refused")
    assert canonical.decode(second.manifest, made.Sum) == other.sum
    shown.audits(ROUND)
    await auditor.sign(1, memory)
    assert 1 in shown.countersigned


async def test_the_same_cohort_with_another_sum_is_a_second_sum(shown, watch):
    """Not even added: the record says which one it was."""
    auditor, memory = watch
    await auditor.sign(1, memory)
    shows_sum(shown, false_chunks())

    with pytest.raises(OpeningRefused):
        await auditor.sign(1, memory)
    assert len(shown.streams) == 1


async def test_a_signature_that_does_not_arrive_is_sent_again(shown, watch):
    """The coordinator was away for a moment."""
    auditor, memory = watch
    shown.fails["countersign"] = PeerUnreachable("away")
    with pytest.raises(PeerUnreachable):
        await auditor.sign(1, memory)
    del shown.fails["countersign"]

    await auditor.sign(1, memory)

    assert 1 in shown.countersigned
    assert len(shown.streams) == 1


async def test_nothing_is_signed_that_could_not_be_recorded(shown, watch):
    """A full disk."""
    auditor, memory = watch
    memory.close()

    with pytest.raises(StoreUnavailable):
        await auditor.sign(1, memory)
    assert shown.countersigned == {}


class FullDisk:
    """Refuses the first writes."""

    def __init__(self, refusals, write):
        self.refusals, self.write = refusals, write

    def __call__(self, *wanted):
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailable("No space left on device; make room on this disk")
        return self.write(*wanted)


@pytest.mark.parametrize("place", ["report", "record"])
async def test_a_disk_that_refuses_is_no_reason_to_add_again(shown, watch, monkeypatch, place):
    """Hours of work: only the write is tried again."""
    auditor, memory = watch
    if place == "report":
        monkeypatch.setattr(type(auditor.reports), "keep", FullDisk(2, auditor.reports.keep))
    else:
        monkeypatch.setattr(memory, "countersigns", FullDisk(2, memory.countersigns))
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await auditor.sign(1, memory)
    assert shown.countersigned == {}

    await auditor.sign(1, memory)

    assert 1 in shown.countersigned
    assert len(shown.streams) == 1
    (kept,) = auditor.reports.of(1)
    assert kept.report.found == ROUND.sum.root


async def test_another_sum_shown_after_a_refusing_disk_is_added_for_itself(
    shown, watch, monkeypatch
):
    """What was found of one sum says nothing of another."""
    auditor, memory = watch
    monkeypatch.setattr(memory, "countersigns", FullDisk(1, memory.countersigns))
    with pytest.raises(StoreUnavailable):
        await auditor.sign(1, memory)
    shows_sum(shown, false_chunks())

    with pytest.raises(FalseSum):
        await auditor.sign(1, memory)
    assert shown.countersigned == {}


async def test_what_was_false_stays_false_though_the_disk_refused_its_report(
    shown, watch, monkeypatch
):
    """A coordinator cannot mend its sum while the auditor's disk is full."""
    auditor, memory = watch
    shows_sum(shown, false_chunks())
    monkeypatch.setattr(type(auditor.reports), "keep", FullDisk(1, auditor.reports.keep))
    with pytest.raises(StoreUnavailable):
        await auditor.sign(1, memory)
    asked = len(shown.streams)
    shown.audits(ROUND)

    with pytest.raises(FalseSum):
        await auditor.sign(1, memory)

    assert (len(shown.streams), shown.countersigned) == (asked, {})
    (kept,) = auditor.reports.of(1)
    assert kept.report.code == "false_sum"


def signed_by_another(of):
    return made.by_coordinator(of, made.keys("delta").signing)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda s: setattr(s, "signer", made.keys("delta").signing), InvalidSignature),
        (
            lambda s: s.cohorts.update({1: (signed_by_another(ROUND.cohort), ROUND.headers)}),
            InvalidSignature,
        ),
        (
            lambda s: s.sums.update({1: (signed_by_another(ROUND.sum), ROUND.chunks)}),
            InvalidSignature,
        ),
        (
            lambda s: s.cohorts.update(
                {1: (s.cohorts[1][0], [*ROUND.headers[:3], Signed(ROUND.headers[3].body, {})])}
            ),
            InvalidSignature,
        ),
        (lambda s: s.audits(made.Round(made.plan(auditor="watch"), ("amber",))), CohortTooSmall),
        (
            lambda s: s.audits(
                made.Round(made.plan(auditor="watch", roster="1" * 64), made.OPENERS)
            ),
            PolicyRefusal,
        ),
        (lambda s: s.audits(made.Round(made.plan(), made.TRAINERS)), PolicyRefusal),
        (lambda s: s.plans.update({1: made.plan(auditor="watch", clip="19")}), WrongContext),
        (lambda s: s.key_states.update({1: without_vouchers()}), InvalidSignature),
        (lambda s: s.key_states.update({1: work.key_state(2)}), WrongContext),
    ],
    ids=[
        "plan",
        "cohort",
        "sum",
        "header",
        "minimum",
        "roster",
        "no auditor",
        "another plan",
        "key",
        "another key",
    ],
)
async def test_what_must_hold_before_anything_is_added(shown, watch, change, error):
    """Signed by whom it must be, for this plan, of enough organisations, under a vouched key."""
    auditor, memory = watch
    change(shown)

    with pytest.raises(error):
        await auditor.sign(1, memory)

    assert (shown.streams, shown.countersigned) == ([], {})
    (kept,) = auditor.reports.of(1)
    assert (kept.report.code, kept.report.length) == (error.code, 0)


def without_vouchers():
    return work.key_state(1, made.signed_by(made.key_record(1), "amber"))


async def test_a_key_whose_secret_went_elsewhere_is_refused(shown, watch):
    """Two openers vouch, and delta could open all the same."""
    auditor, memory = watch
    record = made.key_record(1)
    more = (*record.secrets, msgspec.structs.replace(record.secrets[0], opener="delta"))
    record = msgspec.structs.replace(record, secrets=more)
    plan = made.plan(auditor="watch", key_record=digest_of(record))
    shown.audits(made.Round(plan, made.TRAINERS))
    shown.key_states[1] = work.key_state(1, made.signed_by(record, "amber", "birch"))

    with pytest.raises(WrongContext, match="not sealed to the openers alone"):
        await auditor.sign(1, memory)


async def test_a_policy_stricter_than_the_plan_counts(tmp_path, shown):
    """Four organisations, and the auditor wants five."""
    auditor, memory = work.auditor(tmp_path, shown, smallest_cohort=5)

    with pytest.raises(CohortTooSmall):
        await auditor.sign(1, memory)


async def test_checking_records_and_signs_nothing(shown, watch):
    """An operator may look at any time."""
    auditor, memory = watch

    report = await auditor.check(1, {})
    shows_sum(shown, false_chunks())
    false = await auditor.check(1, {})

    assert (report.code, false.code) == ("", "false_sum")
    assert auditor.reports.of(1) == ()
    assert (shown.countersigned, memory.countersigned(1)) == ({}, None)


def test_the_plan_must_name_this_auditor():
    """Another auditor's round is not this one's to sign."""
    policy = work.config(Path("nowhere")).policy

    check_audit(PLAN, "watch", policy, made.roster())
    with pytest.raises(PolicyRefusal, match="names watch"):
        check_audit(PLAN, "other", policy, made.roster())
    with pytest.raises(WrongIdentity):
        check_audit(made.plan(auditor="nobody"), "nobody", policy, made.roster())
