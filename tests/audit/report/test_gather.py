"""The numbers of a report are those of the evidence, accounted again from its events."""

from datetime import UTC, datetime
from functools import cache

import pytest
from msgspec.structs import replace

from privacy.accounting import epsilon_of
from privacy.errors import AccountingMismatch, ConfigError
from privacy.events import SelfComposed
from privacy.evidence.bundle import Document
from privacy.plan import SignedPlan
from privacy.roster import Role
from tests.privacy import example_round as example
from tests.privacy.evidence import example_bundle as made
from veilsum.audit.report import asked, clocks
from veilsum.audit.report.contents import ReleaseFacts, State
from veilsum.audit.report.drawings import drawings_of
from veilsum.audit.report.evidence import read_evidence
from veilsum.audit.report.gather import report_of
from veilsum.audit.report.parts.claim import claim_of
from veilsum.audit.report.parts.layout import layout_of
from veilsum.audit.report.registry import registry_form
from veilsum.audit.report.release import countersigned_of

NOW = datetime(2027, 2, 1, tzinfo=UTC)


@cache
def usual(wanted=""):
    """The report on the usual bundle; accountants take seconds."""
    return report_of((made.bundle(),), wanted=wanted, policy=made.POLICY, keys=made.KEYS, now=NOW)


def reported(*texts, **changes):
    given = {"policy": made.POLICY, "keys": made.KEYS, **changes}
    return report_of(texts or (made.bundle(),), now=NOW, **given)


def test_a_sound_bundle_makes_a_verified_report():
    report = usual()

    assert report.judgement.state is State.VERIFIED
    assert report.judgement.exit_code == 0
    assert report.release.round == 2
    assert report.release.model == made.release(2).model
    assert report.release.plan == made.plan(2).digest()
    assert len(layout_of(report, drawings_of).parts) == 10


def test_epsilon_is_that_of_all_rounds_up_to_the_release():
    """Round one alone costs what one round costs; every model up to the release counts."""
    one = usual(wanted="1")
    both = usual(wanted="2")

    (first,), (second,) = one.datasets, both.datasets
    single = epsilon_of(made.EVENTS.sums, 0.001)
    double = epsilon_of(SelfComposed(2, made.EVENTS.sums), 0.001)
    assert first.sums.release == pytest.approx(single, rel=1e-6)
    assert second.sums.release == pytest.approx(double, rel=1e-6)
    assert first.sums.lifetime == second.sums.lifetime == pytest.approx(double, rel=1e-6)
    assert second.sums.cap == 60.0
    assert second.sums.remaining == pytest.approx(60.0 - double)
    assert (first.rounds, second.rounds) == (1, 2)
    assert first.noise.steps * 2 == second.noise.steps


def test_second_opinions_stand_beside_every_epsilon():
    (one,) = usual().datasets

    for view in (one.sums, one.vector):
        for value, said in (
            (view.release, view.release_opinions),
            (view.lifetime, view.lifetime_opinions),
        ):
            assert said is not None
            assert said.own_rdp == pytest.approx(value, rel=1e-6)
            assert said.google_pld < value


def test_a_release_is_found_by_its_round_or_its_digests():
    model = made.release(1).model

    assert reported(wanted=model[:12]).release.round == 1
    assert usual(wanted="1").release == usual(wanted=model).release


@pytest.mark.parametrize("wanted", ["3", made.release(1).model[:4], "no such release"])
def test_a_release_that_is_not_there_is_not_another_one(wanted):
    """Four letters of a digest are too few to mean one."""
    with pytest.raises(ConfigError, match="not in the evidence"):
        reported(wanted=wanted)


def test_evidence_without_keys_is_not_called_verified():
    report = reported(keys=None)

    assert report.judgement.state is State.EVIDENCE_MISSING
    assert "vouches for its own keys" in str(layout_of(report, drawings_of).parts[0])


def test_a_limit_that_was_passed_is_a_breach():
    strict = replace(made.POLICY, epsilon_for_life="1")

    assert reported(policy=strict).judgement.state is State.POLICY_BREACH


@pytest.mark.parametrize("place", [0.05, 0.3, 0.6, 0.9])
def test_a_changed_byte_makes_a_report_that_says_tampered(place):
    """Such a report is still made: it is what an officer shows."""
    text = bytearray(made.bundle())
    text[int(len(text) * place)] ^= 1

    report = reported(bytes(text))

    assert report.judgement.state is State.TAMPERED
    assert len(layout_of(report, drawings_of).parts) == 10


def test_what_is_no_bundle_makes_a_report_without_numbers():
    report = reported(b"nothing\n")

    assert report.judgement.state is not State.VERIFIED
    assert report.datasets == ()
    assert layout_of(report, drawings_of).claim.startswith("No epsilon")


def test_a_peers_bundle_adds_its_dataset_and_what_it_has_seen():
    seen = made.witness_of(made.rows()[:5])
    peer = made.bundle("birch", 2, seen)

    report = reported(made.bundle(), peer)

    assert [one.participant for one in report.datasets] == ["amber", "birch"]
    (head,) = report.logs[0].witnesses
    assert (head.participant, head.rows) == ("birch", 5)
    assert report.logs[1].witnessed == (replace(head, participant="amber"),)


def test_accountants_that_disagree_leave_no_opinion_and_a_reason(monkeypatch):
    def refuses(*_):
        raise AccountingMismatch("2 by one and 3 by the other")

    monkeypatch.setattr(asked, "opinions_of_all", refuses)

    report = reported()

    (one,) = report.datasets
    assert report.judgement.exit_code == 4
    assert report.judgement.state is State.ACCOUNTING_MISMATCH
    assert (one.sums.release, one.sums.release_opinions) == (None, None)
    assert "2 by one" in report.trouble
    assert "2 by one" in str(layout_of(report, drawings_of).parts[3])


def test_rounds_are_as_the_cohorts_and_results_have_them():
    report = usual()

    assert [one.round for one in report.rounds] == [1, 2]
    assert {one.contributions for one in report.rounds} == {3}
    assert {one.honest for one in report.rounds} == {1}
    assert report.mechanism is not None
    assert report.mechanism.trust.mechanism == "local"


def test_the_spend_grows_as_the_rows_say_and_ends_at_the_limit():
    (spending,) = usual().spending

    single = epsilon_of(made.EVENTS.sums, 0.001)
    assert spending.points[0].sums == pytest.approx(single, rel=1e-6)
    assert spending.sums_cap == 60.0
    assert spending.rounds_left is not None
    assert spending.ahead[-1].sums <= 60.0
    total = SelfComposed(3 + spending.rounds_left, made.EVENTS.sums)
    assert epsilon_of(total, 0.001) > 60.0


def test_a_run_states_what_its_headers_claim_and_no_limit():
    """The coordinator's mirror knows of no other job and of no cap."""
    head = made.head(example.COORDINATOR, "run")
    text = made.sealed(head, *made.documents(1, 2), by=example.COORDINATOR)

    report = reported(text)

    (one,) = report.datasets
    double = epsilon_of(SelfComposed(2, made.EVENTS.sums), 0.001)
    assert one.sums.release == pytest.approx(double, rel=1e-6)
    assert one.sums.lifetime is None
    assert one.sums.cap is None
    assert len(layout_of(report, drawings_of).parts) == 10


@pytest.mark.parametrize(
    "changes",
    [{"text": made.bundle().replace(b"hospital", b"hostital", 1)}, {"keys": None}],
    ids=["tampered", "no keys"],
)
def test_what_is_not_proven_has_no_number(changes):
    """Rows behind the first bad one are not read: what is left would look better than it was."""
    text = changes.pop("text", made.bundle())

    report = reported(text, **changes)

    layout = layout_of(report, drawings_of)
    (one,) = report.datasets
    assert not report.judgement.bears_numbers()
    assert {getattr(view, name) for view in (one.sums, one.vector) for name in VALUES} == {None}
    assert (report.spending, report.risks) == ((), ())
    assert layout.claim.startswith("No epsilon can be stated")
    assert {figure.value for figure in layout.figures} == {"not known"}
    assert "epsilon" not in str(registry_form(report)["record"]["deployment"]["privacy_loss"])


VALUES = ("release", "lifetime", "charged", "remaining")


def test_a_run_witnesses_the_ledgers_of_whom_it_has_headers():
    """The coordinator holds each signed header, and each says how long the ledger was."""
    head = made.head(example.COORDINATOR, "run")
    run = made.sealed(head, *made.documents(1, 2), by=example.COORDINATOR)

    report = reported(made.bundle(), run)

    assert [(one.participant, one.rows) for one in report.logs[0].witnesses] == [
        (example.COORDINATOR, made.beginning(made.SITE).size)
    ]


def test_the_sites_whose_ledgers_are_not_here_are_counted():
    """The roster says who trains; a claim over one ledger says nothing of the others."""
    report = usual()

    claim = claim_of(report)

    trainers = [one for one in example.roster().members if Role.TRAINER in one.roles]
    assert report.sites == tuple(one.participant for one in trainers)
    assert f"from 1 of {len(trainers)} sites' ledgers (amber: ward)" in claim


def test_a_policy_is_named_whole_and_by_its_digest():
    strict = replace(made.POLICY, two_officers=True, vector_epsilon_per_round="8")

    judgement = reported(policy=strict, policy_sha256="ab" * 32).judgement

    assert judgement.policy_sha256 == "ab" * 32
    assert judgement.policy == {
        "δ": "at most 0.001",
        "unit": "patient, add_remove",
        "ε for life, sums only": "60",
        "ε for life, one opened update": "60",
        "ε per round, sums only": "9",
        "ε per round, one opened update": "8",
        "mechanisms": "local",
        "smallest cohort": "3",
        "two officers": "asked for",
        "datasets": "one",
    }


def test_rows_behind_the_release_are_remarked_on():
    remarks = usual(wanted="1").remarks

    assert any("1 row that spends is behind this release" in one for one in remarks)
    assert not any("behind this release" in one for one in usual(wanted="2").remarks)


def test_a_clock_that_cannot_be_right_is_remarked_on():
    """The head says when the bundle was made, and rows say when they were written."""
    early = replace(made.head(), made="2026-11-18T10:00:00+00:00")
    text = made.sealed(early, made.CONFIG, *made.rows(), *made.documents(1, 2))

    remarks = reported(text).remarks

    assert any("before its newest row" in one for one in remarks)


def test_sites_that_are_days_apart_are_remarked_on():
    times = {"amber": "2026-11-20T10:00:00+00:00", "birch": "2026-11-22T11:00:00+00:00"}

    (remark,) = clocks._apart(times)

    assert "birch at 2026-11-22" in remark
    assert list(clocks._apart({**times, "birch": "2026-11-21T09:00:00+00:00"})) == []
    assert list(clocks._apart({"amber": "no time at all"})) == []


def test_the_auditors_signature_is_looked_for_on_the_sums():
    """A plan that names an auditor is no evidence that one has looked."""
    plan = made.plan(1)
    named = SignedPlan(plan.arithmetic, replace(plan.terms, auditor="birch"))
    signers = {1: ("birch",), 2: ()}
    sums = [
        made.document(replace(example.SUM, round=number), example.COORDINATOR, *more)
        for number, more in signers.items()
    ]
    head = made.head(example.COORDINATOR, "run")
    papers = sorted([*made.documents(1, 2), *sums], key=Document.order)
    evidence = tuple(read_evidence([made.sealed(head, *papers, by=example.COORDINATOR)], made.KEYS))

    found = countersigned_of(evidence, named, ReleaseFacts(example.FEDERATION, 2))

    assert found == (1,)


def test_a_head_that_the_ledger_does_not_have_is_no_witness_of_it():
    """It speaks against the ledger, and the verdict says so."""
    other = made.bundle("birch", 2, made.witness_of(made.rows(rounds=1)))

    report = reported(made.bundle(), other)

    assert report.logs[0].witnesses == ()
    assert report.judgement.state is State.TAMPERED
