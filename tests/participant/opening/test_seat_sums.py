"""What seats state is believed where two say it under the manifest, and their words lead to it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from participant.opening.frozen import Frozen, check_frozen
from participant.opening.reveal import reveal
from participant.opening.reveal_shares import SharedChunks
from participant.opening.seat_sums import SeatSums, agreeing, check_statement
from privacy.documents import Signed
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    NotYet,
    PeerUnreachable,
    RootMismatch,
    SeatLied,
    SeatsDisagree,
    StoreUnavailable,
    WrongContext,
    WrongIdentity,
)
from privacy.plan import SharesTerms
from privacy.records import digest_of
from privacy.schemes.shares.opening import SharesRevealer
from tests.participant import shared_round as made
from tests.participant import signed_round

ROUND = made.Round()
COHORT = digest_of(ROUND.cohort)
replaced = msgspec.structs.replace


def frozen_of(of=ROUND):
    return Frozen(of.cohort, of.sum)


def agreed(of=ROUND, statements=None):
    signed = [each.signed() for each in of.stated] if statements is None else statements
    return agreeing(of.plan, frozen_of(of), signed, made.roster())


def seat_sums(place, of=ROUND, calls=None, name="amber", **changes):
    calls = calls or made.Seats({1: of}, **changes)
    pair = signed_round.keys(name).sealing
    return SeatSums(calls, of.plan, frozen_of(of), name, pair, place)


def opened(of, sums):
    revealer = SharesRevealer(of.plan.shares(), of.plan.arithmetic.dimension)
    chunks = SharedChunks(of.plan, digest_of(of.cohort), sums)
    return np.concatenate(list(reveal(of.plan, frozen_of(of), revealer, chunks)))


@pytest.mark.parametrize("seats", [(0, 1, 2), (0, 1), (1, 2), (0, 2)], ids=str)
async def test_what_any_two_seats_state_opens_to_the_sum(tmp_path, seats):
    """From outboxes through seats to integers: the third seat may be dead."""
    of = made.Round(seats=seats)

    sums = await seat_sums(tmp_path, of).fetch(agreed(of))

    assert np.array_equal(opened(of, sums), of.total())
    assert {each.seat for each in sums} <= {made.SEATS[seat] for seat in seats}


async def test_packed_values_open_to_the_same_sum(tmp_path):
    """Two in a word, where no score is asked for."""
    terms = SharesTerms(2, 1, 4, made.STARTS)
    plan = made.plan(scheme=terms)
    of = made.Round(plan)

    assert np.array_equal(opened(of, await seat_sums(tmp_path, of).fetch(agreed(of))), of.total())


@pytest.mark.parametrize("name", signed_round.TRAINERS)
async def test_every_trainer_can_open_what_seats_seal(tmp_path, name):
    """Openers are named by the plan; that another trainer cannot is not what protects anybody."""
    sums = await seat_sums(tmp_path, name=name).fetch(agreed())

    assert np.array_equal(opened(ROUND, sums), ROUND.total())


async def test_one_component_alone_is_uniform_words(tmp_path):
    """As are two; the bytes of the sum are nowhere on the disk."""
    sums = await seat_sums(tmp_path).fetch(agreed())

    found = b"".join(path.read_bytes() for each in sums for path in Path(each.folder).iterdir())
    assert ROUND.total()[:4].tobytes() not in found
    assert repr(sums[0].key) not in repr(sums)


# -- statements --------------------------------------------------------------------


def stated_with(**changes):
    statement = replaced(ROUND.stated[0].statement, **changes)
    return signed_round.signed_by(statement, "elm")


def checked(signed):
    return check_statement(signed, ROUND.plan, COHORT, made.roster())


def test_a_seats_statement_is_read():
    assert checked(ROUND.stated[1].signed()) == ROUND.stated[1].statement


@pytest.mark.parametrize(
    "changes",
    [
        {"federation": "cardiology"},
        {"round": 2},
        {"plan": "0" * 64},
        {"cohort": "0" * 64},
        {"roster": "0" * 64},
        {"wraps": ROUND.stated[0].statement.wraps[1:]},
        {"wraps": (*ROUND.stated[0].statement.wraps, ROUND.stated[0].statement.wraps[0])},
    ],
    ids=["federation", "round", "plan", "cohort", "roster", "a trainer missing", "one twice"],
)
def test_a_statement_about_something_else_is_refused(changes):
    """Or one that leaves a trainer out of its sum."""
    with pytest.raises(WrongContext):
        checked(stated_with(**changes))


@pytest.mark.parametrize(
    "changes",
    [{"chunks": 2}, {"sums": ROUND.stated[0].statement.sums[::-1]}],
    ids=["chunks", "order"],
)
def test_a_statement_of_other_sums_than_a_seats_own_is_refused(changes):
    with pytest.raises(MalformedMessage, match="other sums than its own"):
        checked(stated_with(**changes))


def test_nobody_states_sums_in_a_seats_name():
    """Not a trainer in its own, and not one seat for another."""
    statement = ROUND.stated[0].statement

    with pytest.raises(WrongIdentity, match="amber is no seat"):
        checked(signed_round.signed_by(replaced(statement, seat="amber"), "amber"))
    forged = signed_round.signed_by(statement, "fern")
    with pytest.raises(InvalidSignature):
        checked(Signed(forged.body, {"elm": forged.signatures["fern"]}))


# -- which statements count ----------------------------------------------------------


def test_three_that_agree_all_count():
    assert [each.seat for each in agreed()] == list(made.SEATS)


def test_one_statement_is_waited_for():
    """One seat alone could say anything."""
    with pytest.raises(NotYet, match="1 seats"):
        agreed(statements=[ROUND.stated[0].signed()])


def test_one_seat_that_speaks_twice_is_not_two():
    with pytest.raises(MalformedMessage, match="two statements of one seat"):
        agreed(statements=[ROUND.stated[0].signed()] * 2)


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (0, 2)], ids=str)
def test_two_that_disagree_are_named(pair):
    """On the component that they share; nothing opens."""
    component = (set(made.held_by(pair[0])) & set(made.held_by(pair[1]))).pop()
    of = made.Round(seats=pair, lies={pair[0]: made.flipped(component)})

    with pytest.raises(SeatsDisagree, match=f"disagree on component {component}"):
        agreed(of)


@pytest.mark.parametrize("liar", [0, 1, 2])
async def test_a_liar_is_left_aside_where_two_others_state_the_manifest(tmp_path, liar):
    """An auditor has judged it, or will; what the other two state is the sum all the same."""
    of = made.Round(lies={liar: made.flipped(liar)})

    stated = agreed(of)

    assert made.SEATS[liar] not in {each.seat for each in stated}
    assert np.array_equal(opened(of, await seat_sums(tmp_path, of).fetch(stated)), of.total())


def test_a_manifest_of_another_sum_is_refused():
    """The coordinator's word is for what seats have stated."""
    other = replaced(ROUND.sum, root="0" * 64)
    signed = [each.signed() for each in ROUND.stated]

    with pytest.raises(RootMismatch, match="manifest"):
        agreeing(ROUND.plan, Frozen(ROUND.cohort, other), signed, made.roster())


def test_one_statement_that_is_none_does_not_stop_two_that_are():
    """A seat that talks nonsense has not the power to keep a sum shut."""
    signed = [stated_with(round=2), *(each.signed() for each in ROUND.stated[1:])]

    assert [each.seat for each in agreed(statements=signed)] == ["fern", "gorse"]
    with pytest.raises(WrongContext):
        agreed(statements=signed[:2])


# -- words -------------------------------------------------------------------------


def words_changed(of, seat, position, change):
    """The round, where what one seat sealed of one sum is exchanged after its statement."""
    shown = made.Round(of.plan)
    before = shown.stated[seat]
    sealed = list(before.sealed)
    sealed[position] = tuple(change(sealed[position]))
    shown.stated[seat] = made.Stated(before.statement, (sealed[0], sealed[1]))
    return shown


def flip(chunks):
    return (bytes([chunks[0][0] ^ 1]) + chunks[0][1:], *chunks[1:])


@pytest.mark.parametrize(
    "change",
    [flip, lambda each: each[:-1], lambda each: each[::-1], lambda each: (*each, each[-1])],
    ids=["a bit", "one missing", "another order", "one more"],
)
async def test_words_that_are_not_whole_are_taken_from_the_other_holder(tmp_path, change):
    """Whoever spoils one stream of a component has not spoiled the other."""
    of = words_changed(ROUND, 0, 0, change)

    sums = await seat_sums(tmp_path, of).fetch(agreed(of))

    assert [each.seat for each in sums] == ["gorse", "elm", "fern"]
    assert np.array_equal(opened(of, sums), of.total())


async def test_words_that_nobody_gives_are_refused(tmp_path):
    """Of two seats, only one holds component 0."""
    of = words_changed(ROUND, 0, 0, flip)
    of.stated = of.stated[:2]

    with pytest.raises(MalformedMessage, match="does not open at its place"):
        await seat_sums(tmp_path, of).fetch(agreed(of))


class Forked(made.Round):
    """A round in which seat 0 signs the true root, and seals other words."""

    def __init__(self, chunk):
        super().__init__(seats=(0, 1))
        truth, cohort = self.stated[0], digest_of(self.cohort)
        added = made.totals(self.plan, 0, self.updates)
        lied = [made.flipped(0, chunk)(at, total) for at, total in enumerate(added)]
        lie = made.state(self.plan, cohort, 0, lied)
        sums = tuple(
            replaced(words, root=true.root)
            for words, true in zip(lie.statement.sums, truth.statement.sums, strict=True)
        )
        self.stated[0] = made.Stated(replaced(lie.statement, sums=sums), lie.sealed)


@pytest.mark.parametrize("chunk", [0, made.CHUNKS - 1])
async def test_a_seat_whose_words_are_not_what_it_signed_is_named(tmp_path, chunk):
    """Only who made the content key could have sealed them."""
    of = Forked(chunk)

    with pytest.raises(SeatLied, match="what elm sealed of component 0"):
        await seat_sums(tmp_path, of).fetch(agreed(of))


async def test_words_beside_a_root_that_is_not_theirs_are_the_seats_lie(tmp_path):
    """True roots in every chunk, and in the statement: only hashing the words shows it."""

    def other_words(index, total):
        lie = made.flipped(0)(index, total)
        return made.SeatTotal(total.seat, index, total.roots, lie.blocks)

    of = made.Round(seats=(0, 1), lies={0: other_words})

    with pytest.raises(SeatLied, match="what elm sealed of component 0"):
        await seat_sums(tmp_path, of).fetch(agreed(of))


async def test_a_wrap_that_opens_nothing_is_a_reason_to_ask_another_seat(tmp_path):
    """A seat may wrong one trainer alone."""
    of = made.Round()
    before = of.stated[0]
    wraps = before.statement.wraps
    wrong = (replaced(wraps[0], sealed_key=wraps[1].sealed_key), *wraps[1:])
    of.stated[0] = made.Stated(replaced(before.statement, wraps=wrong), before.sealed)

    sums = await seat_sums(tmp_path, of).fetch(agreed(of))

    assert [each.seat for each in sums] == ["gorse", "fern", "fern"]
    of.stated = of.stated[:2]
    with pytest.raises(MalformedMessage, match="elm wrapped for amber does not open"):
        await seat_sums(tmp_path / "two", of).fetch(agreed(of))


# -- on the disk -------------------------------------------------------------------


async def test_a_fetch_goes_on_where_it_was_cut(tmp_path):
    """In another process too: each chunk is asked for once."""
    calls = made.Seats({1: ROUND}, cut_after=2)
    for _ in range(3):
        with pytest.raises(PeerUnreachable):
            await seat_sums(tmp_path, calls=calls).fetch(agreed())
        calls.cut_after = 2

    calls.cut_after = None
    sums = await seat_sums(tmp_path, calls=calls).fetch(agreed())

    assert np.array_equal(opened(ROUND, sums), ROUND.total())
    assert calls.asked[:2] == [("elm", 0, 0), ("elm", 0, 2)]


async def test_a_damaged_chunk_is_fetched_again(tmp_path):
    calls = made.Seats({1: ROUND})
    sums = await seat_sums(tmp_path, calls=calls).fetch(agreed())
    path = Path(sums[1].folder) / "00000001"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    calls.asked.clear()

    again = await seat_sums(tmp_path, calls=calls).fetch(agreed())

    assert calls.asked == [("elm", 1, 1)]
    assert np.array_equal(opened(ROUND, again), ROUND.total())


async def test_a_chunk_that_changed_before_it_is_opened_is_found(tmp_path):
    """Read again at the opening, every word of it."""
    sums = await seat_sums(tmp_path).fetch(agreed())
    (Path(sums[2].folder) / "00000002").unlink()

    with pytest.raises(StoreUnavailable):
        opened(ROUND, sums)


async def test_streams_in_another_order_are_no_sum(tmp_path):
    first, second, third = await seat_sums(tmp_path).fetch(agreed())

    with pytest.raises(MalformedMessage, match="one stream for each"):
        SharedChunks(ROUND.plan, COHORT, [second, first, third])
    with pytest.raises(MalformedMessage):
        opened(ROUND, [replaced(first, seat="gorse"), second, third])


async def test_a_manifest_with_another_root_opens_nothing(tmp_path):
    """Whatever led here: what is opened is what the manifest names."""
    sums = await seat_sums(tmp_path).fetch(agreed())
    other = made.Round()
    other.sum = replaced(ROUND.sum, root="0" * 64)

    with pytest.raises(RootMismatch):
        opened(other, sums)


def test_the_frozen_round_is_what_is_checked():
    """The control: the same cohort and manifest pass every check of a frozen round."""
    signed = made.certified(ROUND.cohort)
    manifest = signed_round.by_coordinator(ROUND.sum)

    policy, roster = made.policy(), made.roster()
    found = check_frozen(ROUND.plan, policy, roster, signed, ROUND.headers, manifest, {})

    assert found == frozen_of()
