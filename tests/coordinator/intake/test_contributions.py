"""What a trainer sends: counted once, refused when it is not what it must be."""

import numpy as np
import pytest

from coordinator import object_names as names
from coordinator.rounds import round as machine
from coordinator.rounds.state import Phase
from privacy.errors import (
    ConflictingContribution,
    IllegalEvent,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    PeerLedgerRolledBack,
    RootMismatch,
    StoreUnavailable,
    WrongContext,
    WrongIdentity,
)
from privacy.events import Events, Gaussian
from privacy.limbs import pack
from privacy.records import Piece
from privacy.schemes.ckks_parameters import MODULUS_4096
from privacy.schemes.masks import MASK_SECRET_BYTES
from privacy.sealing import SEAL_OVERHEAD
from tests.coordinator import seated_federation as shared
from tests.coordinator.seated_federation import SeatedFederation
from tests.coordinator.seated_round import SEATS
from tests.fakes import (
    ABANDON_SECONDS,
    LAYOUT,
    OPENERS,
    PROGRESS_SECONDS,
    SITES,
    Crash,
    chunk_of,
    contribution,
    crash_at,
    ledger_of,
    mask_seals,
    named_seals,
    seed_of,
    signed_by,
)

OTHER_DIGEST = "ee" * 32
SEAL_BYTES = SEAL_OVERHEAD + MASK_SECRET_BYTES


def one_piece(recipient, scheme, chunks, length):
    return {"pieces": (Piece(recipient, scheme, OTHER_DIGEST, chunks, length),)}


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"key_record": OTHER_DIGEST}, WrongContext),
        ({"plan": OTHER_DIGEST}, WrongContext),
        ({"federation": "cardiology"}, WrongContext),
        ({"claim": Events(Gaussian("1"), Gaussian("1"))}, WrongContext),
        ({"participant": SITES[1]}, WrongIdentity),
        ({"round": 2}, NotYet),
        ({"pieces": ()}, MalformedMessage),
        (
            {"pieces": (Piece("coordinator", "plain/1", OTHER_DIGEST, 2, 122_968),)},
            MalformedMessage,
        ),
        (one_piece("hospital-b", "ckks/1", 2, 122_968), MalformedMessage),
        (one_piece("coordinator", "ckks/1", 3, 122_968), MalformedMessage),
        (one_piece("coordinator", "ckks/1", 2, 1 << 40), MalformedMessage),
    ],
)
def test_a_header_of_something_else_is_refused_at_the_door(opened, other, error):
    with pytest.raises(error):
        opened.begin(SITES[0], **other)

    assert opened.store.uploads(1) == []


def test_a_header_of_the_round_before_is_refused_in_the_next(added_up):
    """A replay: signed by the right key, for a round that was."""
    added_up.finish()
    added_up.open_round(2)
    plan = added_up.service.plan(1)[0]
    old, seals = contribution(plan, SITES[0], "x"), mask_seals(plan, "x")

    with pytest.raises(IllegalEvent):
        added_up.service.contributions.begin(SITES[0], signed_by(SITES[0], old), seals)


@pytest.mark.parametrize("signer", [SITES[1], "nobody", "coordinator"])
def test_a_header_signed_by_another_key_is_refused(opened, signer):
    header = contribution(opened.service.plan(1)[0], SITES[0])

    with pytest.raises(InvalidSignature):
        opened.service.contributions.begin(SITES[0], signed_by(SITES[0], header, key=signer), ())


def test_the_certificate_says_who_sends_not_the_message(opened):
    """A well-signed header of one hospital, sent under the certificate of another."""
    header = contribution(opened.service.plan(1)[0], SITES[0])

    with pytest.raises(InvalidSignature):
        opened.service.contributions.begin(SITES[1], signed_by(SITES[0], header), ())


def not_below_its_modulus():
    chunk = bytearray(chunk_of(seed_of(SITES[0], 1), 0))
    start = LAYOUT.header_bytes
    chunk[start : start + 15] = pack(np.array([MODULUS_4096, 1], np.uint64), 60)
    return bytes(chunk)


@pytest.mark.parametrize(
    ("chunk", "why"),
    [
        (not_below_its_modulus(), "below its modulus"),
        (chunk_of("x", 0)[:-1], "bytes"),
        (chunk_of("x", 0) + b"\x00", "bytes"),
        (b"", "bytes"),
        (chunk_of("x", 1), "chunk index"),
        (b"XXXX" + chunk_of("x", 0)[4:], "marker"),
    ],
)
def test_a_chunk_that_is_not_canonical_is_refused_and_not_kept(opened, chunk, why):
    opened.begin(SITES[0])

    with pytest.raises(MalformedMessage, match=why):
        opened.service.contributions.put_chunk(SITES[0], 1, 0, 0, chunk)

    assert opened.objects.names(f"{names.contribution(1, SITES[0])}/0") == []
    assert opened.service.contributions.offset(SITES[0], 1).chunks == (0,)


def test_chunks_that_are_not_those_signed_do_not_count(opened):
    opened.begin(SITES[0], roots=[b"\x01" * 32, b"\x02" * 32])
    opened.put(SITES[0])

    with pytest.raises(RootMismatch, match="send the chunks that were signed"):
        opened.service.contributions.commit(SITES[0], 1)

    assert opened.round().committed == ()


def test_a_second_different_contribution_is_refused_and_recorded(opened):
    opened.contribute(SITES[0])

    with pytest.raises(ConflictingContribution):
        opened.begin(SITES[0], seed="another update")

    (refusal,) = opened.store.refusals(1)
    assert (refusal.participant, refusal.what) == (SITES[0], "contribution")
    assert refusal.at == opened.clock.at
    assert len(opened.round().committed) == 1


def test_other_bytes_at_the_same_place_are_refused_and_recorded(opened):
    opened.begin(SITES[0])
    opened.put(SITES[0])

    with pytest.raises(ConflictingContribution):
        opened.service.contributions.put_chunk(SITES[0], 1, 0, 0, chunk_of("another update", 0))

    assert [refusal.what for refusal in opened.store.refusals(1)] == ["chunk 0/0"]


@pytest.mark.parametrize(("piece", "chunk"), [(0, 1), (0, -1), (1, 0), (-1, 0), (0, 1 << 40)])
def test_a_chunk_out_of_order_is_refused(opened, piece, chunk):
    opened.begin(SITES[0])

    with pytest.raises(MalformedMessage, match="not the next"):
        opened.service.contributions.put_chunk(
            SITES[0], 1, piece, chunk, chunk_of(seed_of(SITES[0], 1), 0)
        )


def test_a_chunk_without_a_header_is_refused(opened):
    with pytest.raises(NotYet, match="has begun no contribution"):
        opened.put(SITES[0])


def test_a_commit_with_missing_chunks_is_refused(opened):
    opened.begin(SITES[0])
    opened.put(SITES[0], chunks=1)

    with pytest.raises(NotYet, match="1 of 2 chunks"):
        opened.service.contributions.commit(SITES[0], 1)


def test_a_late_chunk_and_a_late_commit_are_refused(opened):
    for name in SITES[:3]:
        opened.contribute(name)
    opened.begin(SITES[3])
    opened.put(SITES[3])
    opened.clock.advance(PROGRESS_SECONDS)
    opened.tick()

    with pytest.raises(IllegalEvent):
        opened.put(SITES[3])
    with pytest.raises(IllegalEvent):
        opened.service.contributions.commit(SITES[3], 1)
    with pytest.raises(IllegalEvent):
        opened.begin(SITES[3])


def test_an_aborted_round_takes_no_more_bytes_and_keeps_none(opened):
    opened.begin(SITES[0])
    opened.put(SITES[0], chunks=1)
    opened.clock.advance(ABANDON_SECONDS)
    opened.tick()

    with pytest.raises(IllegalEvent):
        opened.put(SITES[0])

    assert opened.round().phase is Phase.ABORTED
    assert opened.objects.names(names.contributions(1)) == []


@pytest.mark.parametrize("late", ["chunk", "seals"])
def test_what_is_on_its_way_when_a_round_ends_is_not_kept(opened, monkeypatch, late):
    """The round ends, and is erased, between the look at its phase and the bytes on disk."""
    if late == "chunk":
        opened.begin(SITES[0])
    put = opened.objects.put

    def ends_first(name, data):
        monkeypatch.undo()
        opened.clock.advance(ABANDON_SECONDS)
        opened.tick()
        assert opened.round().phase is Phase.ABORTED
        put(name, data)

    monkeypatch.setattr(opened.objects, "put", ends_first)
    with pytest.raises(IllegalEvent):
        opened.put(SITES[0], chunks=1) if late == "chunk" else opened.begin(SITES[0])

    assert opened.objects.names(names.contributions(1)) == []


# -- the seals of its mask ---------------------------------------------------------------


def kept_seals(federation):
    """Return the seals of the first site's mask that are kept, by the name they are kept under."""
    folder = f"{names.contribution(1, SITES[0])}/masks"
    return {name: federation.objects.get(name) for name in federation.objects.names(folder)}


def its_seals(federation):
    """Return the same as it must be."""
    seals = mask_seals(federation.service.plan(1)[0], seed_of(SITES[0], 1))
    kept = zip(OPENERS, seals, strict=True)
    return {names.sealed_mask(1, SITES[0], opener): sealed for opener, sealed in kept}


@pytest.mark.parametrize(
    "change",
    [
        lambda seals: seals[:-1],
        lambda seals: (),
        lambda seals: (*seals, seals[0]),
        lambda seals: seals[::-1],
        lambda seals: (seals[0], seals[0], seals[2]),
        lambda seals: (*seals[:2], b""),
        lambda seals: (*seals[:2], seals[2][:-1]),
        lambda seals: (*seals[:2], seals[2] + b"\x00"),
        lambda seals: (bytes([seals[0][0] ^ 1]) + seals[0][1:], *seals[1:]),
    ],
    ids=["fewer", "none", "more", "order", "twice", "empty", "short", "long", "bit"],
)
def test_seals_that_the_header_does_not_name_are_refused_at_the_door(opened, change):
    seals = mask_seals(opened.service.plan(1)[0], seed_of(SITES[0], 1))

    with pytest.raises(MalformedMessage, match="not the sealed masks"):
        opened.begin(SITES[0], seals=change(seals))

    assert opened.store.uploads(1) == []
    assert opened.objects.names(names.contributions(1)) == []


@pytest.mark.parametrize("length", [0, 31, 1167, 1169, 1 << 20])
def test_seals_of_a_length_that_no_seal_has_are_refused_although_signed(opened, length):
    """A member is given no room for anything else in the coordinator's store."""
    seals = tuple(bytes([at]) * length for at in range(3))

    with pytest.raises(MalformedMessage, match="1168 bytes"):
        opened.begin(SITES[0], seals=seals, masks=named_seals(OPENERS, seals))

    assert opened.store.uploads(1) == []
    assert opened.objects.names(names.contributions(1)) == []


@pytest.mark.parametrize(
    "openers",
    [(), OPENERS[:2], OPENERS[::-1], (*OPENERS[:2], SITES[3]), (*OPENERS, SITES[3])],
    ids=["none", "fewer", "order", "another", "more"],
)
def test_a_mask_sealed_to_others_than_the_plans_openers_is_refused(opened, openers):
    """One opener too few could open no sum; one too many is a stranger who can."""
    seals = tuple(bytes([at]) * SEAL_BYTES for at in range(len(openers)))

    with pytest.raises(MalformedMessage, match="others than the plan's openers"):
        opened.begin(SITES[0], seals=seals, masks=named_seals(openers, seals))

    assert opened.store.uploads(1) == []
    assert opened.objects.names(names.contributions(1)) == []


def test_a_crash_between_an_upload_and_its_seals_is_mended_by_beginning_again(opened):
    """The row is there, the seals are not: what has come so far does not count."""
    opened.start(crash_at("accept.before_masks"))
    with pytest.raises(Crash):
        opened.begin(SITES[0])
    opened.start()
    assert kept_seals(opened) == {}
    opened.put(SITES[0])
    with pytest.raises(NotYet, match="sealed secrets are not here; begin again"):
        opened.service.contributions.commit(SITES[0], 1)
    assert opened.round().committed == ()
    assert not opened.store.upload(1, SITES[0]).committed

    offset = opened.begin(SITES[0])

    assert (offset.chunks, offset.committed) == ((2,), False)
    opened.service.contributions.commit(SITES[0], 1)
    assert kept_seals(opened) == its_seals(opened)


def test_a_disk_that_is_full_in_the_middle_of_the_seals_is_mended_too(opened, monkeypatch):
    def full(name, data):
        if name.endswith(OPENERS[1]):
            raise StoreUnavailable("the disk is full")
        put(name, data)

    put = opened.objects.put
    with monkeypatch.context() as broken:
        broken.setattr(opened.objects, "put", full)
        with pytest.raises(StoreUnavailable):
            opened.begin(SITES[0])
    opened.put(SITES[0])
    with pytest.raises(NotYet, match="begin again"):
        opened.service.contributions.commit(SITES[0], 1)

    opened.contribute(SITES[0])

    assert kept_seals(opened) == its_seals(opened)
    assert len(opened.round().committed) == 1


@pytest.mark.parametrize("committed", [False, True])
def test_the_same_begin_again_changes_nothing(opened, committed):
    if committed:
        opened.contribute(SITES[0])
    first = opened.begin(SITES[0])
    before = opened.store.upload(1, SITES[0]), kept_seals(opened), opened.round()

    again = opened.begin(SITES[0])

    assert again == first
    assert (opened.store.upload(1, SITES[0]), kept_seals(opened), opened.round()) == before
    assert kept_seals(opened) == its_seals(opened)
    assert opened.store.refusals(1) == []


def test_a_second_contribution_replaces_no_seal(opened):
    opened.begin(SITES[0])

    with pytest.raises(ConflictingContribution):
        opened.begin(SITES[0], seed="another update")

    assert kept_seals(opened) == its_seals(opened)
    assert [refusal.what for refusal in opened.store.refusals(1)] == ["contribution"]


def test_the_same_update_under_another_mask_is_another_contribution(opened):
    """Its header is another one: openers would look for the first one's seals in vain."""
    opened.begin(SITES[0])

    with pytest.raises(ConflictingContribution):
        opened.begin(SITES[0], mask=OTHER_DIGEST)


@pytest.mark.parametrize("ends", ["done", "aborted"])
def test_a_begin_after_the_round_brings_no_seal_back(added_up, ends):
    """A site that lost its receipt begins again, and finds all that there is to find."""
    if ends == "done":
        added_up.finish()
    else:
        added_up.clock.advance(ABANDON_SECONDS)
    added_up.tick()
    assert added_up.round().phase == ends
    receipt = added_up.service.contributions.commit(SITES[0], 1)

    assert added_up.begin(SITES[0]).committed
    assert added_up.service.contributions.commit(SITES[0], 1) == receipt

    assert added_up.objects.names(names.contributions(1)) == []


# -- under shares ----------------------------------------------------------------------


@pytest.fixture
def seated():
    federation = SeatedFederation()
    federation.open_round()
    return federation


def begin_shared(federation, name=SITES[0], parts=None, masks=(), **other):
    """Let a site begin an upload in shares, with other seals than it names if given."""
    plan, _ = federation.service.plan(1)
    signed = signed_by(name, shared.header(plan, name, **other))
    parts = shared.parts(plan, name) if parts is None else parts
    return federation.service.contributions.begin(name, signed, masks, parts)


def test_a_contribution_in_shares_is_kept_with_its_seals_and_counts(seated):
    plan, _ = seated.service.plan(1)

    seated.contribute(SITES[0])

    (entry,) = seated.round().committed
    assert entry.roots == (shared.header(plan, SITES[0]).pieces[0].root,)
    kept = [seated.objects.get(names.sealed_part(1, SITES[0], seat)) for seat in SEATS]
    assert tuple(kept) == shared.parts(plan, SITES[0])


@pytest.mark.parametrize("change", [lambda p: p[:-1], lambda p: p + b"x", lambda p: b""])
def test_a_chunk_of_shares_of_another_length_is_refused(seated, change):
    """What it hides cannot be told; how long it is, the plan says."""
    plan, _ = seated.service.plan(1)
    begin_shared(seated)

    with pytest.raises(MalformedMessage, match="bytes, expected"):
        seated.service.contributions.put_chunk(
            SITES[0], 1, 0, 0, change(shared.payload(plan, SITES[0], 0))
        )


def test_chunks_of_shares_that_were_not_signed_are_not_counted(seated):
    plan, _ = seated.service.plan(1)
    begin_shared(seated)
    for at in range(2):
        payload = shared.payload(plan, SITES[1], at)
        seated.service.contributions.put_chunk(SITES[0], 1, 0, at, payload)

    with pytest.raises(RootMismatch):
        seated.service.contributions.commit(SITES[0], 1)


@pytest.mark.parametrize("seals", [{"parts": ()}, {"masks": (b"mask",)}])
def test_shares_come_with_their_seals_and_no_others(seated, seals):
    with pytest.raises(MalformedMessage, match="not the sealed parts"):
        begin_shared(seated, **seals)

    assert seated.store.upload(1, SITES[0]) is None


def test_a_second_contribution_in_shares_is_refused(seated):
    begin_shared(seated)

    with pytest.raises(ConflictingContribution):
        begin_shared(seated, roots=("0" * 64,) * 3)


def test_shares_count_only_with_every_seal(seated):
    """A seat without its secrets could not judge, and would refuse everybody."""
    plan, _ = seated.service.plan(1)
    seated.start(crash_at("accept.before_masks"))
    with pytest.raises(Crash):
        begin_shared(seated)
    seated.start()
    for at in range(2):
        payload = shared.payload(plan, SITES[0], at)
        seated.service.contributions.put_chunk(SITES[0], 1, 0, at, payload)
    with pytest.raises(NotYet, match="begin again"):
        seated.service.contributions.commit(SITES[0], 1)

    begin_shared(seated)
    seated.service.contributions.commit(SITES[0], 1)

    assert len(seated.round().committed) == 1


def test_a_ckks_round_takes_no_seals_for_seats(opened):
    plan, _ = opened.service.plan(1)
    signed = signed_by(SITES[0], contribution(plan, SITES[0]))
    masks = mask_seals(plan, seed_of(SITES[0], 1))

    with pytest.raises(MalformedMessage, match="not the sealed masks"):
        opened.service.contributions.begin(SITES[0], signed, masks, (b"part",))


# -- ledgers that only grow ----------------------------------------------------------


@pytest.mark.parametrize("rows", [9, 10])
def test_a_header_of_an_older_ledger_is_refused_and_the_site_is_told(opened, rows):
    """The round before was aborted; what was sent for it is spent. More rows are taken."""
    opened.begin(SITES[0])
    opened.service.rounds.apply(1, machine.Abandoned("over"))
    plan = opened.open_round(2)
    old, new = (ledger_of(SITES[0], 2, each) for each in (rows, 11))

    with pytest.raises(PeerLedgerRolledBack, match=f"{SITES[0]}: its header for round 1"):
        opened.begin(SITES[0], 2, ledger=old)

    assert opened.store.upload(2, SITES[0]) is None
    opened.begin(SITES[0], 2, ledger=new)
    assert plan.terms.round == 2


def test_a_site_is_shown_its_own_newest_header(opened):
    """As it has signed it, so that it believes itself and not the coordinator."""
    contributions = opened.service.contributions
    opened.begin(SITES[0])

    newest = contributions.newest(SITES[0])

    assert newest == signed_by(SITES[0], contribution(opened.service.plan(1)[0], SITES[0]))
    assert contributions.newest(SITES[1]) is None
