"""A report of a demo in which every check held, for tests to show and to spoil."""

from msgspec.structs import replace

from veilsum.demo.caught import Act, Caught
from veilsum.demo.report import Audited, Evidence, Report, RoundReport, SiteRound
from veilsum.demo.seated import Seated, SeatRound, SiteScore
from veilsum.demo.worth import Worth

SITES = ("hospital-a", "hospital-b", "hospital-c", "hospital-d")
KILLED = "hospital-d"
AUDITOR = "audit-office"
SEATS = ("seat-network", "seat-registry", "seat-university")
KILLED_SEAT = "seat-university"


EVIDENCE = Evidence(
    dict.fromkeys(SITES, "ok"),
    "/somewhere/evidence",
    "veilsum audit verify hospital-a.evidence --keys keys.toml --policy policy.toml",
    ("report/report.html", "report/report.pdf"),
)


def one_round(number: int, *absent: str) -> RoundReport:
    """Return a round without the absent sites, the first of which was killed."""
    cohort = tuple(name for name in SITES if name not in absent)
    sites = tuple(
        SiteRound(name, name in cohort, "1 of 2 chunks sent" if name in absent else "")
        for name in SITES
    )
    audited = Audited(AUDITOR, True, len(cohort), 122_940 * len(cohort), 0.25)
    return RoundReport(number, cohort, 0, 3, sites, SITES[:2], (AUDITOR,), audited)


PAID = (327_272, 327_273, 327_274, 218_181)
EXACT = (0.314, 0.252, 0.226, 0.208)
MEASURED = ((0.255, 0.334, None), (0.248, 0.33, None), (0.247, 0.336, None), (0.25, None, None))
UNNOISED = (0.288, 0.259, 0.228, 0.225)


def worths(*, measured: bool) -> dict[str, Worth]:
    """Return what contributions were worth: by three rounds' scores, or by participation."""
    by_site = zip(SITES, PAID, EXACT, MEASURED, UNNOISED, strict=True)
    if measured:
        return {name: Worth(of, paid, quiet, exact) for name, paid, exact, of, quiet in by_site}
    return {name: Worth((0.25,) * 3, paid, None, exact) for name, paid, exact, _, _ in by_site}


def sample(**changes: object) -> Report:
    """Return the report, with changes."""
    report = Report(
        rounds=(one_round(1), one_round(2, KILLED), one_round(3)),
        parameters=16_353,
        accuracy=0.958,
        accuracy_alone=dict(zip(SITES, (0.951, 0.944, 0.937, 0.923), strict=True)),
        accuracy_pooled=0.979,
        epsilon=dict(zip(SITES, (2.841, 2.842, 2.843, 2.844), strict=True)),
        epsilon_left=dict(zip(SITES, (0.159, 0.158, 0.157, 0.156), strict=True)),
        delta="0.001",
        bytes_up=127_500,
        model_digest="5e" * 32,
        holders=SITES,
        transaction="0x" + "7a" * 32,
        payouts=dict(zip(SITES, map(str, PAID), strict=True)),
        worths=worths(measured=False),
        escrow=1_200_000,
        keys="/somewhere/roster.json",
        state_dir="/somewhere",
        logs="/somewhere/logs",
        seconds=47.1,
        wanted_cohorts=(4, 3, 4),
        epsilon_limit=3.0,
        killed=KILLED,
        vector_epsilon=dict(zip(SITES, (2.841, 2.842, 2.843, 2.844), strict=True)),
        vector_epsilon_limit=3.0,
        evidence=EVIDENCE,
    )
    return replace(report, **changes)


def seated(cohort: tuple[str, ...], *, killed: bool = False) -> Seated:
    """Return what three seats did in a round, the third of which may have been killed."""
    seats = tuple(
        SeatRound(name, judged=True, unasked="", certified=True, stated=True) for name in SEATS
    )
    if killed:
        death = replace(seats[2], stated=False, killed_at="cohort signed, its sums not stated")
        seats = (*seats[:2], death)
    void = "seat-university is away" if killed else ""
    scores = () if killed else tuple(SiteScore(name, 296.0, 312.0) for name in cohort)
    return Seated(seats, True, SITES[:3], cohort, scores=scores, void=void)


def shared_sample(**changes: object) -> Report:
    """Return the report of a demo under shares, with changes."""
    without = replace(one_round(2, KILLED), countersigned=(), audited=None)
    rounds = tuple(
        replace(
            each,
            countersigned=(),
            audited=None,
            seated=seated(each.cohort, killed=each.number == 3),
        )
        for each in (one_round(1), without, one_round(3))
    )
    shared = {
        "rounds": rounds,
        "scheme": "shares",
        "bytes_up": 136_000,
        "method": "alignment/1",
        "worths": worths(measured=True),
        "own_noise": 0.991,
        "killed_seat": KILLED_SEAT,
        "seat_kill_round": 3,
    }
    return sample(**{**shared, **changes})


def sample_caught(**changes: object) -> Caught:
    """Return what came of a cheat in which every check held, with changes."""
    caught = Caught(
        scheme="ckks",
        mechanism="local",
        round=3,
        reason="chunk 0, leaf 0: node 0 of level 1 is not the sum of its children",
        proof="bad_sum",
        opened_right=True,
        acts=(
            Act("veilsum audit sum --config /somewhere/auditor.toml --round 3", 2),
            Act("veilsum settle challenge --config /somewhere/auditor.toml", 0),
        ),
        void_from=3,
        head=2,
        bond=300_001,
        slashed=300_001,
        rewarded=150_000,
        burned=150_001,
        collected=150_000,
        gas={"challenge": 268_705, "collect": 57_476, "seal": 45_580},
        challenger="0x" + "74" * 20,
        transaction="0x" + "8f" * 32,
        state_dir="/somewhere",
        logs="/somewhere/logs",
        seconds=70.4,
    )
    return replace(caught, **changes)
