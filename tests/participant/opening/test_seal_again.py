"""A sealed model whose upload was cut is sealed again to the same bytes, by another process."""

import msgspec
import pytest

from participant.opening.agree import seal_again
from participant.session import Open, SealModel
from privacy import canonical
from privacy.errors import StoreUnavailable, WrongContext
from privacy.records import SealedModel
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Showing, agent, ends
from tests.participant.shelf import sealed

ROUND = made.Round(made.plan(), made.TRAINERS)
ENVELOPE, CHUNKS = sealed(made.plan(), made.FIRST)
PARTS = made.np.array_split(made.FIRST, 3)


@pytest.fixture
def shown():
    coordinator = Showing()
    coordinator.shows(ROUND)
    return coordinator


async def test_a_killed_sealer_sends_the_same_envelope_and_chunks_again(tmp_path, shown):
    """So that what the coordinator has of them counts."""
    before = agent(tmp_path, shown)
    await before._carry_out(Open(1))
    await before._carry_out(SealModel(1))
    ends(before)
    after = agent(tmp_path, shown)
    await after._carry_out(Open(1))

    await after._carry_out(SealModel(1))

    first, second = shown.put
    assert first == second


@pytest.mark.parametrize("kept", [b"", b"{}", None, "of another sealer"])
async def test_an_envelope_that_is_not_this_models_is_not_used(tmp_path, shown, kept):
    """Damaged, lost or another's: the model is sealed anew, under a new key."""
    before = agent(tmp_path, shown)
    await before._carry_out(Open(1))
    await before._carry_out(SealModel(1))
    path = before.config.state / "opening" / "000001" / "envelope"
    if kept is None:
        path.unlink()
    elif isinstance(kept, bytes):
        path.write_bytes(kept)
    else:
        own = canonical.decode(path.read_bytes(), SealedModel)
        path.write_bytes(canonical.encode(msgspec.structs.replace(own, sealer="birch")))

    await before._carry_out(SealModel(1))

    (one, first), (two, second) = shown.put
    assert one.body != two.body
    assert first != second


def again(parts, who="amber"):
    return seal_again(ENVELOPE, who, made.keys(who).sealing, lambda: parts)


@pytest.mark.parametrize("first", range(4))
def test_a_model_is_sealed_again_from_any_chunk_on(first):
    """To the bytes that its envelope names."""
    assert tuple(again(PARTS).after(first)) == CHUNKS[first:]


@pytest.mark.parametrize("changed", ["value", "split"])
def test_another_plaintext_is_never_sealed_under_the_same_key(changed):
    """Two plaintexts under one key and nonce open each other: not one chunk leaves."""
    vector = made.FIRST.copy()
    if changed == "value":
        vector[-1] += 1
    parts = made.np.array_split(vector, 2 if changed == "split" else 3)

    with pytest.raises(StoreUnavailable, match="sealed anew"):
        again(parts)


def test_a_model_that_changes_on_the_way_does_not_leave():
    """What was checked before is checked again, chunk by chunk."""
    parts = [each.copy() for each in PARTS]
    ready = again(parts)
    parts[1][0] += 1
    sent = []

    with pytest.raises(StoreUnavailable, match="not as it was"):
        sent.extend(ready.after(0))
    assert sent == [] or sent == [CHUNKS[0]]


def test_only_who_the_model_is_sealed_to_seals_it_again():
    with pytest.raises(WrongContext):
        seal_again(ENVELOPE, "ember", made.keys("ember").sealing, lambda: PARTS)
