"""An opener believes nobody: cohort, headers and sum are checked before a sum is opened."""

import msgspec
import numpy as np
import pytest

from participant.opening import reveal as module
from participant.opening.frozen import Frozen
from privacy.documents import Signed
from privacy.errors import (
    CohortTooSmall,
    InvalidSignature,
    MalformedMessage,
    RootMismatch,
    SumOffGrid,
    UnsafeParameters,
    WrongContext,
    WrongIdentity,
)
from privacy.records import digest_of
from privacy.schemes.ckks import make_cohort_key
from privacy.schemes.ckks_sum import CkksCombiner
from tests.participant import signed_round as made

PLAN = made.plan()
NAMES = made.TRAINERS
UPDATE = made.update("delta")


@pytest.fixture(scope="module")
def whole():
    return made.Round(PLAN, NAMES)


def check(cohort, headers, manifest, *, plan=PLAN, policy=None, roster=None):
    policy, roster = policy or made.policy(), roster or made.roster()
    return module.check(plan, policy, roster, cohort, headers, manifest, {})


def replaced(record, **members):
    return msgspec.structs.replace(record, **members)


def opened(*arguments):
    return np.concatenate(list(module.reveal(*arguments)))


def test_the_opened_sum_is_the_sum(whole):
    """Checked, opened, and equal to the integers that went in."""
    frozen = check(*whole.parts())

    total = opened(PLAN, frozen, whole.revealer(), whole.chunks)

    assert frozen == Frozen(whole.cohort, whole.sum)
    assert np.array_equal(total, sum(made.update(name) for name in NAMES))


def test_a_cohort_signed_by_another_key_is_refused(whole):
    """A member is no coordinator."""
    _, headers, manifest = whole.parts()
    forged = made.by_coordinator(whole.cohort, made.keys("delta").signing)

    with pytest.raises(InvalidSignature):
        check(forged, headers, manifest)


def test_a_sum_signed_by_another_key_is_refused(whole):
    """Neither for the sum."""
    cohort, headers, _ = whole.parts()

    with pytest.raises(InvalidSignature):
        check(cohort, headers, made.by_coordinator(whole.sum, made.keys("delta").signing))


def test_a_cohort_passed_off_as_a_sum_is_refused(whole):
    """Each signature is for one kind of document."""
    cohort, headers, manifest = whole.parts()

    with pytest.raises(InvalidSignature):
        check(cohort, headers, Signed(manifest.body, cohort.signatures))


def test_the_sum_of_another_cohort_is_refused(whole):
    """Three sites' sum under four sites' cohort: the difference is one site's update."""
    fewer = made.Round(PLAN, NAMES[:3])
    cohort, headers, _ = whole.parts()

    with pytest.raises(WrongContext, match="another cohort"):
        check(cohort, headers, made.by_coordinator(fewer.sum))


def test_a_sum_of_another_number_is_refused(whole):
    """The bound n times clip is only as good as n."""
    cohort, headers, _ = whole.parts()

    with pytest.raises(WrongContext, match="another cohort"):
        check(cohort, headers, made.by_coordinator(replaced(whole.sum, contributions=3)))


@pytest.mark.parametrize("members", [{"round": 2}, {"plan": "1" * 64}, {"federation": "other"}])
def test_a_cohort_of_another_round_or_plan_is_refused(whole, members):
    """Nor a sum: both are signed for one plan."""
    cohort, headers, manifest = whole.parts()

    with pytest.raises(WrongContext):
        check(made.by_coordinator(replaced(whole.cohort, **members)), headers, manifest)
    with pytest.raises(WrongContext):
        check(cohort, headers, made.by_coordinator(replaced(whole.sum, **members)))


def test_a_header_that_its_site_did_not_sign_is_refused(whole):
    """The coordinator cannot add a site by itself."""
    cohort, headers, manifest = whole.parts()
    forged = Signed(headers[3].body, {"delta": headers[2].signatures["cedar"]})

    with pytest.raises(InvalidSignature):
        check(cohort, [*headers[:3], forged], manifest)
    with pytest.raises(InvalidSignature):
        check(cohort, [*headers[:3], Signed(headers[3].body, {})], manifest)


def test_duplicate_sites_are_refused(whole):
    """A site twice would count as two, and halve what hides the others."""
    entries = (whole.cohort.entries[0], *whole.cohort.entries[:3])
    headers = [whole.headers[0], *whole.headers[:3]]
    cohort = replaced(whole.cohort, entries=entries)
    total = replaced(whole.sum, cohort=digest_of(cohort))

    with pytest.raises(MalformedMessage, match="twice"):
        check(made.by_coordinator(cohort), headers, made.by_coordinator(total))


def test_a_missing_header_is_refused(whole):
    """Every entry is checked, or none counts."""
    cohort, headers, manifest = whole.parts()

    with pytest.raises(MalformedMessage):
        check(cohort, headers[:3], manifest)


def test_roots_that_a_site_did_not_sign_are_refused(whole):
    """The coordinator swaps what is summed for one site."""
    entry = replaced(whole.cohort.entries[0], roots=("2" * 64,))
    cohort = replaced(whole.cohort, entries=(entry, *whole.cohort.entries[1:]))
    total = replaced(whole.sum, cohort=digest_of(cohort))

    with pytest.raises(WrongContext, match="not what it signed"):
        check(made.by_coordinator(cohort), whole.headers, made.by_coordinator(total))


@pytest.mark.parametrize(
    "members",
    [{"round": 2}, {"plan": "1" * 64}, {"key_record": "1" * 64}, {"federation": "other"}],
)
def test_a_header_for_something_else_is_refused(whole, members):
    """Signed by its site, but for another round, plan, key or federation."""
    header = replaced(made.header_of(PLAN, "amber"), **members)
    signed = made.signed_by(header, "amber")
    entry = replaced(whole.cohort.entries[0], contribution=digest_of(header))
    cohort = replaced(whole.cohort, entries=(entry, *whole.cohort.entries[1:]))
    total = replaced(whole.sum, cohort=digest_of(cohort))
    shown = made.by_coordinator(cohort), [signed, *whole.headers[1:]], made.by_coordinator(total)

    with pytest.raises(WrongContext, match="not what it signed"):
        check(*shown)


def test_a_cohort_below_the_minimum_is_refused():
    """Two sites: each would see the other's update."""
    few = made.Round(PLAN, NAMES[:2])

    with pytest.raises(CohortTooSmall, match="a cohort of 2"):
        check(*few.parts())


def test_a_cohort_below_the_quorum_is_refused():
    """A number that everybody has signed: a coordinator drops no site below it."""
    plan = made.plan(quorum=4)
    few = made.Round(plan, NAMES[:3])

    with pytest.raises(CohortTooSmall, match="quorum of 4"):
        check(*few.parts(), plan=plan)


def test_sybils_of_one_organisation_count_once():
    """Four names, two organisations."""
    roster = made.roster_with(birch="amber hospital", cedar="amber hospital")
    plan = made.plan(roster=roster.digest())
    sybils = made.Round(plan, NAMES)

    with pytest.raises(CohortTooSmall, match="2 organisations"):
        check(*sybils.parts(), plan=plan, roster=roster)


def test_a_member_that_does_not_train_hides_nobody():
    """An auditor in the cohort would be one organisation more than there is."""
    of = made.plan()
    header = made.header_of(of, "amber")
    header = replaced(header, participant="watch")
    padded = made.Round(of, NAMES[:2])
    entry = replaced(padded.cohort.entries[0], participant="watch", contribution=digest_of(header))
    cohort = replaced(padded.cohort, entries=(*padded.cohort.entries, entry))
    total = replaced(padded.sum, cohort=digest_of(cohort), contributions=3)
    headers = [*padded.headers, made.signed_by(header, "watch")]

    with pytest.raises(WrongIdentity, match="watch is no trainer"):
        check(made.by_coordinator(cohort), headers, made.by_coordinator(total), plan=of)


def test_a_plan_with_an_auditor_needs_its_signature_on_the_sum():
    """Without it the coordinator alone says what was added."""
    plan = made.plan(auditor="watch")
    audited = made.Round(plan, NAMES)
    cohort, headers, manifest = audited.parts()
    countersigned = made.signed_by(audited.sum, "watch")

    with pytest.raises(InvalidSignature):
        check(cohort, headers, manifest, plan=plan)
    both = Signed(manifest.body, {**manifest.signatures, **countersigned.signatures})
    assert check(cohort, headers, both, plan=plan).sum == audited.sum


def test_chunks_of_another_root_are_refused_unopened(whole):
    """What is opened is what the manifest names."""
    fewer = made.Round(PLAN, NAMES[:3])

    with pytest.raises(RootMismatch):
        opened(PLAN, Frozen(whole.cohort, whole.sum), Untouchable(), fewer.chunks)


@pytest.mark.parametrize("chunks", [(), slice(0, 1), slice(0, 2)])
def test_another_number_of_chunks_is_refused(whole, chunks):
    """A cut sum is no sum."""
    shown = () if chunks == () else whole.chunks[chunks]
    shown = (*whole.chunks, whole.chunks[0]) if chunks == slice(0, 2) else shown

    with pytest.raises(MalformedMessage):
        opened(PLAN, Frozen(whole.cohort, whole.sum), Untouchable(), shown)


def test_swapped_chunks_are_refused(whole):
    """Each chunk says its place."""
    with pytest.raises(MalformedMessage):
        opened(PLAN, Frozen(whole.cohort, whole.sum), Untouchable(), whole.chunks[::-1])


class Untouchable:
    """A revealer that must not be reached."""

    def reveal(self, chunk, total, cohort):
        raise AssertionError("a sum was opened before it was checked")


def test_a_contribution_under_another_key_is_found_and_not_attributed():
    """It cannot be told apart before opening; the error says that nobody can be named."""
    other = make_cohort_key(made.PARAMETERS)

    def chunks(name):
        pair = other if name == "delta" else made.cohort_key()
        return made.protected(made.update(name), pair, made.mask(name))

    spoiled = made.Round(PLAN, NAMES, chunks)
    frozen = check(*spoiled.parts())

    with pytest.raises(SumOffGrid, match="cannot be told") as found:
        opened(PLAN, frozen, spoiled.revealer(), spoiled.chunks)
    assert not any(name in str(found.value) for name in NAMES)


def test_a_value_beyond_what_the_cohort_can_add_up_to_is_refused():
    """A site's protector refuses it; one that encrypts it all the same is found here."""
    largest = made.PARAMETERS.largest_value
    values = np.full(made.DIMENSION, largest, np.int64)
    masked, plain = (
        made.protected(values, made.cohort_key(), mask)
        for mask in (made.mask("amber"), made.NoMask())
    )
    combiner = CkksCombiner(made.PARAMETERS, made.DIMENSION)
    twice = tuple(
        combiner.combine(at, both) for at, both in enumerate(zip(masked, plain, strict=True))
    )
    total = made.Round(PLAN, NAMES[:1]).sum
    total = replaced(total, root=made.root_of(twice))
    alone = made.Round(PLAN, NAMES[:1]).cohort

    with pytest.raises(SumOffGrid, match="beyond what 1 sites"):
        opened(PLAN, Frozen(alone, total), made.revealer(NAMES[:1]), twice)


def test_a_cohort_beyond_the_parameters_is_refused(whole):
    """Five sites could wrap what four cannot."""
    entries = (*whole.cohort.entries, whole.cohort.entries[0])
    frozen = Frozen(replaced(whole.cohort, entries=entries), whole.sum)

    with pytest.raises(UnsafeParameters):
        opened(PLAN, frozen, made.revealer((*NAMES, NAMES[0])), whole.chunks)


def test_another_number_of_masks_than_the_cohorts_is_refused(whole):
    """One too few would open nothing; that it is the opener's own mistake is said."""
    frozen = Frozen(whole.cohort, whole.sum)

    with pytest.raises(UnsafeParameters, match="3 masks for a cohort of 4"):
        opened(PLAN, frozen, made.revealer(NAMES[:3]), whole.chunks)


def one_site_as_the_sum():
    """Delta's ciphertexts alone, under a manifest that the coordinator signs for four sites."""
    shown, chunks = made.Round(PLAN, NAMES), made.payloads("delta")
    total = replaced(shown.sum, root=made.root_of(chunks))
    return check(*shown.parts()[:2], made.by_coordinator(total)), chunks


def test_one_sites_ciphertext_does_not_open_as_the_cohorts_sum():
    """Without an auditor, every check passes; the masks of the other three do not fit."""
    frozen, chunks = one_site_as_the_sum()

    with pytest.raises(SumOffGrid):
        opened(PLAN, frozen, made.revealer(NAMES), chunks)


def test_without_masks_one_sites_ciphertext_opens_as_the_cohorts_sum():
    """The control: it is the masks that refuse it, and nothing else."""
    with made.without_masks():
        frozen, chunks = one_site_as_the_sum()

        assert np.array_equal(opened(PLAN, frozen, made.revealer(NAMES), chunks), UPDATE)


def test_an_opener_that_leaves_the_protocol_opens_what_the_coordinator_gives_it():
    """Not protected, and said so in the threat model: opener and store together open one site.

    An opener has every site's mask. One that takes off delta's alone opens delta's ciphertext.
    """
    leaving, chunks = made.revealer(["delta"]), made.payloads("delta")

    alone = [leaving.reveal(at, chunk, 1) for at, chunk in enumerate(chunks)]

    assert np.array_equal(np.concatenate(alone), UPDATE)


@pytest.mark.parametrize("bad", [0, 1])
def test_every_chunk_is_opened_before_a_sum_is_refused(whole, bad):
    """How long an opener takes to refuse does not say which chunk was off the grid."""
    opened = []

    class Off:
        def reveal(self, chunk, total, cohort):
            opened.append(chunk)
            if chunk == bad:
                raise SumOffGrid(f"chunk {chunk}")
            return np.ones(PLAN.parameters().geometry(made.DIMENSION).values_in(chunk), int)

    given = module.reveal(PLAN, check(*whole.parts()), Off(), whole.chunks)

    with pytest.raises(SumOffGrid, match=f"chunk {bad}"):
        list(given)
    assert opened == [0, 1]
