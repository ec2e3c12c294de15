"""A coordinator that says what the sum is: what it gets without an auditor, and what with one.

Each attack stands beside its control: the run without what stands against it, and it succeeds.
One site's ciphertext is kept shut by the masks of the others, with an auditor or without; a
second cohort, whose sum is as honest as the first, by the auditor alone.
"""

from contextlib import asynccontextmanager

import numpy as np
import pytest

from participant.session import Open
from privacy.documents import Signed
from privacy.errors import (
    FalseSum,
    InvalidSignature,
    MalformedMessage,
    OpeningRefused,
    PeerUnreachable,
    PolicyRefusal,
    SumOffGrid,
    WrongIdentity,
)
from privacy.identifiers import COORDINATOR
from privacy.limbs import decode_chunk
from privacy.schemes.ckks import CkksRevealer
from privacy.schemes.ckks_sum import CkksCombiner
from tests.participant import auditor_at_work as work
from tests.participant import signed_round as made
from tests.participant.agent_at_work import agent, ends

VICTIM = "delta"
AUDITED, UNAUDITED = made.plan(auditor="watch"), made.plan()


def lone_ciphertext(plan, victim=VICTIM):
    """One site's ciphertexts, and three encryptions of zero added to look like a sum of four."""
    zero, pair = np.zeros(made.DIMENSION, np.int64), made.cohort_key()
    padding = [made.protected(zero, pair, made.NoMask()) for _ in range(3)]
    parts = [made.payloads(victim, plan), *padding]
    combiner = CkksCombiner(made.PARAMETERS, made.DIMENSION)
    return tuple(combiner.combine(at, [part[at] for part in parts]) for at in range(2))


def passes_off(of, chunks):
    """A coordinator that shows an honest cohort, and these chunks as its sum."""
    shown = work.Audited()
    shown.audits(of)
    shown.sums[1] = (work.with_sum(of, chunks), chunks)
    return shown


async def opened(folder, shown, name="amber", **policy):
    """What an opener opens, as integers; the opener itself keeps the model that it gives."""
    opener = agent(folder, shown, name, **policy)
    seen = []
    reveal = CkksRevealer.reveal

    def noted(self, chunk, total, cohort):
        seen.append(reveal(self, chunk, total, cohort))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CkksRevealer, "reveal", noted)
        try:
            await opener._carry_out(Open(1))
        finally:
            ends(opener)
    return np.concatenate(seen)


class NothingOpens(CkksRevealer):
    """Must not be reached."""

    def reveal(self, chunk, total, cohort):
        raise AssertionError("a sum was opened that nobody has added again")


@pytest.fixture
def sealed(monkeypatch):
    """From here on, nothing may be opened."""
    monkeypatch.setattr(CkksRevealer, "reveal", NothingOpens.reveal)


# -- one site's ciphertext as the sum --------------------------------------------------


@pytest.fixture
def unmasked():
    """Every mask is zero, at sites and at openers."""
    with made.without_masks():
        yield


async def test_without_masks_and_auditor_one_site_is_opened_as_the_sum(tmp_path, unmasked):
    """The control: every signature holds, and what opens is delta's update to the last integer."""
    shown = passes_off(made.Round(UNAUDITED, made.TRAINERS), lone_ciphertext(UNAUDITED))

    total = await opened(tmp_path, shown)

    assert np.array_equal(total, made.update(VICTIM))


@pytest.mark.parametrize("victim", made.TRAINERS)
async def test_without_an_auditor_one_site_does_not_open_as_the_sum(tmp_path, victim):
    """The same run with masks: those of the other three, which the opener takes off, do not fit."""
    shown = passes_off(made.Round(UNAUDITED, made.TRAINERS), lone_ciphertext(UNAUDITED, victim))

    with pytest.raises(SumOffGrid):
        await opened(tmp_path, shown)

    assert [path.name for path in (tmp_path / "models").iterdir()] == [UNAUDITED.terms.model]
    assert shown.put == []


PARTS = [made.TRAINERS[:3], made.TRAINERS[1:], ("amber", "birch", VICTIM, VICTIM)]


@pytest.mark.parametrize("added", PARTS)
async def test_without_an_auditor_a_part_of_the_cohort_does_not_open_as_its_sum(tmp_path, added):
    """Three of four, whose difference from the sum is the fourth; nor four with one twice."""
    combiner = CkksCombiner(made.PARAMETERS, made.DIMENSION)
    parts = [made.payloads(name, UNAUDITED) for name in added]
    chunks = tuple(combiner.combine(at, [part[at] for part in parts]) for at in range(2))
    shown = passes_off(made.Round(UNAUDITED, made.TRAINERS), chunks)

    with pytest.raises(SumOffGrid):
        await opened(tmp_path, shown)


async def test_without_an_auditor_no_seals_but_the_cohorts_are_of_use(tmp_path, sealed):
    """The coordinator hands out delta's seal alone, or delta's in everybody's name."""
    of = made.Round(UNAUDITED, made.TRAINERS)
    shown = passes_off(of, lone_ciphertext(UNAUDITED))
    deltas = of.seals("amber")[VICTIM]

    for seals in ({VICTIM: deltas}, dict.fromkeys(made.TRAINERS, deltas)):
        shown.seals[1] = lambda _, seals=seals: seals
        with pytest.raises(MalformedMessage, match="not the mask that amber has signed"):
            await opened(tmp_path, shown)


async def test_with_an_auditor_nothing_opens_and_the_word_is_named(tmp_path, sealed):
    """The same coordinator, the same ciphertext, a plan that names an auditor."""
    of, chunks = made.Round(AUDITED, made.TRAINERS), lone_ciphertext(AUDITED)
    shown = passes_off(of, chunks)
    auditor, memory = work.auditor(tmp_path / "watch", shown)

    with pytest.raises(FalseSum, match="chunk 0 of the sum, ciphertext 0, polynomial 0, modulus 0"):
        await auditor.sign(1, memory)
    with pytest.raises(InvalidSignature):
        await opened(tmp_path / "amber", shown)

    fault = auditor.reports.of(1)[-1].report.fault
    right, wrong = (
        decode_chunk(made.PARAMETERS.layout, 0, 1, each[0]) for each in (of.chunks, chunks)
    )
    first = int(np.flatnonzero(right[0, 0, 0] != wrong[0, 0, 0])[0])
    assert (fault.chunk, fault.ciphertext, fault.polynomial, fault.word) == (0, 0, 0, first)
    assert int(fault.expected) == right[0, 0, 0, first]
    assert int(fault.found) == wrong[0, 0, 0, first]


async def test_a_policy_that_wants_an_auditor_opens_nothing_without(tmp_path, sealed):
    """The coordinator leaves the auditor out of the plan; that is the site's to accept."""
    chunks = lone_ciphertext(UNAUDITED)
    shown = passes_off(made.Round(UNAUDITED, made.TRAINERS), chunks)

    with pytest.raises(PolicyRefusal, match="without_auditor = false"):
        await opened(tmp_path, shown, without_auditor=False)


async def test_an_honest_sum_opens_with_its_countersignature(tmp_path):
    """The other control: the protection lets through what it should."""
    shown = work.Audited()
    shown.audits(made.Round(AUDITED, made.TRAINERS))
    auditor, memory = work.auditor(tmp_path / "watch", shown)
    await auditor.sign(1, memory)

    total = await opened(tmp_path / "amber", shown)

    assert np.array_equal(total, sum(made.update(name) for name in made.TRAINERS))


# -- two cohorts to two openers --------------------------------------------------------


def two_rounds(plan):
    return made.Round(plan, made.TRAINERS), made.Round(plan, made.OPENERS)


async def test_without_an_auditor_two_openers_open_two_cohorts(tmp_path):
    """The control: (A, B, C, D) and (A, B, C), and their difference is D.

    Both are honest sums, and the masks of each cohort fit.
    """
    both = []
    for name, of in zip(("amber", "birch"), two_rounds(UNAUDITED), strict=True):
        shown = work.Audited()
        shown.shows(of)
        both.append(await opened(tmp_path / name, shown, name))

    assert np.array_equal(both[0] - both[1], made.update(VICTIM))


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("order", [1, -1])
async def test_with_an_auditor_the_second_cohort_stays_shut(tmp_path, restarts, order):
    """It signs one of them, whichever comes first, before and after a restart."""
    first, second = two_rounds(AUDITED)[::order]
    shown = work.Audited()
    shown.audits(first)
    auditor, memory = work.auditor(tmp_path / "watch", shown)
    await auditor.sign(1, memory)
    await opened(tmp_path / "amber", shown)
    signature = shown.countersigned.pop(1)
    if restarts:
        memory.close()
        auditor, memory = work.auditor(tmp_path / "watch", shown)

    shown.audits(second)
    with pytest.raises(OpeningRefused, match="shows two"):
        await auditor.sign(1, memory)

    assert shown.countersigned == {}
    for attached in ({}, {1: signature}):  # nor does the signature of the first open the second
        shown.countersigned = attached
        with pytest.raises(InvalidSignature):
            await opened(tmp_path / "birch", shown, "birch")


# -- signatures that do not count ------------------------------------------------------


async def refused(folder, manifest, of, error=InvalidSignature):
    shown = work.Audited()
    shown.shows(of)
    shown.sums[of.plan.terms.round] = (manifest, of.chunks)
    with pytest.raises(error):
        await opened(folder, shown)


async def test_a_countersignature_of_another_round_does_not_count(tmp_path, sealed):
    """The same cohort, the same words, and last week's signature."""
    of, other = (
        made.Round(AUDITED, made.TRAINERS),
        made.Round(made.plan(auditor="watch", round=2), made.TRAINERS),
    )
    shown = work.Audited()
    shown.audits(other)
    shown.key_states[2] = work.key_state(2)
    auditor, memory = work.auditor(tmp_path / "watch", shown)
    await auditor.sign(2, memory)
    theirs = shown.countersigned[2]

    signed = made.by_coordinator(of.sum)
    await refused(tmp_path / "a", Signed(signed.body, {**signed.signatures, "watch": theirs}), of)


@pytest.mark.parametrize("purpose", ["cohort", "audit report"])
async def test_a_signature_for_something_else_does_not_count(tmp_path, sealed, purpose):
    """The auditor's key signs reports too; none of them is a countersignature."""
    of = made.Round(AUDITED, made.TRAINERS)
    signed, key = made.by_coordinator(of.sum), made.keys("watch").signing
    which = {"cohort": made.Purpose.COHORT, "audit report": made.Purpose.AUDIT_REPORT}[purpose]
    theirs = made.sign(key, which, signed.body)

    await refused(tmp_path, Signed(signed.body, {**signed.signatures, "watch": theirs}), of)


@pytest.mark.parametrize("signer", ["delta", "amber", COORDINATOR])
async def test_anybody_elses_countersignature_does_not_count(tmp_path, sealed, signer):
    """In its own name, or in the auditor's: the roster says whose key it is."""
    of = made.Round(AUDITED, made.TRAINERS)
    signed = made.by_coordinator(of.sum)
    key = made.COORDINATOR_KEY if signer == COORDINATOR else made.keys(signer).signing
    theirs = made.sign(key, made.Purpose.SUM, signed.body)

    for at, name in enumerate((signer, "watch")):
        both = Signed(signed.body, {**signed.signatures, name: theirs})
        await refused(tmp_path / str(at), both, of)


async def test_a_plan_that_names_a_trainer_as_its_auditor_opens_nothing(tmp_path, sealed):
    """Delta signs what the coordinator likes; a trainer's signature counts for nobody."""
    of = made.Round(made.plan(auditor=VICTIM), made.TRAINERS)
    signed, theirs = made.by_coordinator(of.sum), made.signed_by(of.sum, VICTIM)
    both = Signed(signed.body, {**signed.signatures, **theirs.signatures})

    await refused(tmp_path, both, of, PolicyRefusal)


# -- what is known is kept before anything more is asked ------------------------------------


@pytest.mark.parametrize("error", [WrongIdentity, MalformedMessage, PolicyRefusal, PeerUnreachable])
async def test_a_coordinator_that_shows_no_more_of_a_false_sum_is_convicted_all_the_same(
    tmp_path, error
):
    """It cannot have the proof lost, and an honest sum signed afterwards, by refusing to answer."""
    shown = passes_off(made.Round(AUDITED, made.TRAINERS), lone_ciphertext(AUDITED))
    shows, asked = shown.sum, []

    @asynccontextmanager
    async def shows_once(number, from_chunk=0):
        asked.append(number)
        if len(asked) > 1:
            raise error("no more of this")
        async with shows(number, from_chunk) as answer:
            yield answer

    shown.sum = shows_once
    auditor, memory = work.auditor(tmp_path / "watch", shown)
    with pytest.raises(FalseSum):
        await auditor.sign(1, memory)
    (kept,) = auditor.reports.of(1)
    assert kept.report.code == "false_sum"
    memory.close()

    honest = work.Audited()
    honest.audits(made.Round(AUDITED, made.TRAINERS))
    auditor, memory = work.auditor(tmp_path / "watch", honest)
    with pytest.raises(FalseSum):
        await auditor.sign(1, memory)

    assert honest.countersigned == {}


async def test_without_an_auditor_the_coordinator_adds_what_it_likes(tmp_path):
    """The control of what re-adding is for: masks hold what sites sent, and nothing else."""
    of = made.Round(UNAUDITED, made.TRAINERS)
    shift = np.zeros(made.DIMENSION, np.int64)
    shift[:7] = 123_456
    own = made.protected(shift, made.cohort_key(), made.NoMask())
    combiner = CkksCombiner(made.PARAMETERS, made.DIMENSION)
    chunks = tuple(combiner.combine(at, [of.chunks[at], own[at]]) for at in range(2))

    total = await opened(tmp_path, passes_off(of, chunks))

    assert np.array_equal(total, sum(made.update(name) for name in made.TRAINERS) + shift)
