"""An opener believes nobody: cohort, headers and sum are checked before a sum is opened."""

import msgspec
import numpy as np
import pytest

from participant import reveal as module
from participant.reveal import Frozen
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
from privacy.schemes.ckks import CkksProtector, CkksRevealer, make_cohort_key
from privacy.schemes.ckks_sum import CkksCombiner
from tests.participant import signed_round as made

PLAN = made.plan()
NAMES = made.TRAINERS


@pytest.fixture(scope="module")
def whole():
    return made.Round(PLAN, NAMES)


def check(cohort, headers, manifest, *, plan=PLAN, policy=None, roster=None):
    policy, roster = policy or made.policy(), roster or made.roster()
    return module.check(plan, policy, roster, cohort, headers, manifest)


def replaced(record, **members):
    return msgspec.structs.replace(record, **members)


def revealer():
    return CkksRevealer(made.PARAMETERS, made.DIMENSION, made.cohort_key().secret)


def test_the_opened_sum_is_the_sum(whole):
    """Checked, opened, and equal to the integers that went in."""
    frozen = check(*whole.parts())

    total = module.reveal(PLAN, frozen, revealer(), whole.chunks)

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


@pytest.mark.parametrize("members", [{"round": 2}, {"plan": "1" * 64}, {"key_record": "1" * 64}])
def test_a_header_for_something_else_is_refused(whole, members):
    """Signed by its site, but for another round, plan or key."""
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

    with pytest.raises(CohortTooSmall, match="2 organisations"):
        check(*few.parts())


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
        module.reveal(PLAN, Frozen(whole.cohort, whole.sum), Untouchable(), fewer.chunks)


@pytest.mark.parametrize("chunks", [(), slice(0, 1), slice(0, 2)])
def test_another_number_of_chunks_is_refused(whole, chunks):
    """A cut sum is no sum."""
    shown = () if chunks == () else whole.chunks[chunks]
    shown = (*whole.chunks, whole.chunks[0]) if chunks == slice(0, 2) else shown

    with pytest.raises(MalformedMessage):
        module.reveal(PLAN, Frozen(whole.cohort, whole.sum), Untouchable(), shown)


def test_swapped_chunks_are_refused(whole):
    """Each chunk says its place."""
    with pytest.raises(MalformedMessage):
        module.reveal(PLAN, Frozen(whole.cohort, whole.sum), Untouchable(), whole.chunks[::-1])


class Untouchable:
    """A revealer that must not be reached."""

    def reveal(self, chunk, total, cohort):
        raise AssertionError("a sum was opened before it was checked")


def test_a_contribution_under_another_key_is_found_and_not_attributed():
    """It cannot be told apart before opening; the error says that nobody can be named."""
    other = make_cohort_key(made.PARAMETERS)

    def chunks(name):
        return made.protected(made.update(name), other if name == "delta" else made.cohort_key())

    spoiled = made.Round(PLAN, NAMES, chunks)
    frozen = check(*spoiled.parts())

    with pytest.raises(SumOffGrid, match="cannot be told") as found:
        module.reveal(PLAN, frozen, revealer(), spoiled.chunks)
    assert not any(name in str(found.value) for name in NAMES)


def test_a_value_beyond_what_the_cohort_can_add_up_to_is_refused():
    """A site's protector refuses it; one that encrypts it all the same is found here."""
    largest = made.PARAMETERS.largest_value
    values = np.full(made.DIMENSION, largest, np.int64)
    chunks = made.protected(values, made.cohort_key())
    combiner = CkksCombiner(made.PARAMETERS, made.DIMENSION)
    twice = tuple(combiner.combine(at, [chunk, chunk]) for at, chunk in enumerate(chunks))
    total = made.Round(PLAN, NAMES[:1]).sum
    total = replaced(total, root=made.root_of(twice))
    alone = made.Round(PLAN, NAMES[:1]).cohort

    with pytest.raises(SumOffGrid, match="beyond what 1 sites"):
        module.reveal(PLAN, Frozen(alone, total), revealer(), twice)


def test_a_cohort_beyond_the_parameters_is_refused(whole):
    """Five sites could wrap what four cannot."""
    entries = (*whole.cohort.entries, whole.cohort.entries[0])
    frozen = Frozen(replaced(whole.cohort, entries=entries), whole.sum)

    with pytest.raises(UnsafeParameters):
        module.reveal(PLAN, frozen, revealer(), whole.chunks)


def test_a_single_opener_can_open_a_single_ciphertext_if_the_coordinator_gives_it_one():
    """Not protected, and said so in the threat model: opener and store together open one site.

    Without an auditor a sum is what the coordinator says: this one is delta's update alone.
    """
    lone = CkksProtector(made.PARAMETERS, made.DIMENSION, made.cohort_key().public)
    chunks = tuple(
        lone.protect(at, made.update("delta")[at * 4096 : (at + 1) * 4096]) for at in range(2)
    )
    shown = made.Round(PLAN, NAMES)
    total = replaced(shown.sum, root=made.root_of(chunks))
    frozen = check(*shown.parts()[:2], made.by_coordinator(total))

    assert np.array_equal(module.reveal(PLAN, frozen, revealer(), chunks), made.update("delta"))
