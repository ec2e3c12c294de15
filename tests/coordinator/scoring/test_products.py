"""What sites state of their updates is carried to openers: whole, sealed, and only once."""

import pytest
from msgspec.structs import replace

from coordinator.rounds.state import Scoring
from coordinator.settling.results import Results
from privacy import canonical
from privacy.contribution.scores import Method, weights
from privacy.contribution.sealed_products import SEALED_BYTES
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
from privacy.identifiers import sha256_hex
from privacy.plan import ALIGNMENT_RELEASE
from privacy.records import Score, Scores, SealedSecret, StatedProduct
from tests.fakes import (
    ABANDON_SECONDS,
    OPENERS,
    SITES,
    Crash,
    Federation,
    crash_at,
    make_settings,
    signed_by,
)

STEP_LOG2 = 8


def scored_federation() -> Federation:
    """Rounds whose plans ask for products."""
    settings = make_settings()
    scheme = replace(settings.scheme, score_step_log2=STEP_LOG2)
    releases = (*settings.privacy.releases, ALIGNMENT_RELEASE)
    privacy = replace(settings.privacy, releases=releases)
    return Federation(settings=replace(settings, scheme=scheme, privacy=privacy))


@pytest.fixture
def released() -> Federation:
    """A round that has released its model, and waits for products."""
    federation = scored_federation()
    run(federation, 1)
    return federation


def run(federation: Federation, number: int) -> None:
    federation.open_round(number)
    for name in SITES:
        federation.contribute(name, number)
    federation.tick()
    federation.finish(number)


def seals(site: str) -> tuple[bytes, ...]:
    return tuple(f"{site} to {name}".encode().ljust(SEALED_BYTES, b".") for name in OPENERS)


def stated(federation: Federation, site: str, number: int = 1, **changes) -> StatedProduct:
    current, plan = federation.round(number), federation.service.plan(number)[0]
    named = zip(OPENERS, seals(site), strict=True)
    made = StatedProduct(
        federation=plan.terms.federation,
        round=number,
        plan=plan.digest(),
        cohort=current.cohort,
        release=current.release,
        participant=site,
        commitment="ab" * 32,
        seals=tuple(SealedSecret(name, sha256_hex(sealed)) for name, sealed in named),
    )
    return replace(made, **changes)


def state(federation: Federation, site: str, number: int = 1) -> None:
    signed = signed_by(site, stated(federation, site, number))
    federation.service.products.put(site, signed, seals(site))


def state_all(federation: Federation, number: int = 1) -> None:
    for site in SITES:
        state(federation, site, number)


def opened(federation: Federation, **changes) -> Scores:
    current, plan = federation.round(), federation.service.plan(1)[0]
    made = Scores(
        federation=plan.terms.federation,
        round=1,
        plan=plan.digest(),
        cohort=current.cohort,
        step_log2=STEP_LOG2,
        scores=tuple(Score(name, "", "256") for name in sorted(SITES)),
    )
    return replace(made, **changes)


def sign_scores(federation: Federation, *openers: str, **changes) -> None:
    for name in openers:
        made = signed_by(name, opened(federation, **changes))
        federation.service.seats.scores.put(name, made)


def test_openers_get_every_statement_with_their_own_seal(released):
    state_all(released)

    for at, opener in enumerate(OPENERS):
        found = released.service.products.of(opener, 1)

        assert [sealed for _, sealed in found] == [seals(site)[at] for site in sorted(SITES)]
        names = [canonical.decode(each.body, StatedProduct).participant for each, _ in found]
        assert names == sorted(SITES)


def test_nothing_is_handed_out_while_more_is_taken(released):
    """Two openers who judged different lists would sign different scores."""
    state(released, SITES[0])

    with pytest.raises(NotYet, match="not all stated"):
        released.service.products.of(OPENERS[0], 1)


def test_nobody_but_openers_is_given_seals(released):
    state_all(released)

    with pytest.raises(WrongIdentity, match="no opener"):
        released.service.products.of(SITES[3], 1)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"cohort": "ee" * 32}, WrongContext),
        ({"release": "ee" * 32}, WrongContext),
        ({"plan": "ee" * 32}, WrongContext),
        ({"participant": SITES[1]}, WrongContext),
        ({"seals": ()}, MalformedMessage),
    ],
)
def test_a_statement_of_something_else_is_refused(released, changes, error):
    signed = signed_by(SITES[0], stated(released, SITES[0], **changes))

    with pytest.raises(error):
        released.service.products.put(SITES[0], signed, seals(SITES[0]))

    assert released.round().products == ()


def test_a_statement_in_anothers_name_is_refused(released):
    signed = signed_by(SITES[0], stated(released, SITES[0]), key=SITES[1])

    with pytest.raises(InvalidSignature):
        released.service.products.put(SITES[0], signed, seals(SITES[0]))


@pytest.mark.parametrize("sealed", [(), seals(SITES[1]), seals(SITES[0])[:2]])
def test_other_seals_than_the_site_has_signed_are_refused(released, sealed):
    signed = signed_by(SITES[0], stated(released, SITES[0]))

    with pytest.raises(MalformedMessage, match="other seals"):
        released.service.products.put(SITES[0], signed, sealed)


def test_a_site_states_once(released):
    """Again the same is well: the answer to the first was lost."""
    state(released, SITES[0])
    state(released, SITES[0])

    other = signed_by(SITES[0], stated(released, SITES[0], commitment="cd" * 32))
    with pytest.raises(ConflictingContribution):
        released.service.products.put(SITES[0], other, seals(SITES[0]))


def test_who_has_died_before_it_counted_states_it_again(released):
    """The statement is durable and the round has not noted it: nothing is lost, or doubled."""
    released.start(crash_at("scoring.after_product"))
    with pytest.raises(Crash):
        state(released, SITES[0])
    released.start()
    assert released.round().products == ()

    state_all(released)

    assert released.round().scoring is Scoring.JUDGING
    assert len(released.service.products.of(OPENERS[0], 1)) == len(SITES)


def test_scores_count_when_enough_openers_have_signed_them(released):
    state_all(released)
    with pytest.raises(NotYet, match="too few openers"):
        released.service.seats.scores.agreed(1)
    sign_scores(released, OPENERS[0])

    sign_scores(released, OPENERS[1])

    signed = released.service.seats.scores.agreed(1)
    assert signed.body == canonical.encode(opened(released))
    assert set(signed.signatures) == set(OPENERS[:2])


def test_products_are_forgotten_once_scores_count(released):
    state_all(released)
    sign_scores(released, *OPENERS[:2])

    released.tick()

    assert released.service.store.documents("product-000001") == []
    with pytest.raises(IllegalEvent, match="over"):
        released.service.products.of(OPENERS[2], 1)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"step_log2": STEP_LOG2 + 1}, WrongContext),
        ({"cohort": "ee" * 32}, WrongContext),
        ({"scores": ()}, MalformedMessage),
        ({"scores": tuple(Score(name, "1", "1") for name in sorted(SITES))}, MalformedMessage),
        ({"void": "said \x1b[2J"}, MalformedMessage),
    ],
)
def test_an_opener_signs_what_the_plan_asks_for_and_nothing_else(released, changes, error):
    """A squared norm that nobody opens would stand in evidence under its name."""
    state_all(released)

    with pytest.raises(error):
        sign_scores(released, OPENERS[0], **changes)

    assert released.round().scored == ()


def test_a_site_that_is_away_holds_up_no_round_and_voids_the_scores_in_time(released):
    """The next round runs to its end meanwhile; then openers judge what has come."""
    state(released, SITES[0])
    released.open_round(2)
    released.clock.advance(ABANDON_SECONDS - 1)
    released.tick()
    assert released.round().scoring is Scoring.STATING

    released.clock.advance(2)
    released.tick()

    assert released.round().scoring is Scoring.JUDGING
    assert len(released.service.products.of(OPENERS[0], 1)) == 1
    void = f"no product of {', '.join(SITES[1:])}"
    sign_scores(released, *OPENERS[:2], scores=(), void=void)
    assert canonical.decode(released.service.seats.scores.agreed(1).body, Scores).void == void


def test_openers_that_are_away_leave_a_round_without_scores_in_time(released):
    """None, for good: whoever settles need wait no longer, and nobody earns."""
    state_all(released)
    sign_scores(released, OPENERS[0])
    released.clock.advance(ABANDON_SECONDS + 1)

    released.tick()

    assert released.round().scoring is Scoring.OVER
    assert released.service.seats.scores.agreed(1) is None
    with pytest.raises(NotYet, match="has no scores"):
        released.service.seats.scores.shown(1)


def test_openers_have_their_time_for_a_round_that_others_have_overtaken(monkeypatch):
    """Sites that are away lose it by younger rounds; openers must not, or it pays nobody."""
    monkeypatch.setattr("coordinator.rounds.scoring.MOST_SCORED", 1)
    federation = scored_federation()
    run(federation, 1)
    state(federation, SITES[0])
    run(federation, 2)

    federation.tick(3)

    assert federation.round().scoring is Scoring.JUDGING
    assert len(federation.service.products.of(OPENERS[0], 1)) == 1
    federation.clock.advance(ABANDON_SECONDS + 1)
    federation.tick()
    assert federation.round().scoring is Scoring.OVER


def test_only_the_sites_own_signature_is_kept(released):
    """What else it sends under other names would fill disk, and every opener's answer."""
    signed = signed_by(SITES[0], stated(released, SITES[0]))
    stuffed = Signed(signed.body, {**signed.signatures, SITES[1]: bytes(64), "nobody": bytes(64)})

    released.service.products.put(SITES[0], stuffed, seals(SITES[0]))
    for site in SITES[1:]:
        state(released, site)

    found = released.service.products.of(OPENERS[0], 1)
    assert [set(each.signatures) for each, _ in found] == [{site} for site in sorted(SITES)]


def test_a_restart_begins_the_wait_again(released):
    """Nobody is left out for a time in which the coordinator was not there."""
    state(released, SITES[0])
    released.clock.advance(ABANDON_SECONDS + 1)

    released.start()
    released.tick()

    assert released.round().scoring is Scoring.STATING
    assert released.round().products == (SITES[0],)


# -- what is paid by them ----------------------------------------------------------------


def results(federation: Federation) -> Results:
    service = federation.service
    trees = None  # of no meaning to scores
    return Results(service.archive, service.rosters, trees, service.seats.scores.agreed)


def test_a_round_is_paid_by_its_products(released):
    """`alignment/1`, whose weights are the numbers that openers have signed."""
    state_all(released)
    with pytest.raises(NotYet):
        results(released).scores(released.round())
    found = tuple(Score(name, "", str(256 * at)) for at, name in enumerate(sorted(SITES)))
    sign_scores(released, *OPENERS[:2], scores=found)

    scores = results(released).scores(released.round())

    of = weights(Method.ALIGNMENT, sorted(SITES), scores)
    assert of == {name: 256 * at for at, name in enumerate(sorted(SITES))}


def test_a_round_whose_openers_stay_away_pays_nobody(released):
    """And is settled all the same: what was waited for will not come."""
    state_all(released)
    released.clock.advance(ABANDON_SECONDS + 1)
    released.tick()

    scores = results(released).scores(released.round())

    assert scores is None
    assert set(weights(Method.ALIGNMENT, SITES, scores).values()) == {0}
