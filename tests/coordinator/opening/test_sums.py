"""Cohorts and sums: to whom they are given, and what only the auditor may do."""

import pytest

from coordinator import object_names as names
from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.sql.store import open_store
from coordinator.rounds.state import Phase
from privacy.documents import check_signer
from privacy.errors import (
    IllegalEvent,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    WrongIdentity,
)
from privacy.identifiers import COORDINATOR
from privacy.signing import Purpose, sign
from tests.fakes import (
    ABANDON_SECONDS,
    AUDITOR,
    OPENERS,
    PROGRESS_SECONDS,
    SITES,
    Crash,
    Federation,
    chunk_of,
    crash_at,
    make_settings,
    mask_seals,
    seed_of,
    signing_key,
)


def handed_out(federation, caller):
    """Return what of round 1 a caller is given now, by name; what is refused, by its error."""
    sums = federation.service.sums
    asked = {
        "cohort": lambda: sums.cohort(caller, 1),
        "manifest": lambda: sums.manifest(caller, 1),
        "sum": lambda: sums.chunk(caller, 1, 0),
        "masks": lambda: sums.masks(caller, 1),
        "list": lambda: list(sums.to_audit(caller, 1, 0)),
        "contribution": lambda: sums.contribution(caller, 1, SITES[0], 0),
    }
    found = {}
    for name, ask in asked.items():
        try:
            ask()
            found[name] = "given"
        except (NotYet, IllegalEvent, WrongIdentity) as error:
            found[name] = type(error).__name__
    return found


def answers(cohort, manifest, total, masks, listed, contribution):
    """Return the same, as a row of a table."""
    return {
        "cohort": cohort,
        "manifest": manifest,
        "sum": total,
        "masks": masks,
        "list": listed,
        "contribution": contribution,
    }


EARLY, LATE, NOBODY = "NotYet", "IllegalEvent", "WrongIdentity"
NOT_YOURS = (NOBODY, NOBODY)

# -- who is given what, and when -------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (AUDITOR, answers("given", "given", "given", NOBODY, "given", "given")),
        (OPENERS[0], answers(EARLY, EARLY, EARLY, EARLY, *NOT_YOURS)),
        (SITES[3], answers(EARLY, NOBODY, NOBODY, NOBODY, *NOT_YOURS)),
        ("another-auditor", answers(EARLY, NOBODY, NOBODY, NOBODY, *NOT_YOURS)),
    ],
)
def test_while_the_auditor_is_at_work_nobody_else_is_given_anything(audited, caller, expected):
    assert handed_out(audited, caller) == expected


@pytest.mark.parametrize("over", [False, True])
@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (AUDITOR, answers("given", "given", "given", NOBODY, LATE, LATE)),
        (OPENERS[0], answers("given", "given", "given", "given", *NOT_YOURS)),
        (SITES[3], answers("given", NOBODY, NOBODY, NOBODY, *NOT_YOURS)),
    ],
)
def test_the_countersignature_opens_the_sum_and_ends_the_audit(audited, caller, expected, over):
    """Single contributions are handed to nobody who has no more to do with them."""
    audited.countersign()
    if over:
        audited.finish()

    assert handed_out(audited, caller) == expected


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (AUDITOR, answers("given", LATE, LATE, NOBODY, LATE, LATE)),
        (OPENERS[0], answers("given", LATE, LATE, LATE, *NOT_YOURS)),
        (SITES[3], answers("given", NOBODY, NOBODY, NOBODY, *NOT_YOURS)),
    ],
)
def test_a_sum_that_the_auditor_refused_is_opened_by_nobody(audited, caller, expected):
    audited.service.refuse(AUDITOR, 1, "root_mismatch")

    assert audited.round().reason == f"the auditor {AUDITOR} refuses the sum: root_mismatch"
    assert handed_out(audited, caller) == expected
    audited.tick()
    assert audited.objects.names(names.contributions(1)) == []


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (AUDITOR, answers("given", NOBODY, NOBODY, NOBODY, *NOT_YOURS)),
        (OPENERS[0], answers("given", "given", "given", "given", *NOT_YOURS)),
    ],
)
def test_without_an_auditor_in_the_plan_no_auditor_is_handed_anything(added_up, caller, expected):
    """The role alone opens no door: the round must name it."""
    assert handed_out(added_up, caller) == expected


def test_there_is_nothing_to_audit_before_there_is_a_sum():
    """A round that names an auditor, and takes contributions."""
    early = Federation(settings=make_settings(auditor=AUDITOR))
    early.open_round()

    assert handed_out(early, AUDITOR) == answers(EARLY, EARLY, EARLY, NOBODY, EARLY, EARLY)
    assert handed_out(early, OPENERS[0]) == answers(EARLY, EARLY, EARLY, EARLY, *NOT_YOURS)


# -- the masks that openers take off --------------------------------------------------


def seals_for(federation, opener, *sites):
    """Return what these sites sealed to an opener in round 1, in order."""
    plan, _ = federation.service.plan(1)
    at = OPENERS.index(opener)
    return [(name, mask_seals(plan, seed_of(name, 1))[at]) for name in sites]


@pytest.mark.parametrize("opener", OPENERS)
def test_each_opener_is_handed_what_the_cohort_sealed_to_it(added_up, opener):
    """And nothing that was sealed to another."""
    assert added_up.service.sums.masks(opener, 1) == seals_for(added_up, opener, *SITES)


def test_the_seals_of_who_is_not_in_the_cohort_are_handed_to_nobody(opened):
    """It has sent its seals and its chunks; it came too late to count."""
    for name in (SITES[2], SITES[0], SITES[1]):
        opened.contribute(name)
    opened.begin(SITES[3])
    opened.put(SITES[3])
    opened.clock.advance(PROGRESS_SECONDS)
    opened.tick()

    for opener in OPENERS:
        handed = opened.service.sums.masks(opener, 1)
        assert handed == seals_for(opened, opener, *SITES[:3])


@pytest.mark.parametrize("caller", [SITES[3], AUDITOR, "another-auditor", COORDINATOR, ""])
def test_who_opens_nothing_is_handed_no_seal(added_up, audited, caller):
    """Whether or not the round has an auditor, and whether or not it has answered."""
    for federation in (added_up, audited):
        with pytest.raises(WrongIdentity, match="no opener of round 1"):
            federation.service.sums.masks(caller, 1)
    audited.countersign()

    with pytest.raises(WrongIdentity, match="no opener of round 1"):
        audited.service.sums.masks(caller, 1)


@pytest.mark.parametrize("committed", range(len(SITES)))
def test_no_seal_is_handed_out_while_contributions_come(opened, committed):
    """Also when there is none yet: an empty answer would say that there is a cohort."""
    for name in SITES[:committed]:
        opened.contribute(name)

    for opener in OPENERS:
        with pytest.raises(NotYet):
            opened.service.sums.masks(opener, 1)


def test_no_seal_is_handed_out_before_the_cohort_is_added_up(opened):
    for name in SITES:
        opened.contribute(name)
    assert opened.round().phase is Phase.AGGREGATING

    with pytest.raises(NotYet):
        opened.service.sums.masks(OPENERS[0], 1)


def test_there_are_no_seals_of_a_round_that_is_not(added_up):
    with pytest.raises(NotYet):
        added_up.service.sums.masks(OPENERS[0], 2)


@pytest.mark.parametrize(("ends", "error"), [("done", NotYet), ("aborted", IllegalEvent)])
def test_seals_are_erased_with_the_contributions_when_the_round_ends(added_up, ends, error):
    """Whoever has the secret of the cohort key, and it alone, opens nothing afterwards."""
    if ends == "done":
        added_up.finish()
    else:
        added_up.clock.advance(ABANDON_SECONDS)
    added_up.tick()

    assert added_up.objects.names(names.contributions(1)) == []
    for opener in OPENERS:
        with pytest.raises(error):
            added_up.service.sums.masks(opener, 1)


def test_a_restart_keeps_the_seals(tmp_path):
    """On a disk: what an opener is handed after the process died is what the sites had sent."""
    store = open_store(f"sqlite:///{tmp_path}/coordinator.db")
    federation = Federation(store=store, objects=open_objects(tmp_path / "objects"))
    federation.open_round()
    for name in SITES:
        federation.contribute(name)
    store.close()

    federation.store = open_store(f"sqlite:///{tmp_path}/coordinator.db")
    federation.objects = open_objects(tmp_path / "objects")
    federation.start().tick()

    for opener in OPENERS:
        assert federation.service.sums.masks(opener, 1) == seals_for(federation, opener, *SITES)
    federation.store.close()


# -- what the auditor is given ---------------------------------------------------------


def test_the_auditor_is_given_every_chunk_of_every_contribution(audited):
    """Chunk-major, and of each chunk in the order of the cohort: as it was added up."""
    sums = audited.service.sums

    asked = list(sums.to_audit(AUDITOR, 1, 0))

    assert asked == [(chunk, name) for chunk in range(2) for name in SITES]
    for chunk, name in asked:
        given = sums.contribution(AUDITOR, 1, name, chunk)
        assert given == chunk_of(seed_of(name, 1), chunk)


@pytest.mark.parametrize(("first", "expected"), [(1, [1] * 4), (2, []), (1 << 31, [])])
def test_an_auditor_goes_on_where_it_stopped(audited, first, expected):
    asked = audited.service.sums.to_audit(AUDITOR, 1, first)

    assert [chunk for chunk, _ in asked] == expected


def test_an_audit_that_is_overtaken_is_handed_no_more(audited):
    """It began while the round waited for it; what is left of it is refused."""
    sums = audited.service.sums
    asked = sums.to_audit(AUDITOR, 1, 0)
    chunk, name = next(asked)
    assert sums.contribution(AUDITOR, 1, name, chunk)
    audited.clock.advance(ABANDON_SECONDS)
    audited.tick()

    chunk, name = next(asked)
    with pytest.raises(IllegalEvent, match="not audited any more"):
        sums.contribution(AUDITOR, 1, name, chunk)


@pytest.mark.parametrize("in_dispute", [True, False])
def test_a_released_round_is_given_again_while_its_commit_can_be_disputed(audited, in_dispute):
    """By them alone its auditor can prove a false commit; without a chain nobody needs them."""
    audited.service.demanded_by(lambda _: in_dispute)
    sums = audited.service.sums
    audited.countersign()
    audited.finish()

    if not in_dispute:
        with pytest.raises(IllegalEvent, match="not audited any more"):
            sums.to_audit(AUDITOR, 1, 0)
        return
    asked = list(sums.to_audit(AUDITOR, 1, 0))
    assert asked == [(chunk, name) for chunk in range(2) for name in SITES]
    given = sums.contribution(AUDITOR, 1, SITES[0], 1)
    assert given == chunk_of(seed_of(SITES[0], 1), 1)
    with pytest.raises(WrongIdentity):
        sums.to_audit(OPENERS[0], 1, 0)


# -- the countersignature --------------------------------------------------------------


def test_the_manifest_is_signed_by_the_coordinator_and_then_by_both(audited):
    before = audited.service.sums.manifest(AUDITOR, 1)
    audited.countersign()
    after = audited.service.sums.manifest(OPENERS[0], 1)

    assert set(before.signatures) == {COORDINATOR}
    assert set(after.signatures) == {COORDINATOR, AUDITOR}
    assert after.body == before.body
    roster = audited.roster
    check_signer(after, Purpose.SUM, AUDITOR, roster.member(AUDITOR).signing_key)
    check_signer(after, Purpose.SUM, COORDINATOR, roster.coordinator_key)


def signature_on(federation, purpose=Purpose.SUM, key=AUDITOR, kind="sum"):
    """Return a signature on one of the round's documents."""
    digest = {"sum": federation.round().sum, "cohort": federation.round().cohort}[kind]
    body = federation.service.archive.document(kind, digest).body
    return sign(signing_key(key), purpose, body)


@pytest.mark.parametrize(
    "other",
    [
        {"key": OPENERS[0]},
        {"key": COORDINATOR},
        {"purpose": Purpose.COHORT},
        {"purpose": Purpose.RELEASE},
        {"kind": "cohort"},
    ],
)
def test_a_signature_on_anything_else_opens_nothing(audited, other):
    """By the auditor's key, for this purpose, over the stored manifest to the last byte."""
    with pytest.raises(InvalidSignature):
        audited.service.sums.countersign(AUDITOR, 1, signature_on(audited, **other))

    assert audited.round().phase is Phase.AUDITING
    assert set(audited.service.sums.manifest(AUDITOR, 1).signatures) == {COORDINATOR}


@pytest.mark.parametrize("signature", [b"", b"\x00" * 64, b"\x00" * 63])
def test_no_signature_opens_nothing(audited, signature):
    with pytest.raises(InvalidSignature):
        audited.service.sums.countersign(AUDITOR, 1, signature)

    assert audited.round().phase is Phase.AUDITING


@pytest.mark.parametrize("caller", [*SITES, "another-auditor"])
def test_nobody_signs_in_the_auditors_place(audited, caller):
    """Neither with its own key nor with a signature of the auditor that it has seen."""
    for key in (AUDITOR, caller):
        with pytest.raises(WrongIdentity):
            audited.service.sums.countersign(caller, 1, signature_on(audited, key=key))

    assert audited.round().phase is Phase.AUDITING


def test_the_same_countersignature_again_changes_nothing(audited):
    """The answer to the first may have been lost on its way, and the round gone on."""
    audited.countersign()
    opening, revision = audited.round(), audited.service.rounds.revision
    audited.countersign()
    assert (audited.round(), audited.service.rounds.revision) == (opening, revision)

    audited.finish()
    done = audited.round()
    audited.countersign()

    assert audited.round() == done


def test_nothing_is_countersigned_before_it_is_added_up_or_after_it_is_refused(audited, opened):
    with pytest.raises(IllegalEvent):
        opened.service.sums.countersign(AUDITOR, 1, b"")
    audited.service.refuse(AUDITOR, 1, "root_mismatch")

    with pytest.raises(IllegalEvent):
        audited.countersign()


def test_a_countersignature_that_was_kept_and_not_counted_opens_nothing(audited):
    """The process died between the two; the round was given up before the auditor came back."""
    audited.start(crash_at("service.before_save"))
    with pytest.raises(Crash):
        audited.countersign()
    audited.start().tick()
    assert set(audited.service.sums.manifest(AUDITOR, 1).signatures) == {COORDINATOR}
    assert handed_out(audited, OPENERS[0])["manifest"] == EARLY

    audited.clock.advance(ABANDON_SECONDS)
    audited.tick()

    assert handed_out(audited, OPENERS[0])["manifest"] == LATE


# -- refusals, silence and work --------------------------------------------------------


@pytest.mark.parametrize("opener", OPENERS)
def test_an_opener_cannot_refuse_what_it_has_not_seen(audited, opener):
    with pytest.raises(WrongIdentity):
        audited.service.refuse(opener, 1, "sum_off_grid")

    assert audited.round().phase is Phase.AUDITING


@pytest.mark.parametrize("stage", ["keying", "opening"])
def test_an_auditor_refuses_sums_and_nothing_else(federation, audited, stage):
    """It has no say in keys, nor in models."""
    if stage == "opening":
        audited.countersign()
    else:
        federation.tick()
        federation.offer_key()
    asked = federation if stage == "keying" else audited
    before = asked.round()

    with pytest.raises(WrongIdentity):
        asked.service.refuse(AUDITOR, 1, "root_mismatch")

    assert asked.round() == before


def test_a_refusal_of_a_sum_needs_an_error_code(audited):
    with pytest.raises(MalformedMessage):
        audited.service.refuse(AUDITOR, 1, "because\nI say so")

    assert audited.round().phase is Phase.AUDITING


def test_an_auditor_that_is_gone_ends_the_round(audited):
    audited.clock.advance(ABANDON_SECONDS - 1)
    audited.tick()
    assert audited.round().phase is Phase.AUDITING

    audited.clock.advance(1)
    audited.tick()

    assert audited.round().phase is Phase.ABORTED
    assert f"{AUDITOR} neither signed nor refused" in audited.round().reason


def test_an_auditor_that_comes_back_in_time_is_heard(audited):
    audited.clock.advance(ABANDON_SECONDS - 1)
    audited.tick()
    audited.start()

    audited.countersign()

    assert audited.round().phase is Phase.OPENING


def test_the_work_of_the_auditor_counts_and_that_of_others_does_not(audited):
    audited.clock.advance(3)
    for other in SITES:
        audited.service.rounds.worked(other, 1)
    assert audited.service.progress.quiet(1) == (3, 3)

    audited.service.rounds.worked(AUDITOR, 1)

    assert audited.service.progress.quiet(1) == (0, 3)


def test_the_openers_time_begins_with_the_countersignature(audited):
    """What the auditor took is not taken from them."""
    audited.clock.advance(ABANDON_SECONDS - 1)
    audited.countersign()

    audited.clock.advance(2)
    audited.tick()

    assert audited.round().phase is Phase.OPENING


def test_a_round_waits_while_contributions_move_to_its_auditor(audited):
    """However long the audit takes, and however many contribute: each payload is progress."""
    sums = audited.service.sums
    for chunk, name in sums.to_audit(AUDITOR, 1, 0):
        audited.clock.advance(ABANDON_SECONDS - 1)
        sums.contribution(AUDITOR, 1, name, chunk)
        audited.tick()
        assert audited.round().phase is Phase.AUDITING

    audited.clock.advance(ABANDON_SECONDS - 1)
    sums.contribution(AUDITOR, 1, SITES[3], 1)
    audited.clock.advance(1)
    audited.tick()

    assert audited.round().phase is Phase.ABORTED


def test_an_auditor_that_was_restarted_has_the_time_to_finish(audited):
    sums = audited.service.sums
    for _ in range(3):
        for chunk, name in sums.to_audit(AUDITOR, 1, 0):
            audited.clock.advance(ABANDON_SECONDS - 1)
            sums.contribution(AUDITOR, 1, name, chunk)
            audited.tick()

    assert audited.round().phase is Phase.AUDITING
    audited.countersign()


def test_an_auditor_that_fetches_for_ever_ends_the_round(audited):
    fetched = 0
    while audited.round().phase is Phase.AUDITING:
        assert fetched < 100
        audited.clock.advance(ABANDON_SECONDS - 1)
        audited.service.sums.contribution(AUDITOR, 1, SITES[0], 0)
        audited.tick()
        fetched += 1

    assert f"{AUDITOR} neither signed nor refused" in audited.round().reason


def test_a_sum_on_its_way_to_an_opener_is_progress_once(audited):
    """Who fetches the same chunk again and again keeps nobody waiting."""
    audited.countersign()
    for chunk in range(2):
        audited.clock.advance(5)
        audited.service.sums.chunk(OPENERS[0], 1, chunk)
        assert audited.service.progress.quiet(1) == (0, 0)

    audited.clock.advance(5)
    audited.service.sums.chunk(OPENERS[0], 1, 1)

    assert audited.service.progress.quiet(1) == (5, 5)
