"""What seats are given and state: each its own, once, in the sizes of the plan."""

from contextlib import suppress

import pytest

from coordinator.seats import Seats
from coordinator.state import Disagreement, LeftOut, Phase
from privacy import canonical
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
from privacy.records import Refused, Score, SealedWords, Wrap, digest_of
from privacy.signing import Purpose, sign
from tests.coordinator.seated_round import (
    SEALED_BYTES,
    SEATS,
    Seated,
    payload,
    root_of,
    sealed,
    sealed_secrets,
)
from tests.fakes import AUDITOR, OPENERS, SITES, Crash, crash_at, signed_by, signing_key

OTHER = "ee" * 32
LIVE = (Phase.OPEN, Phase.JUDGING, Phase.CERTIFYING, Phase.SUMMING)


# -- parts -----------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [*LIVE, Phase.DISPUTED])
def test_a_seat_is_given_its_own_seals_and_the_component_it_holds(phase):
    """Seat 0 holds the two components that are expanded: nothing travels to it."""
    seated = Seated(phase)

    for at, seat in enumerate(SEATS):
        part = seated.seats.part(seat, 1, SITES[0])
        assert part.sealed == sealed_secrets(SITES[0], seat)
        assert part.header.body == b"header of hospital-a"
        assert part.chunks == (0 if at == 0 else 2)
    assert seated.seats.part_chunk(SEATS[1], 1, SITES[0], 1) == payload(SITES[0], 1)


def test_the_seat_that_holds_no_part_of_what_travels_is_not_given_it():
    """It holds components 0 and 1; with the third it could open every update."""
    with pytest.raises(WrongIdentity, match="does not hold"):
        Seated().seats.part_chunk(SEATS[0], 1, SITES[0], 0)


@pytest.mark.parametrize("caller", [SITES[0], OPENERS[1], AUDITOR, "coordinator", "", "seat-d"])
def test_whoever_is_no_seat_of_the_round_is_given_nothing(caller):
    seats: Seats = Seated(Phase.JUDGING).seats

    for ask in (
        lambda: seats.part(caller, 1, SITES[0]),
        lambda: seats.part_chunk(caller, 1, SITES[0], 0),
        lambda: seats.candidates(caller, 1),
    ):
        with pytest.raises(WrongIdentity, match="no seat of round 1"):
            ask()


def test_a_contribution_that_is_not_committed_is_not_given():
    """Its site may still be sending; seats check what counts."""
    seated = Seated(committed=SITES[:3])

    for name in (SITES[3], "nobody", "../../x"):
        with pytest.raises(NotYet, match="has committed no contribution"):
            seated.seats.part(SEATS[1], 1, name)
        with pytest.raises(NotYet):
            seated.seats.part_chunk(SEATS[1], 1, name, 0)


@pytest.mark.parametrize("phase", [Phase.AGGREGATING, Phase.OPENING, Phase.DONE, Phase.ABORTED])
def test_no_contribution_is_given_once_sums_agree_or_the_round_is_over(phase):
    seated = Seated(Phase.SUMMING)
    seated.put(phase=phase)

    with pytest.raises(IllegalEvent, match="no seat is given anything"):
        seated.seats.part(SEATS[1], 1, SITES[0])
    with pytest.raises(IllegalEvent):
        seated.seats.part_chunk(SEATS[1], 1, SITES[0], 0)


@pytest.mark.parametrize(
    ("phase", "moves"),
    [(Phase.OPEN, False), (Phase.JUDGING, True), (Phase.CERTIFYING, False), (Phase.SUMMING, True)],
)
def test_what_moves_to_a_seat_keeps_the_round_that_waits_for_it(phase, moves):
    """An open round waits for trainers: who fetches meanwhile must not hold it open."""
    seated = Seated(phase)
    if phase is Phase.CERTIFYING:
        seated.certify(SEATS[1])
    seated.clock.advance(7)

    seated.seats.part(SEATS[1], 1, SITES[0])

    assert seated.progress.quiet(1)[1] == (0 if moves else 7)
    seated.clock.advance(3)
    seated.seats.part_chunk(SEATS[1], 1, SITES[0], 0)
    assert seated.progress.quiet(1)[1] == (0 if moves else 10)
    seated.clock.advance(3)
    seated.seats.part_chunk(SEATS[1], 1, SITES[0], 0)
    assert seated.progress.quiet(1)[1] == (3 if moves else 13)


# -- candidates and verdicts -----------------------------------------------------------


def test_candidates_come_with_the_header_of_each():
    seated = Seated(Phase.JUDGING)

    signed, headers = seated.seats.candidates(SEATS[2], 1)

    assert signed.body == canonical.encode(seated.candidates)
    assert [header.body for header in headers] == [f"header of {n}".encode() for n in SITES]


def test_there_are_no_candidates_while_the_round_is_open():
    with pytest.raises(NotYet, match="not signed yet"):
        Seated().seats.candidates(SEATS[0], 1)


def test_a_verdict_counts_and_names_whom_it_leaves_out():
    seated = Seated(Phase.JUDGING)
    refused = Refused(SITES[1], "norm_over_bound", "norm 12.5 over 1.0")

    seated.judge(SEATS[0], refused)

    assert [each.seat for each in seated.round().judged] == [SEATS[0]]
    assert seated.round().left_out == (
        LeftOut(SITES[1], SEATS[0], "norm_over_bound", "norm 12.5 over 1.0"),
    )
    kept = seated.archive.document("verdict", seated.round().judged[0].verdict)
    assert list(kept.signatures) == [SEATS[0]]


def test_the_same_verdict_again_changes_nothing_in_any_phase():
    """The answer to the first was lost; meanwhile the round has gone on."""
    seated = Seated(Phase.SUMMING)
    before = seated.round()

    for _ in range(2):
        seated.judge(SEATS[0])

    assert seated.round() == before


def test_a_seat_judges_once():
    seated = Seated(Phase.JUDGING)
    seated.judge(SEATS[0])

    with pytest.raises(ConflictingContribution):
        seated.judge(SEATS[0], Refused(SITES[0], "root_mismatch", "x"))

    assert seated.round().left_out == ()
    assert len(seated.store.documents("verdict")) == 1


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"candidates": OTHER}, WrongContext),
        ({"plan": OTHER}, WrongContext),
        ({"federation": "cardiology"}, WrongContext),
        ({"round": 2}, NotYet),
        ({"seat": SEATS[1]}, WrongIdentity),
        ({"refused": (Refused("hospital-z", "root_mismatch", "x"),)}, MalformedMessage),
        ({"refused": (Refused(SITES[0], "root_mismatch", "x"),) * 2}, MalformedMessage),
        ({"refused": (Refused(SITES[0], "root_mismatch", "\x1b[2J"),)}, MalformedMessage),
        ({"unasked": "two\nlines"}, MalformedMessage),
    ],
)
def test_a_verdict_on_something_else_is_refused(other, error):
    seated = Seated(Phase.JUDGING)

    with pytest.raises(error):
        seated.seats.put_verdict(SEATS[0], signed_by(SEATS[0], seated.verdict(SEATS[0], **other)))

    assert seated.round().judged == ()
    assert seated.store.documents("verdict") == []


@pytest.mark.parametrize("caller", [SITES[0], AUDITOR, "seat-d"])
def test_only_seats_judge(caller):
    seated = Seated(Phase.JUDGING)

    with pytest.raises(WrongIdentity):
        seated.seats.put_verdict(caller, signed_by(caller, seated.verdict(caller)))


@pytest.mark.parametrize("signed_as", [{}, {SEATS[0]: b"\x00" * 64}, {SEATS[1]: None}])
def test_a_verdict_without_its_seats_signature_is_refused(signed_as):
    seated = Seated(Phase.JUDGING)
    signed = signed_by(SEATS[0], seated.verdict(SEATS[0]), key=SEATS[1])
    made = {who: value or signed.signatures[SEATS[0]] for who, value in signed_as.items()}

    for each in (signed, Signed(signed.body, made)):
        with pytest.raises(InvalidSignature):
            seated.seats.put_verdict(SEATS[0], each)

    assert seated.round().judged == ()


def test_only_the_signature_that_was_checked_is_kept():
    """A stranger's beside it is thrown away, and the same verdict is the same again."""
    seated = Seated(Phase.JUDGING)
    signed = signed_by(SEATS[0], seated.verdict(SEATS[0]))

    seated.seats.put_verdict(SEATS[0], Signed(signed.body, {**signed.signatures, "x": b"y"}))
    seated.judge(SEATS[0])

    assert [list(each.signatures) for each in seated.archive.all_of("verdict")] == [[SEATS[0]]]


# -- the certificate -------------------------------------------------------------------


def test_seats_and_trainers_sign_the_cohort_until_it_is_certified():
    seated = Seated(Phase.CERTIFYING)

    for name in (SEATS[0], SEATS[1], SITES[0], SITES[1], SITES[2]):
        assert seated.round().phase is Phase.CERTIFYING
        seated.certify(name)

    assert seated.round().phase is Phase.SUMMING
    kept = seated.archive.with_signatures("cohort", digest_of(seated.cohort))
    assert set(kept.signatures) == {"coordinator", *SEATS[:2], *SITES[:3]}


def test_the_same_signature_again_changes_nothing_in_any_phase():
    seated = Seated(Phase.OPENING)
    before = seated.round()

    seated.certify(SEATS[0])

    assert seated.round() == before


@pytest.mark.parametrize(("name", "key"), [(SEATS[0], SEATS[1]), (SITES[0], SITES[1])])
def test_a_signature_by_another_key_is_refused(name, key):
    seated = Seated(Phase.CERTIFYING)

    with pytest.raises(InvalidSignature):
        seated.certify(name, key)

    assert seated.round().certified == ()


def test_a_signature_for_another_purpose_is_refused():
    """The coordinator's own signature on a cohort certifies nothing."""
    seated = Seated(Phase.CERTIFYING)
    signature = sign(signing_key(SEATS[0]), Purpose.COHORT, canonical.encode(seated.cohort))

    with pytest.raises(InvalidSignature):
        seated.seats.sign_cohort(SEATS[0], 1, digest_of(seated.cohort), signature)


@pytest.mark.parametrize("name", [AUDITOR, "hospital-z", "coordinator"])
def test_nobody_else_certifies(name):
    seated = Seated(Phase.CERTIFYING)

    with pytest.raises(WrongIdentity):
        seated.certify(name)

    assert seated.store.documents(f"cohort-signature-{digest_of(seated.cohort)}") == []


@pytest.mark.parametrize("cohort", ["", OTHER])
def test_a_signature_on_another_cohort_is_refused(cohort):
    seated = Seated(Phase.CERTIFYING)

    with pytest.raises(IllegalEvent, match="another cohort"):
        seated.seats.sign_cohort(SEATS[0], 1, cohort, bytes(64))


def test_nothing_is_signed_before_the_cohort_is_frozen():
    seated = Seated(Phase.JUDGING)

    with pytest.raises(IllegalEvent):
        seated.certify(SEATS[0])


# -- sealed sums -----------------------------------------------------------------------


def chunks_at(seated):
    return seated.objects.names("rounds/000001/seats")


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
            assert seated.seats.words_chunks(SITES[3], 1, seat, position) == 2
            found = [seated.seats.words(SITES[3], 1, seat, position, at) for at in range(2)]
            assert found == sealed(seat)[position]


def test_a_sum_does_not_count_before_all_of_it_is_there():
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))

    durable = [
        seated.seats.put_sum_chunk(upload, position, chunk)
        for position, chunks in enumerate(sealed(SEATS[0]))
        for chunk in chunks
    ]

    assert durable == [1, 2, 3, 4]
    assert seated.round().stated == ()
    seated.seats.finish_sum(upload)
    assert [each.seat for each in seated.round().stated] == [SEATS[0]]


def test_an_upload_that_was_killed_begins_again_with_the_same_statement():
    """Neither side remembers how far it was; what is stored is found again."""
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    for chunk in sealed(SEATS[0])[0]:
        seated.seats.put_sum_chunk(upload, 0, chunk)

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
        seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    first, *others = seated.statement(SEATS[0]).sums
    changed = SealedWords(first.component, OTHER, first.ciphertext, first.length)
    other = seated.statement(SEATS[0], sums=(changed, *others))

    with pytest.raises(ConflictingContribution):
        seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], other))


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
        seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0], **other)))

    assert seated.store.documents("seat-sum") == []


def test_a_statement_that_the_seat_has_not_signed_takes_no_room():
    seated = Seated(Phase.SUMMING)
    signed = signed_by(SEATS[0], seated.statement(SEATS[0]), key=SEATS[1])

    for each in (signed, Signed(signed.body, {})):
        with pytest.raises(InvalidSignature):
            seated.seats.begin_sum(SEATS[0], each)

    assert seated.store.documents("seat-sum") == []


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.JUDGING, Phase.CERTIFYING])
def test_no_sum_is_taken_over_a_cohort_that_is_not_certified(phase):
    seated = Seated(phase)
    signed = signed_by(SEATS[0], seated.statement(SEATS[0]))

    with pytest.raises((IllegalEvent, WrongContext)):
        seated.seats.begin_sum(SEATS[0], signed)


@pytest.mark.parametrize(
    "places", [[(1, 0)], [(0, 0), (1, 0)], [(0, 0), (0, 1), (0, 0)], [(2, 0)], [(7, 0)]]
)
def test_a_chunk_out_of_order_is_refused(places):
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    *before, (position, _) = places
    for earlier, chunk in before:
        seated.seats.put_sum_chunk(upload, earlier, sealed(SEATS[0])[earlier][chunk])

    with pytest.raises(MalformedMessage, match="was expected"):
        seated.seats.put_sum_chunk(upload, position, bytes(SEALED_BYTES))

    assert len(chunks_at(seated)) == len(places) - 1


def test_a_chunk_too_many_is_refused():
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    for position in (0, 1):
        for chunk in sealed(SEATS[0])[position]:
            seated.seats.put_sum_chunk(upload, position, chunk)

    for position in (0, 1, 2):
        with pytest.raises(MalformedMessage, match="none was expected"):
            seated.seats.put_sum_chunk(upload, position, chunk)

    assert len(chunks_at(seated)) == 4


@pytest.mark.parametrize("length", [0, SEALED_BYTES - 1, SEALED_BYTES + 1, 1 << 20])
def test_a_chunk_of_another_length_takes_no_room(length):
    """The plan says how much a seat may fill of the disk."""
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))

    with pytest.raises(MalformedMessage, match=f"not {SEALED_BYTES}"):
        seated.seats.put_sum_chunk(upload, 0, bytes(length))

    assert chunks_at(seated) == []


@pytest.mark.parametrize("count", [0, 3])
def test_sums_that_stop_early_are_not_counted_and_are_taken_when_they_come_whole(count):
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    places = [(position, chunk) for position, c in enumerate(sealed(SEATS[0])) for chunk in c]
    for position, chunk in places[:count]:
        seated.seats.put_sum_chunk(upload, position, chunk)

    with pytest.raises(MalformedMessage):
        seated.seats.finish_sum(upload)

    assert (seated.round().stated, chunks_at(seated)) == ((), [])
    seated.state(SEATS[0])
    assert len(seated.round().stated) == 1


def test_words_that_are_not_those_of_the_statement_are_deleted():
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    for position in (0, 1):
        for at in range(2):
            seated.seats.put_sum_chunk(upload, position, sealed(SEATS[0])[0][at])

    with pytest.raises(MalformedMessage, match="not those its statement names"):
        seated.seats.finish_sum(upload)

    assert (seated.round().stated, chunks_at(seated)) == ((), [])


def test_wrong_words_behind_a_statement_that_counts_delete_nothing():
    """It stands: who sends it again and sends it wrong has not unsaid it."""
    seated = Seated(Phase.SUMMING)
    seated.state(SEATS[0])
    upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    for position in (0, 1):
        for _ in range(2):
            seated.seats.put_sum_chunk(upload, position, bytes(SEALED_BYTES))

    with pytest.raises(MalformedMessage):
        seated.seats.finish_sum(upload)

    seated.state(SEATS[1])
    seated.state(SEATS[2])
    seated.put(phase=Phase.OPENING)
    assert seated.seats.words(SITES[0], 1, SEATS[0], 0, 0) == sealed(SEATS[0])[0][0]


def test_sums_that_were_deleted_meanwhile_are_asked_for_again():
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    for position, chunks in enumerate(sealed(SEATS[0])):
        for chunk in chunks:
            seated.seats.put_sum_chunk(upload, position, chunk)
    seated.objects.delete_prefix("rounds/000001/seats")

    with pytest.raises(NotYet, match="is not here"):
        seated.seats.finish_sum(upload)

    assert seated.round().stated == ()


def test_a_chunk_that_meets_the_end_of_its_round_leaves_nothing(monkeypatch):
    """The round was erased while the chunk was on its way to disk."""
    seated = Seated(Phase.SUMMING)
    upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
    put = seated.objects.put

    def end_first(name, data):
        seated.put(phase=Phase.ABORTED)
        seated.seats.erase(1)
        put(name, data)

    monkeypatch.setattr(seated.objects, "put", end_first)
    with pytest.raises(IllegalEvent, match="aborted"):
        seated.seats.put_sum_chunk(upload, 0, sealed(SEATS[0])[0][0])

    assert chunks_at(seated) == []


def test_what_comes_of_a_seats_sum_is_progress_and_what_comes_again_is_work():
    """A seat that sends the same for ever keeps no round from its end."""
    seated = Seated(Phase.SUMMING)
    quiet = []
    for _ in range(2):
        upload = seated.seats.begin_sum(SEATS[0], signed_by(SEATS[0], seated.statement(SEATS[0])))
        seated.clock.advance(4)
        seated.seats.put_sum_chunk(upload, 0, sealed(SEATS[0])[0][0])
        quiet.append(seated.progress.quiet(1))

    assert quiet == [(0, 0), (0, 4)]


def test_a_disputed_round_takes_the_third_seats_sum_and_does_not_wait_for_it():
    seated = Seated(Phase.SUMMING)
    dispute = Disagreement(SEATS[:2], 1)
    seated.put(phase=Phase.DISPUTED, disputed=dispute)
    upload = seated.seats.begin_sum(SEATS[2], signed_by(SEATS[2], seated.statement(SEATS[2])))
    seated.clock.advance(4)

    seated.seats.put_sum_chunk(upload, 0, sealed(SEATS[2])[0][0])

    assert seated.progress.quiet(1) == (4, 4)


# -- what others read of sums ----------------------------------------------------------


def test_statements_are_shown_when_they_are_compared_and_not_before():
    """A seat that could read another's would not need to add."""
    seated = Seated(Phase.SUMMING)
    seated.state(SEATS[0])
    for caller in (SITES[3], SEATS[1], AUDITOR):
        with pytest.raises(NotYet, match="not compared"):
            seated.seats.sums(caller, 1)
    seated.state(SEATS[1])
    seated.state(SEATS[2])

    for caller in (SITES[3], SEATS[1], AUDITOR):
        shown = seated.seats.sums(caller, 1)
        assert [list(each.signatures) for each in shown] == [[seat] for seat in SEATS]
        assert shown[0] == signed_by(SEATS[0], seated.statement(SEATS[0]))


def test_a_dispute_shows_statements_and_no_words():
    seated = Seated(Phase.OPENING)
    seated.put(phase=Phase.DISPUTED, disputed=Disagreement(SEATS[:2], 1))

    assert len(seated.seats.sums(AUDITOR, 1)) == 3
    for caller in SITES:
        with pytest.raises(NotYet, match="not opened yet"):
            seated.seats.words(caller, 1, SEATS[0], 0, 0)


@pytest.mark.parametrize("caller", [*SEATS, AUDITOR, "coordinator", "stranger", ""])
def test_no_one_but_trainers_is_given_sealed_words(caller):
    seated = Seated(Phase.OPENING)

    with pytest.raises(WrongIdentity, match="no trainer"):
        seated.seats.words_chunks(caller, 1, SEATS[0], 0)
    with pytest.raises(WrongIdentity):
        seated.seats.words(caller, 1, SEATS[0], 0, 0)


@pytest.mark.parametrize("caller", ["coordinator", "stranger", ""])
def test_strangers_are_shown_no_statements(caller):
    with pytest.raises(WrongIdentity, match="no part"):
        Seated(Phase.OPENING).seats.sums(caller, 1)


@pytest.mark.parametrize("phase", [Phase.SUMMING, Phase.AGGREGATING])
def test_words_wait_for_the_manifest(phase):
    seated = Seated(Phase.OPENING)
    seated.put(phase=phase)

    with pytest.raises(NotYet):
        seated.seats.words(SITES[0], 1, SEATS[0], 0, 0)


def test_nobody_opens_the_sum_of_an_aborted_round():
    seated = Seated(Phase.OPENING)
    seated.put(phase=Phase.ABORTED)

    with pytest.raises(IllegalEvent, match="nobody opens"):
        seated.seats.words(SITES[0], 1, SEATS[0], 0, 0)


def test_a_liars_words_are_not_given_out():
    seated = Seated(Phase.OPENING)
    seated.put(liars=(SEATS[1],))

    with pytest.raises(NotYet, match="no sum that counts"):
        seated.seats.words(SITES[0], 1, SEATS[1], 0, 0)
    assert seated.seats.words(SITES[0], 1, SEATS[2], 0, 0)


@pytest.mark.parametrize("position", [2, 1 << 31, -1])
def test_a_seat_has_two_sums(position):
    with pytest.raises(MalformedMessage, match="two sums"):
        Seated(Phase.OPENING).seats.words(SITES[0], 1, SEATS[0], position, 0)


def test_words_on_their_way_to_an_opener_are_progress_and_to_others_are_not():
    seated = Seated(Phase.OPENING)
    seated.clock.advance(6)
    seated.seats.words(SITES[3], 1, SEATS[0], 0, 0)
    assert seated.progress.quiet(1)[1] == 6

    seated.seats.words(OPENERS[1], 1, SEATS[0], 0, 0)

    assert seated.progress.quiet(1)[1] == 0


def test_words_are_erased_with_the_round():
    seated = Seated(Phase.OPENING)
    seated.put(phase=Phase.DONE)
    assert seated.seats.words(SITES[0], 1, SEATS[0], 0, 0)

    seated.seats.erase(1)

    assert chunks_at(seated) == []
    with pytest.raises(IllegalEvent, match="erased"):
        seated.seats.words(SITES[0], 1, SEATS[0], 0, 0)


# -- scores ----------------------------------------------------------------------------


def test_scores_count_when_all_three_seats_have_signed_the_same():
    seated = Seated(Phase.SUMMING)

    for seat in SEATS:
        with pytest.raises(NotYet):
            seated.seats.scores(1)
        seated.seats.put_scores(seat, signed_by(seat, seated.opened()))

    signed = seated.seats.scores(1)
    assert signed.body == canonical.encode(seated.opened())
    assert list(signed.signatures) == list(SEATS)


def test_scores_that_differ_are_kept_and_do_not_count(capfd):
    seated = Seated(Phase.SUMMING)
    void = seated.opened(scores=(), void="seat-b was away")
    for seat, scores in zip(SEATS, (seated.opened(), void, seated.opened()), strict=True):
        seated.seats.put_scores(seat, signed_by(seat, scores))

    with pytest.raises(NotYet, match="different scores"):
        seated.seats.scores(1)

    assert len(seated.archive.all_of("scores-000001")) == 3
    assert "scores_differ" in "".join(capfd.readouterr())


def test_a_seat_signs_scores_once():
    seated = Seated(Phase.SUMMING)
    for _ in range(2):
        seated.seats.put_scores(SEATS[0], signed_by(SEATS[0], seated.opened()))

    other = seated.opened(scores=(), void="seat-b was away")
    with pytest.raises(ConflictingContribution):
        seated.seats.put_scores(SEATS[0], signed_by(SEATS[0], other))


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"cohort": OTHER}, WrongContext),
        ({"plan": OTHER}, WrongContext),
        ({"federation": "cardiology"}, WrongContext),
        ({"step_log2": 3}, WrongContext),
        ({"round": 2}, NotYet),
        ({"scores": ()}, MalformedMessage),
        ({"scores": tuple(Score(n, "1", "1") for n in reversed(SITES))}, MalformedMessage),
        ({"scores": tuple(Score(n, "1", "1") for n in SITES * 2)}, MalformedMessage),
        ({"void": "seat-b was away"}, MalformedMessage),
        ({"scores": (), "void": "\x07"}, MalformedMessage),
    ],
)
def test_scores_of_something_else_are_refused(other, error):
    seated = Seated(Phase.SUMMING)

    with pytest.raises(error):
        seated.seats.put_scores(SEATS[0], signed_by(SEATS[0], seated.opened(**other)))

    assert seated.archive.all_of("scores-000001") == []


def test_scores_that_the_plan_does_not_ask_for_are_refused():
    seated = Seated(Phase.SUMMING, scheme={"score_step_log2": None})

    with pytest.raises(WrongContext, match="does not ask"):
        seated.seats.put_scores(SEATS[0], signed_by(SEATS[0], seated.opened()))


def test_scores_by_others_or_under_another_key_are_refused():
    seated = Seated(Phase.SUMMING)

    for caller in (SITES[0], AUDITOR):
        with pytest.raises(WrongIdentity):
            seated.seats.put_scores(caller, signed_by(caller, seated.opened()))
    with pytest.raises(InvalidSignature):
        seated.seats.put_scores(SEATS[0], signed_by(SEATS[0], seated.opened(), key=SEATS[1]))


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.JUDGING, Phase.CERTIFYING])
def test_scores_are_taken_of_a_certified_cohort_only(phase):
    seated = Seated(phase)

    with pytest.raises(IllegalEvent, match="no scores"):
        seated.seats.put_scores(SEATS[0], signed_by(SEATS[0], seated.opened()))


# -- a dispute -------------------------------------------------------------------------


@pytest.fixture
def disputed():
    """Seats a and b state different sums of component 1."""
    seated = Seated(Phase.SUMMING)
    first, second = seated.statement(SEATS[0]).sums
    false = SealedWords(second.component, OTHER, second.ciphertext, second.length)
    seated.state(SEATS[0], sums=(first, false))
    seated.state(SEATS[1])
    seated.state(SEATS[2])
    return seated


def test_the_auditors_word_settles_a_dispute(disputed):
    assert disputed.round().phase is Phase.DISPUTED

    for _ in range(2):
        disputed.seats.name_liar(AUDITOR, 1, (SEATS[0],))

    assert disputed.round().phase is Phase.AGGREGATING
    assert disputed.round().liars == (SEATS[0],)


@pytest.mark.parametrize("caller", [SITES[0], SEATS[2], "stranger"])
def test_nobody_but_the_auditor_names_liars(disputed, caller):
    with pytest.raises(WrongIdentity):
        disputed.seats.name_liar(caller, 1, (SEATS[0],))

    assert disputed.round().phase is Phase.DISPUTED


def test_what_is_settled_is_not_settled_again_by_others(disputed):
    disputed.seats.name_liar(AUDITOR, 1, (SEATS[0],))

    for caller in (SITES[0], SEATS[1]):
        with pytest.raises((WrongIdentity, IllegalEvent)):
            disputed.seats.name_liar(caller, 1, (SEATS[0],))


def test_a_seat_outside_the_dispute_is_no_liar(disputed):
    with pytest.raises(IllegalEvent):
        disputed.seats.name_liar(AUDITOR, 1, (SEATS[2],))


def test_a_dispute_that_cannot_be_settled_ends_the_round(disputed):
    disputed.seats.name_liar(AUDITOR, 1, ())

    assert disputed.round().phase is Phase.ABORTED


# -- crashes ---------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["service.before_save", "service.after_save"])
@pytest.mark.parametrize(
    ("phase", "act", "own"),
    [
        (Phase.JUDGING, Seated.judge, "seats.after_verdict"),
        (Phase.CERTIFYING, Seated.certify, "seats.after_certificate"),
        (Phase.SUMMING, Seated.state, "seats.after_statement"),
        (Phase.SUMMING, Seated.state, "seats.after_chunk"),
    ],
)
def test_whatever_a_seat_says_counts_once_wherever_the_coordinator_dies(phase, act, own, place):
    """It says the same again, as it recorded it before it said it first."""
    undisturbed = Seated(phase)
    for seat in SEATS:
        act(undisturbed, seat)

    seated = Seated(phase)
    for seat in SEATS:
        for where in (own, place):
            seated.start(crash_at(where))
            with suppress(Crash):
                act(seated, seat)
        seated.start()
        act(seated, seat)

    assert seated.round() == undisturbed.round()
    assert chunks_at(seated) == chunks_at(undisturbed)
    for kind in ("verdict", "seat-sum", f"cohort-signature-{digest_of(seated.cohort)}"):
        assert seated.store.documents(kind) == undisturbed.store.documents(kind)


@pytest.mark.parametrize(
    ("phase", "act", "place"),
    [
        (Phase.JUDGING, Seated.judge, "seats.after_verdict"),
        (Phase.CERTIFYING, Seated.certify, "seats.after_certificate"),
        (Phase.SUMMING, Seated.state, "seats.after_statement"),
        (Phase.SUMMING, Seated.state, "seats.after_chunk"),
    ],
)
def test_each_of_these_places_is_passed(phase, act, place):
    """Or the test above would let nobody die."""
    seated = Seated(phase)
    seated.start(crash_at(place))

    with pytest.raises(Crash):
        act(seated, SEATS[0])
