"""A seat's verdict: who does not lead to what was signed is refused, by exactly who can tell."""

import os

import pytest
from msgspec.structs import replace

from participant.seat.judging import judge, unchecked_of
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    OpeningRefused,
    PeerUnreachable,
    WrongContext,
)
from privacy.plan import SharesTerms
from privacy.records import Cohort
from privacy.schemes.shares.sharing import UpdateSecrets
from tests.participant import signed_round as made
from tests.participant.seat import seated as work

PLAN = work.plan()


async def judged(tmp_path, desk, *names, **more):
    """Let seats judge, and return whom each refuses."""
    for name in names or work.NAMES:
        at_work = work.seat(tmp_path, desk, name, **more)
        await judge(at_work, await work.sitting(at_work))
        at_work.memory.close()
    return work.refused_by(desk)


async def test_contributions_that_are_what_was_signed_are_all_taken(tmp_path):
    """By all three seats; each opens what was sealed to it, and fetches what it needs."""
    desk = work.Desk.of(PLAN)

    found = await judged(tmp_path, desk)

    assert found == {"east": [], "north": [], "south": []}
    assert {work.verdict_of(desk, name).unasked for name in work.NAMES} == {""}


async def test_of_two_holders_with_different_secrets_exactly_one_refuses(tmp_path):
    """The root that was signed is that of one of them."""
    secrets = UpdateSecrets.generate(os.urandom)
    other = UpdateSecrets((os.urandom(32), *secrets.secrets[1:]))
    honest = work.contributed(PLAN, "birch", secrets)
    last = work.seals_of(PLAN, "birch", other)[2]
    desk = work.Desk.of(PLAN, birch=honest.with_seals(*honest.seals[:2], last))

    found = await judged(tmp_path, desk)

    assert found == {"east": [], "north": [], "south": [("birch", "root_mismatch")]}


async def test_a_component_that_travels_other_than_it_was_signed_is_refused(tmp_path):
    """By both seats that hold it; the third has no way to tell, and need not."""
    honest = work.contributed(PLAN, "birch")
    header = honest.with_header(roots=("1" * 64, "2" * 64, "3" * 64))
    desk = work.Desk.of(PLAN, birch=header)

    found = await judged(tmp_path, desk)

    assert set(found) == {name for name, refused in found.items() if refused}


async def test_another_sites_shares_are_refused_by_all(tmp_path):
    """A site that copies what another has sealed would double it, and learn it from the sum."""
    amber = work.contributed(PLAN, "amber")
    copied = amber.with_header(participant="birch")
    desk = work.Desk.of(PLAN, amber=amber, birch=copied)

    found = await judged(tmp_path, desk)

    assert found == {name: [("birch", "malformed_message")] for name in work.NAMES}


async def test_parts_swapped_by_the_coordinator_are_refused(tmp_path):
    """Each header is its own site's, and so are seal and payload."""
    amber, birch = work.contributed(PLAN, "amber"), work.contributed(PLAN, "birch")
    desk = work.Desk.of(PLAN, amber=amber, birch=birch)
    handed = work.Line.part

    def swapped(line, number, participant, from_chunk=0):
        names = {"amber": "birch", "birch": "amber"}
        return handed(line, number, names.get(participant, participant), from_chunk)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work.Line, "part", swapped)
        found = await judged(tmp_path, desk)

    everyone = [("amber", "invalid_signature"), ("birch", "invalid_signature")]
    assert found == dict.fromkeys(work.NAMES, everyone)


async def test_a_part_of_another_round_is_refused(tmp_path):
    """Seals and payload are bound to their round, whatever the header says."""
    earlier = work.contributed(work.plan(round=2), "birch")
    desk = work.Desk.of(PLAN, birch=earlier.with_header(round=1, plan=PLAN.digest()))

    found = await judged(tmp_path, desk)

    assert found == {name: [("birch", "malformed_message")] for name in work.NAMES}


async def test_a_contribution_to_another_federation_is_refused(tmp_path):
    """As its site has signed it there, whole, with the parts that go with it."""
    elsewhere = work.contributed(work.plan(federation="cardiology"), "birch")

    with pytest.raises(WrongContext, match="of birch is not what it signed"):
        await judged(tmp_path, work.Desk.of(PLAN, birch=elsewhere))


async def test_one_flipped_byte_is_refused_by_those_who_get_it(tmp_path):
    """The seat that fetches no payload knows nothing of it."""
    honest = work.contributed(PLAN, "birch")
    flipped = bytes([honest.chunks[1][0] ^ 1]) + honest.chunks[1][1:]
    chunks = (honest.chunks[0], flipped, honest.chunks[2])
    desk = work.Desk.of(PLAN, birch=work.Contributed(honest.header, honest.seals, chunks))

    found = await judged(tmp_path, desk)

    refused = [("birch", "malformed_message")]
    assert found == {"east": [], "north": refused, "south": refused}


async def test_a_seal_that_the_site_has_not_signed_is_refused_unopened(tmp_path):
    """Anyone can seal to a seat; whose seal it is, only the header says."""
    honest = work.contributed(PLAN, "birch")
    others = work.seals_of(PLAN, "birch", UpdateSecrets.generate(os.urandom))
    forged = work.Contributed(honest.header, others, honest.chunks)
    desk = work.Desk.of(PLAN, birch=forged)

    found = await judged(tmp_path, desk)

    assert found == {name: [("birch", "malformed_message")] for name in work.NAMES}
    reasons = {work.verdict_of(desk, name).refused[0].reason for name in work.NAMES}
    assert reasons == {"birch: not the sealed secrets that it has signed"}


@pytest.mark.parametrize("chunks", [2, 4])
async def test_too_few_or_too_many_chunks_are_refused(tmp_path, chunks):
    """Nothing waits for ever, and nothing follows the last one."""
    honest = work.contributed(PLAN, "birch")
    others = (*honest.chunks, honest.chunks[0])[:chunks]
    desk = work.Desk.of(PLAN, birch=work.Contributed(honest.header, honest.seals, others))

    found = await judged(tmp_path, desk, "north")

    assert found == {"north": [("birch", "malformed_message")]}


async def test_the_seat_without_the_third_component_fetches_no_payload(tmp_path):
    """Its two secrets give all that it holds."""
    desk = work.Desk.of(PLAN)

    await judged(tmp_path, desk, "east")

    place = tmp_path / "east" / "parts" / "000001" / "amber"
    assert sorted(path.name for path in place.iterdir()) == ["header", "sealed"]


# -- the question ------------------------------------------------------------------

BOUNDED = work.plan(scheme=SharesTerms(1, 2, 4, work.STARTS, norm_bound=3000))
UNCHECKED = work.plan(scheme=SharesTerms(1, 2, 4, work.STARTS, norm_bound=3000, unchecked=True))


async def test_who_is_over_the_bound_is_refused_with_that_code(tmp_path):
    """After what was taken; the coin is over the candidates' digest."""
    desk, questions = work.Desk.of(BOUNDED), work.NoQuestions(over=("cedar",))

    found = await judged(tmp_path, desk, "north", questions=questions)

    assert found == {"north": [("cedar", "norm_over_bound")]}
    [(digest, held)] = questions.asked
    assert digest == work.verdict_of(desk, "north").candidates
    assert held.participants == work.SITES


async def test_a_round_that_asks_nothing_asks_nobody(tmp_path):
    """Two seats are enough for it."""
    desk, questions = work.Desk.of(PLAN), work.NoQuestions()

    await judged(tmp_path, desk, "north", questions=questions)

    assert questions.asked == []


async def test_a_silent_seat_is_named_where_the_plan_allows_it(tmp_path):
    """The verdict says why nothing was asked."""
    desk, silent = work.Desk.of(UNCHECKED), PeerUnreachable("seat east has said nothing")

    found = await judged(tmp_path, desk, "north", questions=work.NoQuestions(error=silent))

    assert found == {"north": []}
    assert work.verdict_of(desk, "north").unasked == "seat east has said nothing"


async def test_a_silent_seat_is_waited_for_where_it_must_be(tmp_path):
    """There is no verdict without the answer."""
    desk, silent = work.Desk.of(BOUNDED), PeerUnreachable("seat east has said nothing")

    with pytest.raises(PeerUnreachable):
        await judged(tmp_path, desk, "north", questions=work.NoQuestions(error=silent))
    assert desk.verdicts == {}


async def test_a_candidate_that_was_not_asked_about_is_refused_and_told_so(tmp_path):
    """Else a site of any norm is let in as soon as one seat says that it has not taken it."""
    desk, questions = work.Desk.of(BOUNDED), work.NoQuestions(unheld=("birch",))

    found = await judged(tmp_path, desk, "north", questions=questions)

    assert found == {"north": [("birch", "norm_not_asked")]}
    [refused] = work.verdict_of(desk, "north").refused
    assert refused.reason == "not all seats have taken it, so nobody knows its norm"


async def test_who_is_refused_already_is_refused_for_that(tmp_path):
    """A seat says of each site one thing, the first that it has found."""
    honest = work.contributed(BOUNDED, "birch")
    header = honest.with_header(roots=("1" * 64, "2" * 64, "3" * 64))
    desk = work.Desk.of(BOUNDED, birch=header)

    found = await judged(tmp_path, desk, "north")

    assert found == {"north": [("birch", "root_mismatch")]}


async def test_after_the_last_session_norms_are_unasked_where_the_plan_allows_it(tmp_path):
    """Or a seat that begins again and again would stop the round."""
    desk, spent = work.Desk.of(UNCHECKED), OpeningRefused("round 1: norms were asked 3 times")

    found = await judged(tmp_path, desk, "north", questions=work.NoQuestions(error=spent))

    assert found == {"north": []}
    assert work.verdict_of(desk, "north").unasked == "round 1: norms were asked 3 times"


async def test_after_the_last_session_there_is_no_verdict_where_norms_must_be_known(tmp_path):
    """The coordinator ends the round when it has stood still for long enough."""
    desk, spent = work.Desk.of(BOUNDED), OpeningRefused("round 1: norms were asked 3 times")

    with pytest.raises(OpeningRefused):
        await judged(tmp_path, desk, "north", questions=work.NoQuestions(error=spent))
    assert desk.verdicts == {}


async def test_a_message_of_nonsense_from_the_coordinator_is_no_silent_seat(tmp_path, monkeypatch):
    """What is not of another seat's making is raised, whatever the plan allows."""
    desk = work.Desk.of(UNCHECKED)

    async def garbled(line, number):
        raise MalformedMessage("candidates of 7 bytes")

    monkeypatch.setattr(work.Line, "candidates", garbled)
    with pytest.raises(MalformedMessage):
        await judged(tmp_path, desk, "north")


def whole_cohort(desk):
    names = tuple(sorted(desk.parts))
    return Cohort(made.FEDERATION, 1, desk.plan.digest(), desk.entries(names))


async def test_who_is_unchecked_is_known_from_this_seats_own_verdict(tmp_path):
    """Asked about and not refused, of the candidates that it judged; nobody else."""
    desk = work.Desk.of(UNCHECKED)
    await judged(tmp_path, desk, "north", questions=work.NoQuestions(unheld=("birch",)))
    silent = PeerUnreachable("seat east has said nothing")
    await judged(tmp_path, desk, "south", questions=work.NoQuestions(error=silent))
    asked, unasked = (work.verdict_of(desk, name) for name in ("north", "south"))
    candidates, cohort = desk.candidate_record(), whole_cohort(desk)
    others = replace(candidates, entries=candidates.entries[1:])

    assert unchecked_of(asked, candidates, cohort) == ("birch",)
    assert unchecked_of(asked, others, cohort) == work.SITES
    assert unchecked_of(unasked, candidates, cohort) == work.SITES


async def test_another_contribution_of_a_checked_site_is_unchecked(tmp_path):
    """A cohort may not swap what was asked about for something else of the same name."""
    desk = work.Desk.of(BOUNDED)
    await judged(tmp_path, desk, "north")
    candidates, verdict = desk.candidate_record(), work.verdict_of(desk, "north")
    desk.parts["cedar"] = work.contributed(BOUNDED, "cedar")

    found = unchecked_of(verdict, candidates, whole_cohort(desk))

    assert found == ("cedar",)


# -- once --------------------------------------------------------------------------


async def test_a_verdict_is_sent_again_as_it_is(tmp_path):
    """Also where the coordinator has meanwhile damaged what it hands out."""
    desk = work.Desk.of(PLAN)
    await judged(tmp_path, desk, "north")
    first = desk.verdicts.pop("north")
    honest = desk.parts["birch"]
    desk.parts["birch"] = work.Contributed(honest.header, honest.seals, honest.chunks[:1])

    await judged(tmp_path, desk, "north")

    assert desk.verdicts["north"] == first


async def test_killed_before_the_verdict_is_recorded_it_judges_again(tmp_path):
    """From what is on the disk: nothing is fetched twice."""
    desk = work.Desk.of(PLAN)
    at_work = work.seat(tmp_path, desk, failpoints=work.killed_at("seat.before_verdict"))
    with pytest.raises(work.Killed):
        await judge(at_work, await work.sitting(at_work))
    at_work.memory.close()
    assert desk.verdicts == {}
    fetched = list(desk.streams)

    found = await judged(tmp_path, desk, "north")

    assert found == {"north": []}
    assert desk.streams == fetched


async def test_candidates_nobody_signed_are_refused(tmp_path, monkeypatch):
    """The coin would be over what the coordinator may still change."""
    desk = work.Desk.of(PLAN)

    async def unsigned(line, number):
        signed, headers = await candidates(line, number)
        return made.Signed(signed.body, {}), headers

    candidates = work.Line.candidates
    monkeypatch.setattr(work.Line, "candidates", unsigned)
    with pytest.raises(InvalidSignature):
        await judged(tmp_path, desk, "north")


async def test_more_candidates_than_the_plan_has_room_for_are_refused(tmp_path):
    """Their sum could wrap."""
    small = work.plan(scheme=SharesTerms(1, 2, 3, work.STARTS))

    with pytest.raises(MalformedMessage, match="4 candidates, the plan has room for 3"):
        await judged(tmp_path, work.Desk.of(small), "north")
