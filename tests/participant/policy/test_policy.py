"""The site has the last word, and says with which line of its file it refuses."""

from contextlib import nullcontext

import msgspec
import pytest

from participant.auditing.config import AuditorPolicy
from participant.config import SettlementAccess
from participant.joining.found import entry
from participant.policy import plans as module
from privacy.contribution.scores import Method
from privacy.errors import CohortTooSmall, PolicyRefusal, UnsafeParameters, WrongIdentity
from privacy.local_training import LocalTraining
from privacy.policy_line import PolicyLine
from privacy.roster import Role
from privacy.vectors import model_digest
from tests.participant import signed_round as made

MODEL = model_digest(made.SHAPES, made.FIRST)
OPENERS = 'site.toml: policy.openers = ["amber", "birch", "cedar"]'


def check(plan, policy=None, dataset=made.DATASET, roster=None, model=MODEL, release=None):
    roster = roster or made.roster()
    module.check_plan(plan, policy or made.policy(), dataset, roster, model, release)


def test_a_plan_that_every_line_accepts_is_accepted():
    """The control of all refusals below."""
    check(made.plan())


@pytest.mark.parametrize(
    ("line", "plan", "policy"),
    [
        ("policy.roster", {"roster": "1" * 64}, {}),
        ("policy.roster", {"federation": "cardiology"}, {}),
        ("policy.first_model", {"model": "2" * 64}, {}),
        ("policy.first_model", {"release": "3" * 64}, {}),
        ("policy.schemes", {}, {"schemes": ("shares/1",)}),
        ("policy.schemes", {}, {"schemes": ()}),
        ("policy.smallest_cohort = 4", {}, {"smallest_cohort": 4}),
        ("policy.smallest_cohort = 3", {"cohort_minimum": 2}, {}),
        ("policy.without_auditor = false", {}, {"without_auditor": False}),
        ("policy.without_auditor", {"auditor": "delta"}, {}),
        ("policy.openers", {"openers": ("amber", "watch")}, {}),
        ("cedar is not among them", {}, {"openers": ("amber", "birch")}),
        ("2 of 4 are not", {"openers": ("amber", "birch")}, {"openers": made.TRAINERS}),
        ('policy.unit = "record"', {}, {"unit": "record"}),
        ('policy.neighbouring = "replace"', {}, {"neighbouring": "replace"}),
        ('policy.delta = "0.0001"', {}, {"delta": "0.0001"}),
        ("policy.releases", {}, {"releases": ()}),
        ('policy.epsilon_per_round = "0.5"', {}, {"epsilon_per_round": "0.5"}),
        ("policy.most_rounds = 1000: the plan would set aside 1001", {"rounds_left": 1001}, {}),
        ("policy.most_rounds = 2", {"rounds_left": 3}, {"most_rounds": 2}),
    ],
)
def test_every_refusal_names_its_line(line, plan, policy):
    """Who reads the log must know which line of site.toml to talk about."""
    with pytest.raises(PolicyRefusal) as refused:
        check(made.plan(**plan), made.policy(**policy))

    assert line in str(refused.value)


@pytest.mark.parametrize(
    ("method", "refused"),
    [
        (None, ""),
        (Method.PARTICIPATION, ""),
        (Method.ALIGNMENT, "which round 1 does not open"),
        (Method.NORM, "it needs squared-norm and alignment"),
    ],
)
def test_a_plan_by_which_a_site_could_not_be_paid_is_refused(tmp_path, method, refused):
    """Its update would cost epsilon, and it would earn nothing."""
    settlement = SettlementAccess(
        rpc="http://127.0.0.1:1",
        chain_id=1,
        contract="0x" + "11" * 20,
        payee="0x" + "22" * 20,
        keystore=tmp_path / "gas.json",
        passphrase=tmp_path / "passphrase",
        method=method,
    )

    for settled in (None, settlement):
        with pytest.raises(PolicyRefusal, match=refused) if refused and settled else nullcontext():
            module.check_payable(made.plan(), settled)


def test_one_organisation_cannot_hold_two_openers_keys():
    """Two openers agree on a release; of one organisation, they would be one."""
    roster = made.roster_with(birch="amber hospital")

    with pytest.raises(PolicyRefusal, match="different organisations"):
        check(made.plan(roster=roster.digest()), roster=roster)


def test_an_opener_outside_of_the_roster_is_refused():
    """The coordinator's plan admits nobody."""
    with pytest.raises(WrongIdentity, match="mallory"):
        check(made.plan(openers=("amber", "mallory")))


def test_an_auditor_of_an_openers_organisation_is_none():
    """It would hold the key that opens what it is to guard."""
    roster = made.roster_with(watch="amber hospital")

    with pytest.raises(PolicyRefusal, match=r"policy\.without_auditor"):
        check(made.plan(roster=roster.digest(), auditor="watch"), roster=roster)


def test_an_auditor_of_a_trainers_organisation_is_none():
    """Delta opens nothing in this plan; in the next it may, and its data is in the sum."""
    roster = made.roster_with(watch="delta hospital")

    with pytest.raises(PolicyRefusal, match=r"policy\.without_auditor = true: .*that of delta"):
        check(made.plan(roster=roster.digest(), auditor="watch"), roster=roster)


def _with(other):
    return tuple(sorted((*made.roster().members, other), key=lambda each: each.participant))


def with_roles(*roles):
    """The roster, where the auditor has these roles."""
    members = tuple(
        msgspec.structs.replace(m, roles=roles) if m.participant == "watch" else m
        for m in made.roster().members
    )
    return msgspec.structs.replace(made.roster(), members=members)


@pytest.mark.parametrize(
    "roles", [(), (Role.TRAINER,), (Role.AUDITOR, Role.TRAINER), (Role.AUDITOR, Role.AGGREGATOR)]
)
def test_an_auditor_is_nothing_else(roles):
    """Who trains may hold a key; who adds would check itself."""
    roster = with_roles(*roles)

    with pytest.raises(PolicyRefusal, match=r"policy\.without_auditor = true: watch is no auditor"):
        check(made.plan(roster=roster.digest(), auditor="watch"), roster=roster)


def test_an_auditor_of_an_aggregators_organisation_is_none():
    """It would add again what it has added."""
    other = entry(made.keys("seat"), "seat", "watch office", "", ("aggregator",))
    roster = msgspec.structs.replace(made.roster(), members=_with(other))

    with pytest.raises(PolicyRefusal, match="also that of seat"):
        check(made.plan(roster=roster.digest(), auditor="watch"), roster=roster)


def test_an_auditor_is_needed_by_an_opener_too():
    """`check_round` is what an opener asks before it opens."""
    roster = made.roster_with(watch="delta hospital")
    plan = made.plan(roster=roster.digest(), auditor="watch")

    module.check_round(made.plan(auditor="watch"), made.policy(), made.roster())
    with pytest.raises(PolicyRefusal):
        module.check_round(plan, made.policy(), roster)


ACCEPTED = AuditorPolicy(made.roster().digest(), (made.CKKS,), 3)


@pytest.mark.parametrize(
    ("words", "plan", "policy"),
    [
        ("policy.roster", {"roster": "1" * 64}, {}),
        ("policy.roster", {"federation": "cardiology"}, {}),
        ("policy.schemes", {}, {"schemes": ()}),
        ("names None as its auditor", {"auditor": None}, {}),
        ("names delta as its auditor", {"auditor": "delta"}, {}),
        ("policy.roster", {"openers": ("amber", "birch", "other")}, {}),
    ],
)
def test_an_auditor_signs_for_no_other_plan(words, plan, policy):
    """Its own file has the last word, as a site's has."""
    other = entry(made.keys("other"), "other", "other office", "", ("auditor",))
    roster = msgspec.structs.replace(made.roster(), members=_with(other))
    of = made.plan(**({"auditor": "watch", "roster": roster.digest()} | plan))
    accepted = msgspec.structs.replace(ACCEPTED, **policy)

    with pytest.raises(PolicyRefusal, match=words):
        module.check_audit(of, "watch", accepted, roster)
    honest = made.plan(auditor="watch", roster=roster.digest())
    module.check_audit(honest, "watch", ACCEPTED, roster)


def test_an_auditor_of_the_roster_is_accepted():
    """The line is satisfied by an auditor whom members have admitted, not by a name."""
    check(made.plan(auditor="watch"), made.policy(without_auditor=False))

    with pytest.raises(WrongIdentity):
        check(made.plan(auditor="nobody"), made.policy(without_auditor=False))


@pytest.mark.parametrize("records", [1000, 1001, 10**9])
def test_delta_stays_below_one_over_the_records(records):
    """At delta 1/n a mechanism may publish one whole patient."""
    dataset = msgspec.structs.replace(made.DATASET, records=records)

    with pytest.raises(PolicyRefusal, match=rf"dataset\.records = {records}"):
        check(made.plan(), dataset=dataset)


def test_delta_just_below_one_over_the_records_is_accepted():
    """The other side of the edge, decided in fractions and not in float."""
    check(made.plan(), dataset=msgspec.structs.replace(made.DATASET, records=999))


def test_a_delta_below_the_policys_is_accepted_and_costed_at_the_policys():
    """The plan cannot make a round look cheap: the site's own delta is what its limits mean."""
    check(made.with_privacy(delta="0.000001"))


def test_a_release_beyond_the_list_is_named():
    """Participation is let out; a site's loss is not."""
    with pytest.raises(PolicyRefusal, match="loss"):
        check(made.with_privacy(releases=("participation", "loss")))


def test_more_steps_cost_more_than_the_line_allows():
    """The cost is computed here, from the plan's own numbers."""
    training = LocalTraining("0.5", "2.75", 60, "1", "1", 50)

    with pytest.raises(PolicyRefusal, match=r"epsilon_per_round = \"3\": the round costs \d"):
        check(made.with_privacy(training=training))


def test_organisations_are_counted_and_not_names():
    """Sybils of one organisation hide nobody."""
    roster = made.roster_with(birch="amber hospital", cedar="amber hospital")

    with pytest.raises(CohortTooSmall, match="2 organisations"):
        module.check_cohort(made.TRAINERS, made.policy(), 2, roster)

    module.check_cohort(made.TRAINERS[:3], made.policy(), 2, made.roster())


@pytest.mark.parametrize(("minimum", "smallest"), [(4, 2), (2, 4)])
def test_the_stricter_of_plan_and_policy_counts(minimum, smallest):
    """Neither can lower the other."""
    policy = made.policy(smallest_cohort=smallest)

    with pytest.raises(CohortTooSmall):
        module.check_cohort(made.OPENERS, policy, minimum, made.roster())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"roster": "1" * 64}, "policy.roster"),
        ({"scheme": "plain/1"}, "policy.schemes"),
        ({"openers": ("amber", "watch")}, "policy.openers"),
        ({"openers": ("amber", "delta")}, "delta is not among them"),
    ],
)
def test_no_key_is_made_for_an_order_that_the_policy_refuses(changes, words):
    """The order comes from the coordinator and is signed by nobody."""
    with pytest.raises(PolicyRefusal) as refused:
        module.check_specification(made.specification(**changes), made.policy(), made.roster())

    assert words in str(refused.value)


def test_a_plan_without_two_openers_does_not_exist():
    """Nobody opens alone."""
    with pytest.raises(UnsafeParameters):
        made.plan(openers=("amber",))


@pytest.mark.parametrize(
    ("openers", "words"),
    [
        (("amber", "delta"), OPENERS + ": delta is not among them"),
        (("delta", "birch", "amber"), OPENERS + ": delta is not among them"),
        (("amber",), OPENERS + ": 1 of 3 are not more than half"),
    ],
)
def test_openers_are_the_sites_to_choose(openers, words):
    """An opener that works with the coordinator opens single updates."""
    with pytest.raises(PolicyRefusal) as refused:
        module.check_openers(openers, made.policy(), made.roster())

    assert str(refused.value) == words


@pytest.mark.parametrize("openers", [("amber", "birch"), ("cedar", "amber"), made.OPENERS])
def test_more_than_half_of_the_listed_openers_are_enough(openers):
    """In any order: two of three, or all of them."""
    module.check_openers(openers, made.policy(), made.roster())


def test_half_of_the_listed_openers_are_not_enough():
    """The other half could open apart from them."""
    policy = made.policy(openers=made.TRAINERS)

    module.check_openers(made.OPENERS, policy, made.roster())
    with pytest.raises(PolicyRefusal, match="2 of 4 are not more than half"):
        module.check_openers(made.OPENERS[:2], policy, made.roster())


def test_a_list_of_no_openers_accepts_none():
    """A site whose file lists nobody takes part in nothing."""
    with pytest.raises(PolicyRefusal, match=r"policy\.openers = \[\]: amber, birch is not"):
        module.check_openers(("amber", "birch"), made.policy(openers=()), made.roster())


def with_operator(organisation):
    desk = made.roster().member("watch")
    desk = msgspec.structs.replace(
        desk, participant="desk", organisation=organisation, roles=(Role.OPERATOR,),
        signing_key=made.keys("desk").signing_public, sealing_key=made.keys("desk").sealing_public,
    )  # fmt: skip
    members = sorted((*made.roster().members, desk), key=lambda each: each.participant)
    return msgspec.structs.replace(made.roster(), members=tuple(members))


def test_no_opener_is_of_the_organisation_that_operates_the_coordinator():
    """It has the ciphertexts already; whatever the coordinator accepts, a site refuses."""
    opener = made.roster().member("amber")

    module.check_openers(made.OPENERS, made.policy(), with_operator("The office"))
    with pytest.raises(PolicyRefusal, match="amber is an opener and of"):
        module.check_openers(made.OPENERS, made.policy(), with_operator(opener.organisation))


def test_no_auditor_is_of_the_organisation_that_operates_the_coordinator():
    """It would audit itself."""
    watch, by = made.roster().member("watch"), PolicyLine("site.toml", "x", "y")

    module.check_auditor("watch", with_operator("The office"), by)
    with pytest.raises(PolicyRefusal, match="desk, which is operator"):
        module.check_auditor("watch", with_operator(watch.organisation), by)


# -- mechanism distributed ---------------------------------------------------------------

BOTH = {"mechanisms": ("local", "distributed")}


def shared_noise(**changes):
    return made.plan(**made.shared_noise(**changes))


FORTY = msgspec.structs.replace(made.DATASET, records=40)


def test_a_mechanism_that_the_site_accepts_is_accepted():
    """The control of the refusals below."""
    check(shared_noise(), made.policy(**BOTH), FORTY)
    check(made.plan(), made.policy(**BOTH))


@pytest.mark.parametrize("mechanisms", [None, ("local",), ()])
def test_shared_noise_is_refused_where_the_file_does_not_name_it(mechanisms):
    """It rests on other sites' noise, so no site is moved to it by a plan alone."""
    policy = made.policy() if mechanisms is None else made.policy(mechanisms=mechanisms)

    with pytest.raises(PolicyRefusal, match=r"policy\.mechanisms = .*: distributed is not"):
        check(shared_noise(), policy, FORTY)


def test_local_noise_is_refused_where_only_the_other_is_named():
    """The list is the site's, in both directions."""
    with pytest.raises(PolicyRefusal, match=r"policy\.mechanisms = .*: local is not"):
        check(made.plan(), made.policy(mechanisms=("distributed",)))


# sigma is 4 towards the sum, 4/sqrt(2) towards who opens the update: 0.688 and 1.030 at 0.001.
@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ({"epsilon_per_round": "0.6"}, r"epsilon_per_round = \"0\.6\": the round costs 0\.688"),
        ({"epsilon_per_round": "1"}, r"epsilon_per_round = \"1\": the round costs 1\.03.*open"),
        (
            {"epsilon_per_round": "1", "vector_epsilon_per_round": "1.01"},
            r"policy\.vector_epsilon_per_round = \"1\.01\": the round costs 1\.03.*open this",
        ),
    ],
)
def test_a_round_that_costs_too_much_in_one_view_names_the_line(limits, line):
    """Who can open one update sees it with one site's noise, and that is limited by itself."""
    with pytest.raises(PolicyRefusal, match=line):
        check(shared_noise(), made.policy(**BOTH, **limits), FORTY)


def test_the_two_views_have_limits_of_their_own():
    """What is wide for the coalition does not widen what everybody may learn."""
    limits = {"epsilon_per_round": "1", "vector_epsilon_per_round": "1.04"}

    check(shared_noise(), made.policy(**BOTH, **limits), FORTY)


def test_both_views_of_local_noise_are_held_to_both_limits():
    """They are the same event, so the lower limit counts."""
    with pytest.raises(PolicyRefusal, match=r"policy\.vector_epsilon_per_round = \"0\.5\""):
        check(made.plan(), made.policy(vector_epsilon_per_round="0.5"))


def test_a_cap_below_the_sites_own_is_refused_before_data_is_touched():
    """Forty-one patients in a plan for forty: one would have to be chosen to be left out."""
    dataset = msgspec.structs.replace(made.DATASET, records=41)

    with pytest.raises(PolicyRefusal, match=r"dataset\.records = 41: the plan has room for 40"):
        check(shared_noise(), made.policy(**BOTH), dataset)


@pytest.mark.parametrize("records", [1000, 10**6])
def test_delta_stays_below_one_over_the_records_under_shared_noise(records):
    """The same rule whatever the mechanism."""
    dataset = msgspec.structs.replace(made.DATASET, records=records)

    with pytest.raises(PolicyRefusal, match="is not below 1/records"):
        check(shared_noise(), made.policy(**BOTH), dataset)


def test_a_cohort_of_fewer_than_honest_sites_and_colluders_is_too_small():
    """Four sites of three organisations, where the noise counts on two and two colluders."""
    plan = made.plan(**made.shared_noise(colluders=2), cohort_minimum=4, quorum=4)
    roster = made.roster_with(delta="amber hospital")

    with pytest.raises(CohortTooSmall, match="the cohort has 3 organisations; the plan asks for 4"):
        module.check_cohort(made.TRAINERS, made.policy(), plan.terms.cohort_minimum, roster)
