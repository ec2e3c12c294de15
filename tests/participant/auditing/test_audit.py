"""Contributions added again: what is asked of their order, and what is found of them."""

import tracemalloc

import pytest

from participant.auditing.audit import Audit
from privacy.errors import CohortTooSmall, MalformedMessage
from privacy.limbs import decode_chunk, encode_chunk
from privacy.records import Fault
from tests.participant import signed_round as made

PLAN = made.plan(auditor="watch")
ROUND = made.Round(PLAN, made.TRAINERS)
LAYOUT = made.PARAMETERS.layout


def audit(of=ROUND):
    return Audit(of.plan, of.cohort)


def fed(at, names=made.TRAINERS, chunks=ROUND.payloads, only=(0, 1)):
    for chunk in only:
        for name in names:
            assert at.take(chunk, name, chunks(name)[chunk]) is None
    return at


def changed(payload, chunk, where, by=1):
    """The same container with one word another, below its modulus still."""
    words = decode_chunk(LAYOUT, chunk, 1, payload)
    words[where] = (int(words[where]) + by) % made.PARAMETERS.modulus
    return encode_chunk(LAYOUT, chunk, words)


def test_the_sum_of_what_was_signed_has_the_manifests_root():
    """The control of all that follows."""
    done = fed(audit())

    assert done.complete
    assert done.spoiled() is None
    assert done.root() == ROUND.sum.root
    assert done.length == sum(len(c) for name in made.TRAINERS for c in ROUND.payloads(name))


@pytest.mark.parametrize(
    ("chunk", "name"), [(1, "amber"), (0, "birch"), (0, "mallory"), (2, "amber")]
)
def test_another_contribution_than_the_next_is_refused(chunk, name):
    """Whose bytes they are hangs on their place in the stream."""
    with pytest.raises(MalformedMessage, match="chunk 0 of amber was due"):
        audit().take(chunk, name, ROUND.payloads("amber")[0])


def test_one_site_twice_is_refused():
    """In the place of another that the coordinator has lost."""
    begun = audit()
    begun.take(0, "amber", ROUND.payloads("amber")[0])

    with pytest.raises(MalformedMessage, match="chunk 0 of birch was due"):
        begun.take(0, "amber", ROUND.payloads("amber")[0])


def test_more_than_the_cohort_has_is_refused():
    """After the last chunk nothing is due."""
    with pytest.raises(MalformedMessage, match="more contributions"):
        fed(audit()).take(2, "amber", ROUND.payloads("amber")[0])


def test_a_chunk_that_came_in_part_comes_again_whole():
    """A stream breaks anywhere: what was added of the chunk is forgotten, what is done is kept."""
    broken = fed(audit(), only=(0,))
    broken.take(1, "amber", ROUND.payloads("amber")[1])
    broken.take(1, "birch", ROUND.payloads("birch")[1])

    broken.drop_incomplete()

    assert broken.chunk == 1
    assert fed(broken, only=(1,)).root() == ROUND.sum.root
    assert broken.spoiled() is None
    assert broken.length == fed(audit()).length


@pytest.mark.parametrize("name", ["amber", "delta"])
@pytest.mark.parametrize("chunk", [0, 1])
def test_bytes_that_a_site_did_not_sign_are_found_and_named(name, chunk):
    """One word of one chunk is another: the site's tree does not lead to its signed root."""

    def chunks(site):
        honest = list(ROUND.payloads(site))
        if site == name:
            honest[chunk] = changed(honest[chunk], chunk, (0, 1, 0, 77))
        return tuple(honest)

    assert fed(audit(), chunks=chunks).spoiled() == Fault(participant=name)


def test_two_sites_exchanged_are_both_not_what_they_signed():
    """The sum stays the same, and the root of no site is that of another."""

    def chunks(site):
        return ROUND.payloads({"amber": "birch", "birch": "amber"}.get(site, site))

    exchanged = fed(audit(), chunks=chunks)

    assert exchanged.root() == ROUND.sum.root
    assert exchanged.spoiled() == Fault(participant="amber")


@pytest.mark.parametrize(
    "payload",
    [b"", b"x", ROUND.payloads("amber")[1], ROUND.payloads("amber")[0][:-1], b"\x00" * 61_482],
)
def test_a_chunk_that_cannot_be_read_is_named(payload):
    """No root can be compared; whose it is and where it stands are said."""
    assert audit().take(0, "amber", payload) == Fault(participant="amber", chunk=0)


def test_a_ciphertext_that_hides_nothing_is_named():
    """Its second polynomial is zero: whoever signed that has signed its update in the clear."""
    words = decode_chunk(LAYOUT, 0, 1, ROUND.payloads("amber")[0])
    words[0, 1] = 0

    found = audit().take(0, "amber", encode_chunk(LAYOUT, 0, words))

    assert found == Fault(participant="amber", chunk=0)


@pytest.mark.parametrize("where", [(0, 0, 0, 0), (0, 0, 0, 4095), (0, 1, 0, 0), (0, 1, 0, 1234)])
@pytest.mark.parametrize("chunk", [0, 1])
def test_the_first_wrong_word_is_found(chunk, where):
    """Chunk, ciphertext, polynomial, modulus, word; what it is and what it should be."""
    right = ROUND.chunks[chunk]
    wrong = changed(right, chunk, where, by=5)
    wrong = changed(wrong, chunk, (0, 1, 0, 4095), by=2)
    done = fed(audit())
    addition = again(done, chunk)

    fault = done.first_difference(chunk, wrong, addition)

    word = int(decode_chunk(LAYOUT, chunk, 1, right)[where])
    assert fault == Fault(
        participant="",
        chunk=chunk,
        ciphertext=where[0],
        polynomial=where[1],
        modulus=where[2],
        word=where[3],
        expected=str(word),
        found=str((word + 5) % made.PARAMETERS.modulus),
    )
    assert done.differs(chunk, wrong)
    assert not done.differs(chunk, right)


def again(done, chunk, names=made.TRAINERS):
    addition = done.again(chunk)
    for name in names:
        addition.add(ROUND.payloads(name)[chunk])
    return addition


def test_a_sum_that_cannot_be_read_is_wrong_as_a_whole():
    """There is no word to name."""
    done = fed(audit())

    assert done.differs(1, b"no container")
    fault = done.first_difference(1, b"no container", again(done, 1))
    assert fault == Fault(participant="", chunk=1)


def test_other_contributions_the_second_time_accuse_no_word():
    """A coordinator could choose which word is said to be wrong."""
    done = fed(audit())

    with pytest.raises(MalformedMessage, match="came again as another"):
        done.first_difference(0, ROUND.chunks[0], again(done, 0, made.OPENERS))
    with pytest.raises(CohortTooSmall):
        done.first_difference(0, ROUND.chunks[0], done.again(0))


class Payload(bytes):
    """Bytes whose end is counted."""

    ended = 0

    def __del__(self):
        Payload.ended += 1


def test_one_contribution_is_held_at_a_time():
    """Whatever the cohort: the running sum, and what has just come."""
    begun, ended = audit(), []
    Payload.ended = 0

    for name in made.TRAINERS:
        begun.take(0, name, Payload(ROUND.payloads(name)[0]))
        ended.append(Payload.ended)

    assert ended == [1, 2, 3, 4]


def test_the_memory_of_an_audit_does_not_grow_with_its_chunks():
    """Digests only: below 1 KiB a chunk for the sum and four sites together."""
    begun = fed(audit(), only=(0,))
    tracemalloc.start()
    try:
        fed(begun, only=(1,))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert grown < 4096
