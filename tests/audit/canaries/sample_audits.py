"""Results of audits, one for each verdict."""

from msgspec.structs import replace

from veilsum.audit.canaries.result import PrivacyAudit, Test, Verdict, View

SUMS = View(
    name="sums",
    claimed=4.0,
    one_run=1.71,
    trade_off=2.43,
    expected_one_run=1.67,
    expected_trade_off=2.38,
    floor=1.67,
    canaries=5000,
    included=2507,
    guesses=500,
    right=439,
    noise=Test(1.01, -1.1, 0.007),
    gap=Test(0.99, -0.25, 0.02),
)

PASSED = PrivacyAudit(
    subject="as shipped",
    mechanism="distributed",
    scheme="shares/1",
    training={"kind": "distributed"},
    claimed=4.0,
    delta=1e-5,
    confidence=0.95,
    rounds=4,
    canaries=5000,
    held_out=2500,
    views=(SUMS, replace(SUMS, name="vector", claimed=5.97)),
    dependence=Test(0.01, 1.25, 0.01),
    participation=Test(1.03, 1.5, 0.02),
    batch_sizes=Test(0.9, 0.3, 0.29),
    findings=(),
    verdict=Verdict.PASSED,
    seconds=4.6,
)
WEAK = replace(PASSED, verdict=Verdict.TOO_WEAK, findings=("sums: take more canaries",))
VIOLATED = replace(
    PASSED, verdict=Verdict.VIOLATED, findings=("sums: noise is 0.50 of what is claimed (z 53)",)
)
CAUGHT = replace(
    VIOLATED,
    subject="a record without numbers",
    views=(),
    dependence=None,
    participation=None,
    batch_sizes=None,
    findings=("a record without numbers stops the round",),
)
