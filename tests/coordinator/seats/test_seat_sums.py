"""What seats state as their sums: once, in the sizes of the plan, or not at all."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from coordinator.rounds.state import Disagreement, Phase
from privacy.documents import Signed
from privacy.errors import (
    ConflictingContribution,
    IllegalEvent,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    WrongContext,
    WrongIdentity,
)
from privacy.records import SealedWords, Wrap
from tests.coordinator.seated_round import SEALED_BYTES, SEATS, Seated, chunks_at, root_of, sealed
from tests.fakes import SITES, signed_by

OTHER = "ee" * 32


def test_sums_that_agree_are_added_up_and_given_to_trainers():
    seated = Seated(Phase.SUMMING)

    for seat in SEATS:
        seated.state(seat)

    assert seated.round().phase is Phase.AGGREGATING
    roots = [each.roots for each in seated.round().stated]
    zero, one, two = (root_of(component) for component in range(3))
    assert roots == [(zero, one, ""), ("", one, two), (zero, "", two)]
    seated.put(phase=Phase.OPENING)
    for seat in SEATS:
        for position in range(2):
            assert seated.seats.sealed.chunks(SITES[3], 1, seat, position) == 2
            found = [seated.seats.sealed.words(SITES[3], 1, seat, position, at) for at in range(2)]
            assert found == sealed(seat)[position]


def test_a_sum_does_not_count_before_all_of_it_is_there():
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))

    durable = [
        seated.seats.sums.put_chunk(upload, position, chunk)
        for position, chunks in enumerate(sealed(SEATS[0]))
        for chunk in chunks
    ]

    assert durable == [1, 2, 3, 4]
    assert seated.round().stated == ()
    seated.seats.sums.finish(upload)
    assert [each.seat for each in seated.round().stated] == [SEATS[0]]


def test_an_upload_that_was_killed_begins_again_with_the_same_statement():
    """Neither side remembers how far it was; what is stored is found again."""
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    for chunk in sealed(SEATS[0])[0]:
        seated.seats.sums.put_chunk(upload, 0, chunk)

    seated.start()
    seated.state(SEATS[0])

    assert [each.seat for each in seated.round().stated] == [SEATS[0]]
    assert len(chunks_at(seated)) == 4


@pytest.mark.parametrize(
    "phase", [Phase.SUMMING, Phase.AGGREGATING, Phase.OPENING, Phase.DONE, Phase.ABORTED]
)
def test_the_same_sums_again_change_nothing_in_any_phase(phase):
    seated = Seated(Phase.SUMMING)
    seated.state(SEATS[0])
    seated.put(phase=phase)
    before, stored = seated.round(), chunks_at(seated)

    seated.state(SEATS[0])

    assert (seated.round(), chunks_at(seated)) == (before, stored)


@pytest.mark.parametrize("finished", [False, True])
def test_a_seat_that_has_begun_one_statement_makes_no_other(finished):
    """Not before the words of the first are there either: each would take its room."""
    seated = Seated(Phase.SUMMING)
    if finished:
        seated.state(SEATS[0])
    else:
        seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    first, *others = seated.statement(SEATS[0]).sums
    changed = SealedWords(first.component, OTHER, first.ciphertext, first.length)
    other = seated.statement(SEATS[0], sums=(changed, *others))

    with pytest.raises(ConflictingContribution):
        seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], other))


def words(component, length=2 * SEALED_BYTES):
    return SealedWords(component, OTHER, OTHER, length)


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"cohort": OTHER}, WrongContext),
        ({"plan": OTHER}, WrongContext),
        ({"federation": "cardiology"}, WrongContext),
        ({"roster": OTHER}, WrongContext),
        ({"round": 2}, NotYet),
        ({"seat": SEATS[1]}, WrongIdentity),
        ({"wraps": ()}, WrongContext),
        ({"wraps": tuple(Wrap(n, bytes(1168)) for n in (*SITES, "seat-a"))}, WrongContext),
        ({"wraps": tuple(Wrap(n, bytes(1168)) for n in reversed(SITES))}, WrongContext),
        ({"wraps": tuple(Wrap(n, bytes(1169)) for n in SITES)}, MalformedMessage),
        ({"chunks": 0}, MalformedMessage),
        ({"chunks": 1 << 50}, MalformedMessage),
        ({"sums": (words(0), words(2))}, MalformedMessage),
        ({"sums": (words(1), words(0))}, MalformedMessage),
        ({"sums": (words(0), words(0))}, MalformedMessage),
        ({"sums": (words(0), words(1, 1 << 50))}, MalformedMessage),
        ({"sums": (words(0), words(1, 2 * SEALED_BYTES - 1))}, MalformedMessage),
    ],
)
def test_a_statement_of_something_else_takes_no_room(other, error):
    seated = Seated(Phase.SUMMING)

    with pytest.raises(error):
        seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0], **other)))

    assert seated.store.documents("seat-sum") == []


def test_a_statement_that_the_seat_has_not_signed_takes_no_room():
    seated = Seated(Phase.SUMMING)
    signed = signed_by(SEATS[0], seated.statement(SEATS[0]), key=SEATS[1])

    for each in (signed, Signed(signed.body, {})):
        with pytest.raises(InvalidSignature):
            seated.seats.sums.begin(SEATS[0], each)

    assert seated.store.documents("seat-sum") == []


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.JUDGING, Phase.CERTIFYING])
def test_no_sum_is_taken_over_a_cohort_that_is_not_certified(phase):
    seated = Seated(phase)
    signed = signed_by(SEATS[0], seated.statement(SEATS[0]))

    with pytest.raises((IllegalEvent, WrongContext)):
        seated.seats.sums.begin(SEATS[0], signed)


@pytest.mark.parametrize(
    "places", [[(1, 0)], [(0, 0), (1, 0)], [(0, 0), (0, 1), (0, 0)], [(2, 0)], [(7, 0)]]
)
def test_a_chunk_out_of_order_is_refused(places):
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    *before, (position, _) = places
    for earlier, chunk in before:
        seated.seats.sums.put_chunk(upload, earlier, sealed(SEATS[0])[earlier][chunk])

    with pytest.raises(MalformedMessage, match="was expected"):
        seated.seats.sums.put_chunk(upload, position, bytes(SEALED_BYTES))

    assert len(chunks_at(seated)) == len(places) - 1


def test_a_chunk_too_many_is_refused():
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    for position in (0, 1):
        for chunk in sealed(SEATS[0])[position]:
            seated.seats.sums.put_chunk(upload, position, chunk)

    for position in (0, 1, 2):
        with pytest.raises(MalformedMessage, match="none was expected"):
            seated.seats.sums.put_chunk(upload, position, chunk)

    assert len(chunks_at(seated)) == 4


@pytest.mark.parametrize("length", [0, SEALED_BYTES - 1, SEALED_BYTES + 1, 1 << 20])
def test_a_chunk_of_another_length_takes_no_room(length):
    """The plan says how much a seat may fill of the disk."""
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))

    with pytest.raises(MalformedMessage, match=f"not {SEALED_BYTES}"):
        seated.seats.sums.put_chunk(upload, 0, bytes(length))

    assert chunks_at(seated) == []


@pytest.mark.parametrize("count", [0, 3])
def test_sums_that_stop_early_are_not_counted_and_are_taken_when_they_come_whole(count):
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    places = [(position, chunk) for position, c in enumerate(sealed(SEATS[0])) for chunk in c]
    for position, chunk in places[:count]:
        seated.seats.sums.put_chunk(upload, position, chunk)

    with pytest.raises(MalformedMessage):
        seated.seats.sums.finish(upload)

    assert (seated.round().stated, chunks_at(seated)) == ((), [])
    seated.state(SEATS[0])
    assert len(seated.round().stated) == 1


def test_words_that_are_not_those_of_the_statement_are_deleted():
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    for position in (0, 1):
        for at in range(2):
            seated.seats.sums.put_chunk(upload, position, sealed(SEATS[0])[0][at])

    with pytest.raises(MalformedMessage, match="not those its statement names"):
        seated.seats.sums.finish(upload)

    assert (seated.round().stated, chunks_at(seated)) == ((), [])


def test_wrong_words_behind_a_statement_that_counts_delete_nothing():
    """It stands: who sends it again and sends it wrong has not unsaid it."""
    seated = Seated(Phase.SUMMING)
    seated.state(SEATS[0])
    upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    for position in (0, 1):
        for _ in range(2):
            seated.seats.sums.put_chunk(upload, position, bytes(SEALED_BYTES))

    with pytest.raises(MalformedMessage):
        seated.seats.sums.finish(upload)

    seated.state(SEATS[1])
    seated.state(SEATS[2])
    seated.put(phase=Phase.OPENING)
    assert seated.seats.sealed.words(SITES[0], 1, SEATS[0], 0, 0) == sealed(SEATS[0])[0][0]


def test_sums_that_were_deleted_meanwhile_are_asked_for_again():
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    for position, chunks in enumerate(sealed(SEATS[0])):
        for chunk in chunks:
            seated.seats.sums.put_chunk(upload, position, chunk)
    seated.objects.delete_prefix("rounds/000001/seats")

    with pytest.raises(NotYet, match="is not here"):
        seated.seats.sums.finish(upload)

    assert seated.round().stated == ()


def test_a_chunk_that_meets_the_end_of_its_round_leaves_nothing(monkeypatch):
    """The round was erased while the chunk was on its way to disk."""
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    put = seated.objects.put

    def end_first(name, data):
        seated.put(phase=Phase.ABORTED)
        seated.seats.sums.erase(1)
        put(name, data)

    monkeypatch.setattr(seated.objects, "put", end_first)
    with pytest.raises(IllegalEvent, match="aborted"):
        seated.seats.sums.put_chunk(upload, 0, sealed(SEATS[0])[0][0])

    assert chunks_at(seated) == []


def test_what_comes_of_a_seats_sum_is_progress_and_what_comes_again_is_work():
    """A seat that sends the same for ever keeps no round from its end."""
    seated = Seated(Phase.SUMMING)
    quiet = []
    for _ in range(2):
        upload = seated.seats.sums.begin(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
        seated.clock.advance(4)
        seated.seats.sums.put_chunk(upload, 0, sealed(SEATS[0])[0][0])
        quiet.append(seated.progress.quiet(1))

    assert quiet == [(0, 0), (0, 4)]


def test_a_disputed_round_takes_the_third_seats_sum_and_does_not_wait_for_it():
    seated = Seated(Phase.SUMMING)
    dispute = Disagreement(SEATS[:2], 1)
    seated.put(phase=Phase.DISPUTED, disputed=dispute)
    upload = seated.seats.sums.begin(SEATS[2], signed_by(SEATS[2], seated.statement(SEATS[2])))
    seated.clock.advance(4)

    seated.seats.sums.put_chunk(upload, 0, sealed(SEATS[2])[0][0])

    assert seated.progress.quiet(1) == (4, 4)


@pytest.mark.parametrize("phase", [Phase.DONE, Phase.ABORTED])
def test_a_chunk_that_comes_after_the_end_deletes_nothing_but_itself(phase):
    """A seat that began, and waited, must not delete what shows whose sums were false."""
    seated = Seated(Phase.SUMMING)
    late = seated.seats.sums.begin(SEATS[2], signed_by(SEATS[2], seated.statement(SEATS[2])))
    for seat in SEATS[:2]:
        seated.state(seat)
    seated.put(phase=phase)
    before = chunks_at(seated)

    with pytest.raises(IllegalEvent, match="it waits for no sums"):
        seated.seats.sums.put_chunk(late, 0, sealed(SEATS[2])[0][0])

    assert chunks_at(seated) == before
    assert len(before) == 8


def test_a_chunk_whose_round_ended_while_it_was_written_is_taken_back(monkeypatch):
    """It may have been erased before the chunk was on the disk; nothing else is touched."""
    seated = Seated(Phase.SUMMING)
    late = seated.seats.sums.begin(SEATS[2], signed_by(SEATS[2], seated.statement(SEATS[2])))
    for seat in SEATS[:2]:
        seated.state(seat)
    before, put = chunks_at(seated), seated.objects.put

    def slow(name, data):
        seated.put(phase=Phase.DONE)
        put(name, data)

    monkeypatch.setattr(seated.objects, "put", slow)

    with pytest.raises(IllegalEvent, match="it waits for no sums"):
        seated.seats.sums.put_chunk(late, 0, sealed(SEATS[2])[0][0])

    assert chunks_at(seated) == before


def test_rounds_move_while_an_object_store_is_slow_to_say_whether_sums_are_there():
    """One lock is for all rounds: whoever holds it must wait for no bucket."""
    seated, asked = Seated(Phase.SUMMING), []
    real = seated.objects.names

    def names(prefix=""):
        other = ThreadPoolExecutor(1)
        try:
            asked.append(other.submit(seated.round).result(timeout=2).phase)
        finally:
            other.shutdown(wait=False)
        return real(prefix)

    seated.objects.names = names
    seated.state(SEATS[0])

    assert asked == [Phase.SUMMING]
    assert [each.seat for each in seated.round().stated] == [SEATS[0]]
