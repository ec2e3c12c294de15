"""A seat in a dispute shows what settles it, to the auditor alone, and one leaf ever."""

import asyncio
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from participant.seat import showing as module
from participant.wire import disputing
from participant.wire.disputing import ASK, SHOWN, WORKING, Case, Wanted, read_shown
from privacy import canonical
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    NotYet,
    OpeningRefused,
    PolicyRefusal,
    RootMismatch,
    StoreUnavailable,
    VeilsumError,
    WrongContext,
)
from privacy.records import digest_of
from privacy.schemes.shares.evidence import ChunkRoots, LeafHashes, ShownLeaf, check_shown
from privacy.schemes.shares.layout import held_by
from tests.participant import at_dispute as at
from tests.participant import shared_round as shared
from tests.participant import signed_round as made
from tests.participant.seat.table import Relay

LIED = at.lied_about(1)
LEAF = Wanted(1, 1)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "WORKING_SECONDS", 0.05)


def case(of=LIED, **changes):
    known = {
        "federation": made.FEDERATION,
        "round": 1,
        "plan": of.plan.digest(),
        "cohort": digest_of(of.cohort),
        "component": at.COMPONENT,
        "seat": at.ELM,
        "auditor": made.WATCH,
    }
    return Case(**(known | changes))


def asked(wanted, signer=made.WATCH, **changes):
    """A letter in which the auditor asks; or another, as if it were."""
    return disputing.ask(case(**changes), wanted, made.keys(signer).signing)


class Asked:
    """A seat that serves, and what the auditor has from it."""

    def __init__(self, relay, box, serving):
        self.relay, self.box, self.serving = relay, box, serving

    async def ask(self, letter, count, sender=made.WATCH):
        """Hand in a letter; return what is shown, as far as it comes."""
        with self.box.waiting(SHOWN, (at.ELM,)) as waiter:
            await self.relay.post(sender, at.ELM, ASK, letter)
            found = []
            with suppress(TimeoutError):
                while len(found) < count:
                    shown = await asyncio.wait_for(waiter.next(), 2 if count < 9 else 0.4)
                    pair, member = made.keys(made.WATCH).sealing, shared.roster().member(at.ELM)
                    found.append(read_shown(shown.body, case(), pair, member))
        return found

    async def refuses(self, letter, **other):
        """Return whether nothing is shown for a letter."""
        return await self.ask(letter, 9, **other) == []


@asynccontextmanager
async def serving(folder, of=LIED, relay=None):
    relay = relay or Relay()
    async with at.collecting(relay, at.ELM) as mine, at.collecting(relay, made.WATCH) as box:
        seat = at.showing(folder, of, 0, mine)
        task = asyncio.create_task(seat.serve(of.plan, at.DISPUTED, at.taking(folder, of, 0)))
        try:
            while not any(topic == WORKING for _, _, topic, _ in relay.posted):
                await asyncio.sleep(0.01)  # before that, a letter would find nobody
            yield Asked(relay, box, task)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            seat.memory.close()


async def test_roots_then_hashes_then_one_leaf_of_everything(tmp_path):
    """All of them lead to what the seat and the sites have signed."""
    async with serving(tmp_path) as seat:
        ((_, whose, roots),) = await seat.ask(asked(Wanted()), 1)
        ((_, _, hashes),) = await seat.ask(asked(Wanted(1)), 1)
        leaves = await seat.ask(asked(LEAF), 1 + len(at.NAMES))

    stated = LIED.stated[0].statement.sums[held_by(0).index(at.COMPONENT)]
    assert whose is None
    assert (type(roots), type(hashes)) == (ChunkRoots, LeafHashes)
    assert roots.component_root().hex() == stated.root
    assert hashes.chunk_root() == roots.roots[1]
    assert [site for _, site, _ in leaves] == [None, *at.NAMES]
    signed = [stated.root, *(LIED.updates[n].header.roots[at.COMPONENT] for n in at.NAMES)]
    place = at.holding(tmp_path / "again", LIED, 0)
    leaves_of = module.gather(place, at.COMPONENT).place(LEAF)
    for (_, _, shown), root in zip(leaves, signed, strict=True):
        assert isinstance(shown, ShownLeaf)
        check_shown(shown, leaves_of, bytes.fromhex(root), "elm")


async def test_one_leaf_ever_also_after_a_restart(tmp_path):
    """Enough of them, and a third seat that works with the auditor would have the updates."""
    async with serving(tmp_path) as seat:
        assert len(await seat.ask(asked(LEAF), 4)) == 4
        assert await seat.refuses(asked(Wanted(1, 3)))
        assert await seat.refuses(asked(Wanted(0, 2)))

    async with serving(tmp_path) as seat:
        assert await seat.refuses(asked(Wanted(1, 3)))
        assert len(await seat.ask(asked(LEAF), 4)) == 4  # the same again is no second one


async def test_a_leaf_is_recorded_before_it_is_shown(tmp_path, monkeypatch):
    """A process that is killed between the two has shown one at most."""

    def full(*_):
        raise StoreUnavailable("full")

    monkeypatch.setattr(at.SeatMemory, "shows", full)
    async with serving(tmp_path) as seat:
        assert await seat.refuses(asked(LEAF))


async def test_a_place_that_is_none_does_not_use_up_the_leaf(tmp_path):
    """An auditor that errs can still ask for the right one."""
    async with serving(tmp_path) as seat:
        assert await seat.refuses(asked(Wanted(99, 0)))
        assert await seat.refuses(asked(Wanted(0, 99)))
        assert len(await seat.ask(asked(LEAF), 4)) == 4


@pytest.mark.parametrize(
    "letter",
    [
        asked(LEAF, "fern"),
        asked(LEAF, "amber"),
        asked(LEAF, component=0),
        asked(LEAF, cohort="ab" * 32),
        asked(LEAF, plan="ab" * 32),
        asked(LEAF, round=2),
        asked(LEAF, seat=at.FERN),
        asked(LEAF, auditor="fern", signer="fern"),
        b"",
        b"\xff" * 40,
    ],
)
async def test_only_the_auditor_is_answered_and_only_about_this_dispute(tmp_path, letter):
    """Whoever hands letters over can put any name on them: the signature decides."""
    async with serving(tmp_path) as seat:
        assert await seat.refuses(letter)
        assert len(await seat.ask(asked(LEAF), 4)) == 4  # it goes on


async def test_no_word_of_a_leaf_can_be_read_on_its_way(tmp_path):
    """To the third seat it would open a part of every update; the coordinator may run that one.

    All letters are on the relay: none holds the words, and no other member's key opens one.
    """
    async with serving(tmp_path) as seat:
        leaves = await seat.ask(asked(LEAF), 4)
        letters = [body for _, _, topic, body in seat.relay.posted if topic == SHOWN]

    assert len(letters) == 4
    for _, _, shown in leaves:
        parts = [shown.words[at : at + 8] for at in range(0, len(shown.words), 8)]
        written = canonical.encode(shown)
        for body in letters:
            assert not any(part in body for part in parts if any(part))
            assert written[20:60] not in body
    for name in (at.FERN, at.GORSE, "amber", at.ELM):
        for body in letters:
            with pytest.raises(MalformedMessage, match="does not open"):
                read_shown(body, case(), made.keys(name).sealing, shared.roster().member(at.ELM))


def with_statement(of, at_seat, **changes):
    """A round in which one seat states something else."""
    stated = list(of.stated)
    statement = msgspec.structs.replace(stated[at_seat].statement, **changes)
    stated[at_seat] = shared.Stated(statement, stated[at_seat].sealed)
    other = at.shared.Round.__new__(shared.Round)
    other.__dict__.update(of.__dict__, stated=stated)
    return other


async def refused(folder, of, disputed=at.DISPUTED, take=None, seat=None):
    """What `serve` raises; nothing may have been said to anybody but that it is at work."""
    relay = Relay()
    async with at.collecting(relay, at.ELM) as box:
        seat = (seat or at.showing)(folder, of, 0, box)
        with pytest.raises(VeilsumError) as raised:
            async with asyncio.timeout(5):
                await seat.serve(of.plan, disputed, take or at.taking(folder, of, 0))
    assert {topic for _, _, topic, _ in relay.posted} <= {WORKING}
    return type(raised.value)


async def test_without_another_sum_signed_by_the_other_nothing_is_shown(tmp_path):
    """The coordinator's word for a dispute is worth nothing: the two must have signed it."""
    agreed = at.lied_about()

    assert await refused(tmp_path, agreed) is WrongContext


async def test_a_statement_of_another_cohort_or_round_makes_no_dispute(tmp_path):
    """Sums over other cohorts differ, and nobody has lied."""
    for at_number, changes in enumerate(({"cohort": "ab" * 32}, {"plan": "ab" * 32})):
        of = with_statement(LIED, 1, **changes)
        assert await refused(tmp_path / str(at_number), of) is WrongContext


async def test_a_statement_that_the_other_did_not_sign_makes_no_dispute(tmp_path):
    """Anybody could write one."""
    of = with_statement(LIED, 1, federation=made.FEDERATION)
    forged = made.signed_by(of.stated[1].statement, "amber")
    signed = made.Signed(forged.body, {at.FERN: forged.signatures["amber"]})
    of.stated[1] = type("Forged", (), {"signed": lambda _: signed})()

    assert await refused(tmp_path, of) is InvalidSignature


async def test_a_seat_that_is_not_in_the_dispute_shows_nothing(tmp_path):
    """It holds another component, or its word is not doubted."""
    assert await refused(tmp_path, LIED, (at.FERN, at.GORSE)) is WrongContext
    assert await refused(tmp_path, LIED, (at.ELM, "amber")) is WrongContext
    assert await refused(tmp_path, LIED, (at.ELM, at.ELM)) is WrongContext


async def test_a_cohort_that_it_has_not_certified_is_not_shown(tmp_path):
    """Of a second cohort of the round it shows nothing, whoever has certified that."""
    of = shared.Round(at.plan(), made.TRAINERS, lies={1: shared.flipped(at.COMPONENT)})

    def stated_before(folder, shown, seat, box):
        return at.showing(folder, LIED, seat, box)

    async def another():
        return of.cohort, at.held(tmp_path / "parts", of, 0)

    seen = await refused(tmp_path, LIED, take=another, seat=stated_before)

    assert seen is OpeningRefused


async def test_a_seat_that_has_stated_nothing_shows_nothing(tmp_path):
    """It may not have added yet; what it will state is not known."""

    def fresh(folder, of, seat, box):
        whole = at.showing(folder, of, seat, box)
        return module.Showing(
            whole.me,
            whole.keys,
            whole.roster,
            at.SeatMemory(tmp_path / "fresh"),
            whole.states,
            box,
            whole.patience,
            whole.policy,
        )

    assert await refused(tmp_path, LIED, seat=fresh) is NotYet


async def test_an_auditor_that_also_trains_or_adds_is_shown_nothing(tmp_path):
    """A leaf opens updates to the third seat: its organisation must not be the auditor's."""
    organisation = shared.roster().member(at.GORSE).organisation
    roster = shared.roster_with(made.WATCH, organisation=organisation)
    of = at.lied_about(1)
    plan = shared.plan(auditor=made.WATCH, roster=roster.digest(), deadline=of.plan.terms.deadline)
    moved = shared.Round.__new__(shared.Round)
    moved.__dict__.update(of.__dict__, plan=plan)
    for number in (0, 1):
        moved = with_statement(moved, number, plan=plan.digest())

    def among(folder, shown, seat, box):
        whole = at.showing(folder, shown, seat, box)
        fields = {name: getattr(whole, name) for name in module.Showing.__dataclass_fields__}
        return module.Showing(**(fields | {"roster": roster}))

    assert await refused(tmp_path, moved, seat=among) is PolicyRefusal


async def test_a_seat_whose_disk_does_not_give_its_sum_says_so_and_shows_nothing(tmp_path):
    """What it showed would accuse it; its operator must look at the disk."""
    of = at.lied_about(0)

    assert await refused(tmp_path, of) is RootMismatch


async def test_it_says_that_it_is_at_work_until_it_can_show(tmp_path, monkeypatch):
    """Opening parts can last longer than an auditor's patience with silence."""
    honest = at.taking(tmp_path, LIED, 0)

    async def slow():
        await asyncio.sleep(0.4)
        return await honest()

    monkeypatch.setattr(at, "taking", lambda *_: slow)
    async with serving(tmp_path) as seat:
        assert len(await seat.ask(asked(Wanted()), 1)) == 1

    working = [topic for sender, _, topic, _ in seat.relay.posted if topic == WORKING]
    assert len(working) >= 3


async def test_a_relay_that_is_full_is_tried_again(tmp_path, monkeypatch):
    """No leaf is left out because one letter did not go at once."""
    relay, failures = Relay(), [NotYet("full"), NotYet("full")]
    whole = relay.post

    async def post(sender, recipient, topic, body):
        if topic == SHOWN and failures:
            raise failures.pop()
        await whole(sender, recipient, topic, body)

    relay.post = post
    monkeypatch.setattr("participant.wire.patience.SHORTEST_SECONDS", 0.01)
    async with serving(tmp_path, relay=relay) as seat:
        assert len(await seat.ask(asked(LEAF), 4)) == 4
    assert failures == []
