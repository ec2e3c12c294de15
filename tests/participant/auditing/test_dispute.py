"""A dispute over the wire: who lied is named, and nobody is made a liar who did not."""

import asyncio

import msgspec
import pytest

from participant.auditing import inquiry
from participant.auditing.report import DisputeReports
from participant.seat import showing
from privacy import canonical
from privacy.errors import PeerUnreachable, StoreUnavailable, WrongContext
from privacy.records import SeatSum
from tests.participant import at_dispute as at
from tests.participant import shared_round as shared
from tests.participant import signed_round as made
from tests.participant.seat.table import Relay


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(inquiry, "ASK_AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(showing, "WORKING_SECONDS", 0.1)


@pytest.mark.parametrize("liar", [0, 1])
async def test_a_seat_that_signed_a_false_sum_is_named(tmp_path, liar):
    """Down to the leaf, whichever of the two it is."""
    court = await at.settled(tmp_path, at.lied_about(liar), {liar: at.consistent})

    report, seat = court.report, shared.SEATS[liar]
    assert (report.code, report.liars, report.withheld) == ("seat_lied", (seat,), ())
    assert (report.component, report.chunk, report.leaf) == (at.COMPONENT, at.CHUNK, 0)
    assert court.named == [(1, (seat,))]


async def test_the_report_holds_what_both_have_signed_and_no_word(tmp_path):
    """Evidence that outlives the round; a word of a leaf would open updates to the third seat."""
    of = at.lied_about(1)

    court = await at.settled(tmp_path, of, {1: at.consistent})

    exhibits = court.report.exhibits
    assert [each.seat for each in exhibits] == [at.ELM, at.FERN]
    for each, stated in zip(exhibits, of.stated, strict=False):
        assert canonical.decode(each.statement, SeatSum) == stated.statement
        assert each.signature == stated.signed().signatures[each.seat]
    (kept,) = DisputeReports(tmp_path / "disputes", made.keys(made.WATCH).signing).of(1)
    assert kept.report == court.report
    size = len(canonical.encode(msgspec.structs.replace(court.report, exhibits=())))
    assert size < 2048  # a leaf alone has twice as much


async def test_a_seat_that_shows_nothing_is_named_and_is_no_liar(tmp_path):
    """One that lied has no other way to hide."""
    court = await at.settled(tmp_path, at.lied_about(1), {1: None})

    assert (court.report.liars, court.report.withheld) == ((), (at.FERN,))
    assert (court.report.code, court.named) == ("seats_disagree", [(1, (at.FERN,))])


async def test_a_liar_that_shows_the_true_sum_withholds(tmp_path):
    """It does not lead to the root that it signed; the honest seat is not named beside it."""
    court = await at.settled(tmp_path, at.lied_about(1), {1: at.shameless})

    assert (court.report.liars, court.report.withheld) == ((), (at.FERN,))


async def test_a_liar_that_makes_up_a_site_frames_nobody(tmp_path):
    """It would need words of a site that make its sum true, under the root the site signed."""

    class Framing(at.Lying):
        def _leaf(self, place):
            for site, shown in super()._leaf(place):
                words = bytearray(shown.words)
                words[40] ^= site == "amber"  # the bit by which its sum is off
                yield site, msgspec.structs.replace(shown, words=bytes(words))

    def framing(contested):
        lying = at.consistent(contested)
        return Framing(lying.holding, lying.component, lying.total, lying.sites)

    court = await at.settled(tmp_path, at.lied_about(1), {1: framing})

    assert court.report.liars == (at.FERN,)
    assert at.ELM not in court.report.named()


async def test_a_liar_that_answers_in_the_others_name_frames_nobody(tmp_path):
    """With the help of who carries letters: what it shows is signed as its own, and only that."""

    relay, of = Relay(), at.lied_about(1)

    async def swapped(sender, recipient, topic, body):
        # Each letter of the liar comes once more, as if the honest seat had sent it.
        await Relay.post(relay, sender, recipient, topic, body)
        if sender == at.FERN:
            await Relay.post(relay, at.ELM, recipient, topic, body)

    relay.post = swapped
    async with (
        asyncio.timeout(20),
        at.collecting(relay, made.WATCH) as box,
        at.seats_at(tmp_path, of, relay, {1: at.consistent}),
    ):
        report = await at.settling(tmp_path, of, box, at.Calls(of)).settle(1, at.DISPUTED)

    assert (report.liars, report.withheld) == ((at.FERN,), ())


def garbled(body):
    return body[:-9] + bytes([body[-9] ^ 1]) + body[-8:]


@pytest.mark.parametrize("what", ["drops", "garbles"])
@pytest.mark.parametrize("victim", [0, 1])
async def test_whoever_carries_letters_makes_no_honest_seat_a_liar(tmp_path, what, victim):
    """At most it seems to withhold: that is all that an auditor sees from where it stands."""

    def carry(sender, recipient, topic, body):
        if sender != shared.SEATS[victim] or topic != "dispute/shown":
            return [body]
        return [] if what == "drops" else [garbled(body)]

    court = await at.settled(tmp_path, at.lied_about(1), {1: at.consistent}, carry)

    assert court.report.liars == ()
    assert court.report.withheld == (shared.SEATS[victim],)


async def test_letters_that_get_lost_now_and_then_change_nothing(tmp_path):
    """A question is asked again until all of its answer is there."""
    lost, count = [], iter(range(10_000))

    def carry(sender, recipient, topic, body):
        if next(count) % 3 == 2:
            lost.append(topic)
            return []
        return [body, body]  # and twice does no harm

    of = at.lied_about(1, silence="2")
    court = await at.settled(tmp_path, of, {1: at.consistent}, carry)

    assert lost
    assert (court.report.liars, court.report.withheld) == ((at.FERN,), ())


async def test_when_neither_shows_anything_nobody_is_named(tmp_path):
    """Then the coordinator is as likely to be at fault; the round ends."""
    court = await at.settled(tmp_path, at.lied_about(1), {1: at.consistent}, lambda *_: [])

    assert court.report.withheld == at.DISPUTED
    assert (court.report.named(), court.named) == ((), [(1, ())])
    assert "which is wrong cannot be told" in court.report.reason


async def test_a_leaf_that_one_did_not_show_the_other_has_shown(tmp_path):
    """Who lied is proven with the sites' leaves of the honest seat alone."""

    def silent(contested):
        class Silent(at.Lying):
            def _leaf(self, place):
                yield next(super()._leaf(place))

        lying = at.consistent(contested)
        return Silent(lying.holding, lying.component, lying.total, lying.sites)

    court = await at.settled(tmp_path, at.lied_about(1), {1: silent})

    assert (court.report.liars, court.report.withheld) == ((at.FERN,), (at.FERN,))
    assert court.named == [(1, (at.FERN,))]


async def test_what_was_ruled_once_is_not_ruled_again(tmp_path):
    """After a restart nobody is asked: the word is the one on disk, whatever is shown by then."""
    of, calls = at.lied_about(1), at.Calls(at.lied_about(1))
    first = await at.settled(tmp_path, of, {1: at.consistent})
    relay = Relay()

    async with at.collecting(relay, made.WATCH) as box:
        again = await at.settling(tmp_path, of, box, calls).settle(1, at.DISPUTED)

    assert again == first.report
    assert (calls.named, relay.posted) == ([(1, (at.FERN,))], [])


async def test_a_word_that_does_not_arrive_is_given_again_as_it_was(tmp_path):
    """The report is on disk before the coordinator hears of it."""
    of = at.lied_about(1)
    calls = at.Calls(of, fails=[PeerUnreachable("away")])
    async with at.collecting(Relay(), made.WATCH) as box:
        alone = at.settling(tmp_path, of, box, calls)
        with pytest.raises(PeerUnreachable):
            await alone.settle(1, at.DISPUTED)

        await alone.settle(1, at.DISPUTED)

    assert calls.named == [(1, ())]


async def test_a_disk_that_refuses_keeps_the_word_back(tmp_path, monkeypatch):
    """What is not recorded could be another word after a restart."""
    of, calls = at.lied_about(1), at.Calls(at.lied_about(1))

    def full(*_):
        raise StoreUnavailable("full")

    monkeypatch.setattr(DisputeReports, "keep", full)
    async with at.collecting(Relay(), made.WATCH) as box:
        with pytest.raises(StoreUnavailable):
            await at.settling(tmp_path, of, box, calls).settle(1, at.DISPUTED)

    assert calls.named == []


async def nothing_asked(tmp_path, of, calls=None, coordinator=None):
    """The report of a case that cannot be judged; no seat may have been asked."""
    calls = calls or at.Calls(of)
    relay = Relay()
    async with at.collecting(relay, made.WATCH) as box:
        judge = at.settling(tmp_path, of, box, calls, coordinator=coordinator)
        report = await judge.settle(1, at.DISPUTED)
    assert relay.posted == []
    assert calls.named == [(1, ())]
    return report


async def test_without_a_dispute_nobody_is_asked(tmp_path):
    """A coordinator alone cannot have leaves shown: two seats must have signed different sums."""
    report = await nothing_asked(tmp_path, at.lied_about())

    assert report.code == "malformed_message"
    assert "both holders state the same sum" in report.reason


async def test_a_cohort_that_is_not_certified_is_not_judged(tmp_path):
    """Two cohorts of a round could be shown to two seats."""
    of = at.lied_about(1)

    report = await nothing_asked(tmp_path, of, coordinator=at.coordinator(of, at.ELM, "amber"))

    assert report.code == "invalid_signature"


async def test_a_header_that_its_site_did_not_sign_is_not_judged(tmp_path):
    """With other roots for sites, an honest seat would look like a liar."""
    of = at.lied_about(1)
    shown = at.coordinator(of)
    signed, headers = shown.cohorts[1]
    roots = tuple("ab" * 32 for _ in range(3))
    forged = made.signed_by(
        msgspec.structs.replace(of.updates["amber"].header, roots=roots), "birch"
    )
    shown.cohorts[1] = signed, [forged, *headers[1:]]

    report = await nothing_asked(tmp_path, of, coordinator=shown)

    assert report.code == "invalid_signature"


async def test_a_statement_that_the_seat_did_not_sign_is_not_judged(tmp_path):
    """Or anybody could make it sign a false sum."""
    of = at.lied_about(1)
    calls = at.Calls(of)
    elm, fern, gorse = await calls.sums(1)
    forged = made.Signed(elm.body, {at.FERN: fern.signatures[at.FERN]})

    async def sums(number):
        return [elm, forged, gorse]

    calls.sums = sums
    report = await nothing_asked(tmp_path, of, calls)

    assert report.code == "invalid_signature"


async def test_a_dispute_between_others_than_two_seats_is_none(tmp_path):
    """The plan says who they are."""
    of, calls = at.lied_about(1), at.Calls(at.lied_about(1))
    async with at.collecting(Relay(), made.WATCH) as box:
        with pytest.raises(WrongContext, match="a dispute between amber, elm"):
            await at.settling(tmp_path, of, box, calls).settle(1, ("amber", "elm"))
