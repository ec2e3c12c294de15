"""How long a round's key lives, and for whom: one round, its openers, and nobody's disk.

What was learned of one round's secret says nothing of the next, because each round has another
key. That the coordinator erases the sealed secrets with the round is shown in
`coordinator/test_service.py::test_a_rounds_keys_are_erased_when_it_is_over`, and that a real
opener's process leaves nothing of it on disk in `test_coordinator_holds_no_key.py`.
"""

import base64

import msgspec
import numpy as np
import pytest

from participant.opening import agree, keying
from participant.session import Agree, MakeKey, Open, SealModel, VouchForKey
from participant.view import KeyState
from privacy import canonical
from privacy.errors import (
    MalformedMessage,
    OpeningRefused,
    SumOffGrid,
    WrongContext,
    WrongIdentity,
)
from privacy.records import KeyRecord, SealedModel, digest_of
from privacy.roster import Roster, SignedRoster, admit
from privacy.schemes import ckks, ring
from privacy.schemes.ckks import make_cohort_key
from privacy.signing import Purpose, sign
from privacy.vectors import ModelDigest
from tests.attacks.process_memory import found_in_files, pieces
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Hands, Showing, agent, ends

# -- each round has another key -------------------------------------------------------------


class Offered(Showing):
    """A coordinator that orders keys, and shows each round the key it was offered for it."""

    async def key(self, number):
        if number in self.key_states:
            return self.key_states[number]
        return KeyState(made.encoded(made.specification()), None, b"", b"")

    async def offer_key(self, signed, public, sealed):
        record = canonical.decode(signed.body, KeyRecord)
        everyone = made.signed_by(record, *made.OPENERS)
        order = made.encoded(record.specification)
        mine = sealed[made.OPENERS.index(self.opener)]
        self.key_states[record.round] = KeyState(order, everyone, public, mine)


class Making(Hands):
    """A worker that makes keys as well."""

    async def make_key(self, parameters):
        return make_cohort_key(parameters)


@pytest.fixture
def shown():
    return Offered()


@pytest.fixture
def amber(tmp_path, shown):
    at_work = agent(tmp_path / "amber", shown)
    at_work._worker = Making(at_work._models.folder)
    return at_work


def record_and_secret(shown, number):
    """What an opener has of a round's key."""
    state = shown.key_states[number]
    record = keying.check_record(state.record, number, state.public_key, made.roster())
    mine = made.keys("amber").sealing
    return record, keying.unseal(record, state.sealed_secret, "amber", mine, made.roster())


async def test_two_rounds_have_two_keys(shown, amber):
    """And the secret of the one opens nothing of the other."""
    await amber._carry_out(MakeKey(1))
    await amber._carry_out(MakeKey(2))

    (first, secret), (second, other) = (record_and_secret(shown, n) for n in (1, 2))

    assert first.public_key != second.public_key
    assert secret != other
    pair = ckks.CohortKey(shown.key_states[1].public_key, secret)
    (chunk, _) = made.protected(made.update("birch"), pair, made.mask("birch"))
    assert np.array_equal(opened_with(pair, chunk), made.update("birch")[:4096])
    with pytest.raises(SumOffGrid):
        opened_with(ckks.CohortKey(pair.public, other), chunk)


def opened_with(pair, chunk):
    """Birch's alone, by an opener that takes off birch's mask alone."""
    return made.revealer(["birch"], pair=pair).reveal(0, chunk, 1)


async def test_the_key_of_one_round_is_none_of_the_next(shown, amber):
    """Neither as it is, nor under the next round's plan, nor its seal under another number."""
    await amber._carry_out(MakeKey(1))
    state = shown.key_states[1]
    record = canonical.decode(state.record.body, KeyRecord)
    naming = made.plan(round=2, key_record=digest_of(record))

    assert keying.check_record(state.record, 1, state.public_key, made.roster()) == record
    with pytest.raises(WrongContext, match="another round"):
        keying.check_record(state.record, 2, state.public_key, made.roster())
    with pytest.raises(WrongContext, match="another round"):
        keying.check_vouched(state.record, naming, state.public_key, made.roster())
    moved = msgspec.structs.replace(record, round=2)
    with pytest.raises(MalformedMessage, match="does not open"):
        keying.unseal(
            moved, state.sealed_secret, "amber", made.keys("amber").sealing, made.roster()
        )


async def test_a_maker_that_brings_last_rounds_key_back_is_not_vouched_for(tmp_path):
    """Sealed and signed anew for round 2, it is the pair of round 1; a restart forgets nothing."""
    shown = Showing()
    records = {number: digest_of(made.sealed_key(number)[0]) for number in (1, 2)}
    first = agent(tmp_path / "amber", shown)
    await first._carry_out(VouchForKey(1, records[1]))
    ends(first)

    second = agent(tmp_path / "amber", shown)
    with pytest.raises(OpeningRefused, match="key of round 1 again"):
        await second._carry_out(VouchForKey(2, records[2]))


# -- who was revoked ------------------------------------------------------------------------

REVOKED = "cedar"
LEFT = ("amber", "birch", "delta")
SHAPES = (("weight", (20_000,)),)
VECTOR = np.cos(np.arange(20_000.0))


def without_cedar() -> Roster:
    """Version 1, signed by more than half of the trainers of version 0."""
    first = made.roster()
    members = tuple(member for member in first.members if member.participant != REVOKED)
    second = Roster(made.FEDERATION, 1, first.coordinator_key, members, first.digest())
    founders = [member.participant for member in first.members]
    history = [signed_roster(first, founders), signed_roster(second, LEFT)]
    return admit(history, first.digest())


def signed_roster(roster, names):
    body = made.encoded(roster)
    return SignedRoster(
        roster, {name: sign(made.keys(name).signing, Purpose.ROSTER, body) for name in names}
    )


def key_of(number, roster, openers):
    """A round's key record, and its secret sealed to each opener."""
    wanted = made.specification(roster=roster.digest(), openers=openers)
    pair = made.cohort_key()
    record, seals = keying.seal_key(number, "amber", wanted, roster, pair.public, pair.secret)
    return record, dict(zip(openers, seals, strict=True))


def model_of(number, roster, openers):
    """A round's sealed model: envelope and chunks."""
    plan = made.plan(round=number, roster=roster.digest(), openers=openers)
    parts = np.array_split(VECTOR, 3)
    envelope, chunks = agree.seal_model(
        plan, roster, "a" * 64, "amber", model_digest(), lambda: parts, made.os.urandom
    )
    return envelope, list(chunks)


def model_digest():
    digest = ModelDigest(SHAPES)
    digest.update(VECTOR)
    return digest.hexdigest()


def unsealed(envelope, chunks, name, pair):
    """Open a sealed model as `name`, with a key; its digest is checked."""
    unsealing = agree.Unsealing(envelope, name, pair, ModelDigest(SHAPES))
    for chunk in chunks:
        unsealing.take(chunk)
    unsealing.finish()


def test_a_revoked_opener_unseals_no_secret_of_a_later_round():
    """Its key opened its seal of round 1, and opens no seal of round 2 in anybody's name."""
    mine = made.keys(REVOKED).sealing
    before, seals = key_of(1, made.roster(), made.OPENERS)
    secret = keying.unseal(before, seals[REVOKED], REVOKED, mine, made.roster())
    assert secret == made.cohort_key().secret

    roster = without_cedar()
    after, seals = key_of(2, roster, LEFT)

    for name, sealed in seals.items():
        assert keying.unseal(after, sealed, name, made.keys(name).sealing, roster) == secret
        with pytest.raises(WrongContext, match="no secret is sealed to cedar"):
            keying.unseal(after, sealed, REVOKED, mine, roster)
        for record, context in ((after, roster), (before, made.roster())):
            with pytest.raises((MalformedMessage, WrongContext)):
                keying.unseal(record, sealed, name, mine, context)
    with pytest.raises(WrongIdentity):
        roster.member(REVOKED)


def test_a_revoked_trainer_opens_no_model_of_a_later_round():
    """Its key opened the model of round 1, and opens no wrap of round 2 in anybody's name."""
    mine = made.keys(REVOKED).sealing
    unsealed(*model_of(1, made.roster(), made.OPENERS), REVOKED, mine)

    envelope, chunks = model_of(2, without_cedar(), LEFT)

    unsealed(envelope, chunks, "delta", made.keys("delta").sealing)
    assert [wrap.participant for wrap in envelope.wraps] == list(LEFT)
    with pytest.raises(WrongContext, match="not sealed to cedar"):
        unsealed(envelope, chunks, REVOKED, mine)
    for wrap in envelope.wraps:
        with pytest.raises(MalformedMessage, match="does not open"):
            unsealed(envelope, chunks, wrap.participant, mine)


# -- what an opener keeps -------------------------------------------------------------------


def forms_of(secret: bytes) -> dict[str, bytes]:
    """Every form that a secret takes in an opener: two encodings, and two in arithmetic."""
    coefficients = ckks._decode_secret(made.PARAMETERS, secret)
    residues = ring.to_transform(coefficients, made.PARAMETERS.modulus)
    return {
        "packed": secret[18:],
        "base64": base64.b64encode(secret)[48:],
        "coefficients": coefficients.tobytes(),
        "residues": residues.tobytes(),
    }


async def test_an_openers_folder_holds_no_secret_when_the_round_is_over(tmp_path, shown, amber):
    """It made the key, opened the sum, sealed the model and signed; every file is searched."""
    await amber._carry_out(MakeKey(1))
    record, secret = record_and_secret(shown, 1)
    pair = ckks.CohortKey(shown.key_states[1].public_key, secret)
    plan = made.plan(key_record=digest_of(record))
    shown.shows(made.Round(plan, made.TRAINERS, lambda name: protected_under(plan, pair, name)))

    await amber._carry_out(Open(1))
    await amber._carry_out(SealModel(1))
    shown.models[1] = shown.put[0]
    envelope = canonical.decode(shown.put[0][0].body, SealedModel)
    await amber._carry_out(Agree(1, digest_of(envelope)))

    assert len(shown.signed_releases) == 1
    folder = tmp_path / "amber"
    forms = forms_of(secret)
    wanted = {name: pieces(form, 24 if len(form) < 8192 else 512) for name, form in forms.items()}
    assert found_in_files(folder, wanted) == set()
    for name, form in forms.items():
        (folder / "planted").write_bytes(form)
        assert found_in_files(folder, wanted) == {name}


def protected_under(plan, pair, name):
    return made.protected(made.update(name), pair, made.mask(name, plan))
