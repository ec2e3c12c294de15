"""A whole report by hand, with every part filled, and names that somebody hostile has chosen."""

from msgspec.structs import replace

from privacy.events import Gaussian, SelfComposed
from veilsum.audit.report.contents import (
    Accounting,
    ApprovalFacts,
    DatasetSpend,
    Finding,
    Judgement,
    LogFacts,
    MechanismFacts,
    NoiseFacts,
    Point,
    ReleaseFacts,
    Report,
    RoundFacts,
    SeenHead,
    Source,
    Spending,
    State,
    TestFacts,
    Trust,
    UseOfData,
    View,
)
from veilsum.audit.report.risk import risks_of
from veilsum.audit.second_opinion import opinions

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}#panic()[*x*]$y$"
DIGEST = "3f5a" * 16


def view(sigma: str, cap: float) -> View:
    """Twenty rounds of a release, twenty-five for life."""
    release = opinions(SelfComposed(20, Gaussian(sigma)), 1e-4)
    life = opinions(SelfComposed(25, Gaussian(sigma)), 1e-4)
    return View(
        release=release.own_rdp,
        lifetime=life.own_rdp,
        charged=life.own_rdp,
        cap=cap,
        remaining=cap - life.own_rdp,
        release_opinions=release,
        lifetime_opinions=life,
    )


def spend(participant: str = "amber") -> DatasetSpend:
    """What one dataset has given away."""
    return DatasetSpend(
        participant=participant,
        organisation=HOSTILE,
        dataset="hearts",
        version=2,
        parent=1,
        unit="patient",
        neighbouring="add_remove",
        max_records_per_unit=4,
        delta="0.0001",
        sums=view("14.25", 3.0),
        vector=view("8.25", 6.0),
        noise=NoiseFacts(("1",), 20, ("14.25",), ("8.25",)),
        clips=("1",),
        rounds=20,
        honest=3,
    )


def report(state: State = State.VERIFIED) -> Report:
    """All ten parts, filled."""
    datasets = (spend(),)
    return Report(
        v=1,
        made="2026-11-21T17:00:00+00:00",
        product="0.1.0",
        judgement=Judgement(
            state=state,
            exit_code=0,
            sentence="All was checked.",
            keys=DIGEST,
            policy={"δ": "at most 0.0001", "two officers": "asked for"},
            policy_sha256=DIGEST,
            findings=(Finding("policy", "amber", 7, HOSTILE),),
        ),
        release=ReleaseFacts("cardio", 20, "cardio", "2026-11-20T10:00:00+00:00", *[DIGEST] * 6),
        sources=(
            Source(
                "site", "amber", HOSTILE, "2026-11-20T10:00:00Z", DIGEST, DIGEST, {"a": HOSTILE}
            ),
        ),
        datasets=datasets,
        rounds=(RoundFacts(1, 4, 3), RoundFacts(2, 4, 3), RoundFacts(3, 3, 2, (HOSTILE,))),
        mechanism=MechanismFacts(
            Trust("distributed", 3, 1, "shares, sum/1", "birch", (1, 2, 3, 5)),
            "none",
            "discrete",
            ("scores",),
            200,
        ),
        accountants=Accounting("veilsum-rdp/1", ("2", "4"), {"dp-accounting": "0.6.0"}),
        approvals=(
            ApprovalFacts("amber", 4, "2026-11-01", "alice", (("bob", DIGEST),), {"δ": "0.0001"}),
        ),
        uses=(UseOfData("amber", 5, "2026-11-02", "pre-processing", HOSTILE, 0.1, 0.2),),
        tests=(
            TestFacts(
                participant="amber",
                row=6,
                when="2026-11-03",
                actor=HOSTILE,
                claimed=4.0,
                lower_bound=1.7,
                confidence="0.95",
                delta="0.00001",
                canaries=999,
                passed=True,
                report=DIGEST,
                mechanism="distributed",
                scheme="shares/1",
                vector_lower_bound=2.9,
            ),
        ),
        logs=(
            LogFacts(
                participant="amber",
                rows=30,
                size=30,
                root=DIGEST,
                last="2026-11-20",
                witnesses=(SeenHead("birch", 28),),
                witnessed=(SeenHead("cedar", 17),),
                settled="paid",
            ),
        ),
        spending=(
            Spending(
                "amber",
                "hearts",
                (
                    Point("2026-11-01T00:00:00+00:00", 0.5, 0.8),
                    Point("2026-11-09T00:00:00+00:00", 0.9, 1.4),
                ),
                3.0,
                6.0,
                12,
                "2027-02-01T00:00:00+00:00",
                (Point("2027-02-01T00:00:00+00:00", 2.9, 5.9),),
            ),
        ),
        risks=tuple(risks_of(datasets)),
        sites=("amber", "birch", "cedar", "dill"),
        remarks=(HOSTILE,),
    )


def empty(state: State = State.EVIDENCE_MISSING) -> Report:
    """Nothing is known."""
    return replace(
        report(state),
        release=ReleaseFacts("cardio", None),
        sources=(),
        datasets=(),
        rounds=(),
        mechanism=None,
        approvals=(),
        uses=(),
        tests=(),
        logs=(),
        spending=(),
        risks=(),
    )
