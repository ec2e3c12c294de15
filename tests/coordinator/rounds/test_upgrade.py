"""A coordinator that is upgraded in the middle of a round: the round ends, and nothing else."""

import json
from dataclasses import replace as change

import pytest
from msgspec.structs import replace as fields_replaced
from structlog.testing import capture_logs

from coordinator import object_names as names
from coordinator.rounds import round as machine
from coordinator.rounds.state import Phase
from privacy import plan as plans
from privacy.documents import pack, unpack
from privacy.errors import IllegalEvent, NotYet, SchemaMismatch
from privacy.signing import Purpose, digest, verify
from tests import fakes
from tests.fakes import AUDITOR, OPENERS, SITES, Federation, crash_at

REASON = "planned by another version of the coordinator"


def keyed(federation):
    """Bring round 1 to a plan that is kept, and not yet announced when the process dies."""
    federation.tick()
    federation.offer_key()
    federation.sign_key()
    federation.start(crash_at("service.before_save"))
    with pytest.raises(fakes.Crash):
        federation.tick()
    return federation


def opened(federation):
    federation.open_round()
    return federation


def aggregating(federation):
    opened(federation)
    for name in SITES:
        federation.contribute(name)
    return federation


def brought_to_a_sum(federation):
    aggregating(federation).tick()
    return federation


def age_plan(federation, number=1):
    """Make a stored plan one that was made before plans said how values are packed."""
    kept = federation.store._documents
    packed = kept["plan", str(number)]
    at = 4 + int.from_bytes(packed[:4], "big")
    terms = json.loads(packed[at:])
    del terms["scheme"]["values_per_half"]
    old = json.dumps(terms, separators=(",", ":"), sort_keys=True).encode()
    kept["plan", str(number)] = packed[:at] + old
    if federation.round(number).plan:
        name_in_state(federation, number, plan=plans.digest_of(packed[4:at], old))


def name_in_state(federation, number, **named):
    """Let the round's state name what that version had made."""
    state = fields_replaced(federation.round(number), **named)
    held = federation.store._rounds[number]
    federation.store._rounds[number] = change(held, state=machine.encode(state))


def age_key(federation):
    """Make the key record of round 1 one of a specification without that."""
    kept = federation.store._documents
    at = ("key", federation.round().key_record)
    signed = unpack(kept[at])
    record = json.loads(signed.body)
    del record["specification"]["values_per_half"]
    old = json.dumps(record, separators=(",", ":"), sort_keys=True).encode()
    name = digest(Purpose.KEY_RECORD, old)
    kept["key", name] = pack(change(signed, body=old))
    name_in_state(federation, 1, key_record=name)


def restarted(federation):
    """Start the coordinator again; return what it says at error level."""
    with capture_logs() as log:
        federation.start()
        federation.tick(3)
    return [each for each in log if each["log_level"] == "error"]


@pytest.mark.parametrize(
    ("bring", "auditor", "phase"),
    [
        (keyed, None, Phase.KEYED),
        (opened, None, Phase.OPEN),
        (aggregating, None, Phase.AGGREGATING),
        (brought_to_a_sum, AUDITOR, Phase.AUDITING),
        (brought_to_a_sum, None, Phase.OPENING),
    ],
)
def test_a_round_whose_plan_cannot_be_read_is_ended_and_the_next_begins(bring, auditor, phase):
    """In whatever phase: the process starts, says who acts, erases, and goes on."""
    federation = bring(Federation(settings=fakes.make_settings(auditor=auditor)))
    assert federation.round().phase is phase
    age_plan(federation)

    (said,) = restarted(federation)

    assert federation.round().phase is Phase.ABORTED
    assert REASON in federation.round().reason
    assert (said["event"], said["round"], said["phase"]) == ("round_of_another_version", 1, phase)
    assert said["who_acts"] == "the coordinator's operator"
    assert federation.store.pending_effects() == []
    assert federation.objects.names(names.contributions(1)) == []
    assert federation.round(max(federation.service.rounds.all())).phase is Phase.KEYING
    assert restarted(federation) == []


def test_a_round_whose_key_record_cannot_be_read_is_ended(federation):
    federation.tick()
    federation.offer_key()
    age_key(federation)

    (said,) = restarted(federation)

    assert (said["round"], said["phase"]) == (1, Phase.KEYING)
    assert federation.round().phase is Phase.ABORTED


def test_a_round_that_is_done_is_left_as_it_is_and_its_plan_is_nobody_elses_fault(added_up):
    """Its model counts; who asks for its plan is not told that it sent something malformed."""
    added_up.finish()
    added_up.tick()
    age_plan(added_up)

    assert restarted(added_up) == []

    assert added_up.round().phase is Phase.DONE
    with pytest.raises(SchemaMismatch, match="another version"):
        added_up.service.plan(1)


def test_the_plan_of_a_round_that_is_done_is_given_out_as_it_was_made(added_up):
    """A site of that version can still check the model it missed, and adopt it."""
    added_up.finish()
    added_up.tick()
    age_plan(added_up)
    restarted(added_up)

    arithmetic, terms, signature = added_up.service.plan_as_kept(1)

    assert b"values_per_half" not in terms
    digest = bytes.fromhex(plans.digest_of(arithmetic, terms))
    verify(added_up.roster.coordinator_key, Purpose.PLAN, digest, signature)


def test_a_round_that_was_ended_has_no_plan_to_be_asked_for(federation):
    """Who looks for the releases between two models goes past it, and does not wait for ever."""
    opened(federation)
    age_plan(federation)
    restarted(federation)

    for ask in (federation.service.plan, federation.service.plan_as_kept):
        with pytest.raises(NotYet, match="round 1 was aborted"):
            ask(1)


def test_what_can_be_read_is_not_ended(added_up):
    assert restarted(added_up) == []
    assert added_up.round().phase is Phase.OPENING


def test_nobody_goes_on_with_a_round_that_was_ended(federation):
    opened(federation).begin(SITES[0])
    age_plan(federation)
    restarted(federation)

    with pytest.raises(IllegalEvent):
        federation.service.contributions.put_chunk(SITES[0], 1, 0, 0, b"")
    with pytest.raises(IllegalEvent):
        federation.service.refuse(OPENERS[0], 1, "x")
