"""A site states one number of its own update, once, and openers find out what all are worth."""

import pytest

from participant.memory import Memory
from participant.scoring import judging, stating
from participant.scoring.judging import Judging
from participant.scoring.stating import Stating
from privacy import canonical
from privacy.contribution.sealed_products import check_stated, open_product
from privacy.errors import (
    ConfigError,
    IllegalEvent,
    OpeningRefused,
    PeerUnreachable,
    StoreUnavailable,
    WrongContext,
)
from privacy.failpoints import pass_by
from privacy.records import Scores
from tests.participant import signed_round as made
from tests.participant.scoring import scored_round as scored
from tests.participant.scoring.scored_round import MODEL, Fetches, Hands, Shown, keep, keeper


@pytest.fixture
def calls(monkeypatch):
    """What is handed in, and what openers are given."""
    calls = Calls()
    for module in (stating, judging):
        monkeypatch.setattr(module, "ScoreCalls", lambda _: calls)
    monkeypatch.setattr(judging, "SeatCalls", lambda _: calls)
    return calls


class Calls:
    def __init__(self):
        self.stated, self.scores, self.fails = [], [], None
        self.shown = {}

    async def put_product(self, statement, seals):
        if self.fails:
            raise self.fails
        self.stated.append((statement, seals))

    async def products(self, number, cohort):
        return self.shown

    async def put_scores(self, signed):
        self.scores.append(signed)


def site(folder, name="amber", adopter=None, step=pass_by):
    hands, of = Hands(folder), keeper(folder, name)
    key = made.keys(name).signing
    return Stating(name, key, Shown(), hands, of, adopter or Fetches(), step)


async def stated_by(folder, name, calls):
    at_work = site(folder / name, name)
    keep(at_work.keeper, at_work.worker, name)
    await at_work.state(1)
    return calls.stated[-1]


async def test_the_number_is_the_product_of_the_update_with_the_sum(tmp_path, calls):
    """Kept before it was encrypted, opened with the site's key, and multiplied exactly."""
    signed, seals = await stated_by(tmp_path, "amber", calls)

    record = check_stated(scored.scored(), made.roster(), "amber", signed)
    for opener, sealed in zip(made.OPENERS, seals, strict=True):
        pair = made.keys(opener).sealing
        found = open_product(scored.scored(), record, opener, pair, sealed)
        assert found == scored.products()["amber"]


async def test_what_was_stated_is_stated_again_and_the_update_is_gone(tmp_path, calls):
    """The answer to the first was lost; a second statement would be another salt."""
    at_work = site(tmp_path)
    keep(at_work.keeper, at_work.worker)
    calls.fails = PeerUnreachable("away")
    with pytest.raises(PeerUnreachable):
        await at_work.state(1)
    calls.fails = None
    assert not (tmp_path / "updates/000001/key").exists()

    await site(tmp_path).state(1)
    await site(tmp_path).state(1)

    assert calls.stated[0] == calls.stated[1]


async def test_killed_before_it_is_kept_it_states_the_same_number(tmp_path, calls):
    """Nothing has left: the number is the same, under another salt."""

    class KilledError(BaseException):
        pass

    def die(where):
        if where == "scoring.before_keep":
            raise KilledError

    at_work = site(tmp_path, step=die)
    keep(at_work.keeper, at_work.worker)
    with pytest.raises(KilledError):
        await at_work.state(1)
    assert calls.stated == []

    await site(tmp_path).state(1)

    assert len(calls.stated) == 1


async def test_a_site_that_has_lost_its_update_says_so(tmp_path, calls):
    with pytest.raises(ConfigError, match="nobody gets a score"):
        await site(tmp_path).state(1)


async def test_a_model_that_is_not_kept_any_more_ends_it(tmp_path, calls):
    """Not tried for ever: the coordinator will not have it again."""
    at_work = site(tmp_path, adopter=Fetches(IllegalEvent("ask for newer")))
    keep(at_work.keeper, at_work.worker)

    with pytest.raises(WrongContext, match="scores are void"):
        await at_work.state(1)


async def test_a_model_that_was_changed_on_disk_is_multiplied_with_by_nobody(tmp_path, calls):
    """The product would be false, and everybody's scores void."""
    at_work = site(tmp_path)
    keep(at_work.keeper, at_work.worker)
    path = at_work.worker.models.path(MODEL)
    body = path.read_bytes()
    path.write_bytes(body[:8] + bytes(8) + body[16:])

    with pytest.raises(StoreUnavailable, match="not as it was"):
        await at_work.state(1)

    assert calls.stated == []


# -- openers ------------------------------------------------------------------------


@pytest.fixture
def opener(tmp_path):
    made_of = []

    def make(name="birch", measured=True):
        memory = Memory(tmp_path / f"memory-{name}")
        made_of.append(memory)
        if measured:
            memory.measures(1, MODEL, scored.opened_sum())
        return Judging(name, made.keys(name), Shown(), memory, Fetches(), pass_by)

    yield make
    for memory in made_of:
        memory.close()


async def shown_to(tmp_path, calls, opener):
    shown = {}
    for name in made.TRAINERS:
        signed, seals = await stated_by(tmp_path, name, calls)
        shown[name] = (signed, seals[made.OPENERS.index(opener)])
    return shown


async def test_openers_sign_the_products_rounded(tmp_path, calls, opener):
    calls.shown = await shown_to(tmp_path, calls, "birch")

    await opener().judge(1)

    (signed,) = calls.scores
    said = canonical.decode(signed.body, Scores)
    exact = scored.products()
    assert not said.void
    assert {each.participant: int(each.alignment) for each in said.scores} == {
        name: (exact[name] + 8) // 16 * 16 for name in made.TRAINERS
    }
    assert set(signed.signatures) == {"birch"}


async def test_an_opener_signs_one_list_of_a_round_and_no_second_one(tmp_path, calls, opener):
    """Whatever the coordinator shows it later."""
    calls.shown = await shown_to(tmp_path, calls, "birch")
    at_work = opener()
    await at_work.judge(1)
    calls.shown = {name: each for name, each in calls.shown.items() if name != "amber"}

    with pytest.raises(OpeningRefused, match="other scores"):
        await at_work.judge(1)

    assert len(calls.scores) == 1


async def test_who_has_not_opened_the_sum_judges_nothing(tmp_path, calls, opener):
    with pytest.raises(WrongContext, match="has not opened the released sum"):
        await opener(measured=False).judge(1)


async def test_without_a_site_there_are_no_scores_and_the_reason_is_signed(tmp_path, calls, opener):
    shown = await shown_to(tmp_path, calls, "birch")
    calls.shown = {name: each for name, each in shown.items() if name != "amber"}

    await opener().judge(1)

    (signed,) = calls.scores
    assert canonical.decode(signed.body, Scores).void == "no product of amber"
