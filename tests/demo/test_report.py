"""The report: what it claims follows from what was found, and one false claim is enough."""

import json

import pytest
from msgspec.structs import replace

from tests.demo.sample_report import SEATS, SITES, one_round, sample, seated, shared_sample

NAMED = {
    "rounds",
    "scheme",
    "exact",
    "audited",
    "cohort_sizes",
    "accuracy",
    "accuracy_alone",
    "accuracy_pooled",
    "epsilon",
    "delta",
    "bytes_per_parameter_up",
    "model_digest",
    "settlement",
    "keys",
    "seconds",
    "state_dir",
}


def test_a_demo_in_which_all_went_well_holds_every_check() -> None:
    """Otherwise the demo could never end with status 0."""
    assert all(sample().checks().values())


def one_off(difference: int | None, openings: int = 3, **changes: object) -> dict[str, object]:
    second = one_round(2, "hospital-d")
    spoiled = replace(second, difference=difference, openings=openings, **changes)
    return {"rounds": (one_round(1), spoiled, one_round(3))}


def other_audit(**changes: object) -> dict[str, object]:
    first = one_round(1)
    spoiled = replace(first, audited=replace(first.audited, **changes))
    return {"rounds": (spoiled, one_round(2, "hospital-d"), one_round(3))}


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        (one_off(1), "every sum is exactly"),
        (one_off(None, 0), "every sum is exactly"),
        (one_off(0, 1), "every sum is exactly"),
        ({"rounds": ()}, "every sum is exactly"),
        (other_audit(equal=False), "every sum was added again"),
        (other_audit(contributions=3), "every sum was added again"),
        (other_audit(auditor="hospital-a"), "every sum was added again"),
        (one_off(0, audited=None), "every sum was added again"),
        (one_off(0, countersigned=()), "every sum was added again"),
        ({"rounds": ()}, "every sum was added again"),
        ({"rounds": (one_round(1), one_round(2), one_round(3))}, "cohorts are"),
        ({"holders": SITES[:3]}, "every trainer holds"),
        ({"accuracy": 0.899}, "accuracy is"),
        ({"epsilon": dict.fromkeys(SITES, 3.001)}, "epsilon is"),
        ({"epsilon": dict.fromkeys(SITES, 0.0)}, "epsilon is"),
        ({"bytes_up": 16_353 * 8 + 1}, "an upload takes"),
        ({"bytes_up": 0}, "an upload takes"),
        ({"payouts": dict.fromkeys(SITES, "1")}, "every hospital is paid"),
        ({"payouts": {}, "worths": {}}, "every hospital is paid"),
        ({"escrow": 1_199_999}, "every hospital is paid"),
    ],
)
def test_one_thing_that_went_wrong_fails_its_check(changes: dict[str, object], claim: str) -> None:
    """A number that was never measured fails too."""
    held = sample(**changes).checks()

    assert [words for words, well in held.items() if words.startswith(claim) and well] == []
    assert [words for words, well in held.items() if words.startswith(claim)] != []


def test_the_json_object_has_all_that_is_promised() -> None:
    """And nothing in it that JSON cannot say."""
    found = json.loads(json.dumps(sample().to_json()))

    assert found.keys() >= NAMED
    assert found["settlement"].keys() == {"transaction", "payouts", "escrow", "method"}
    assert found["cohort_sizes"] == [4, 3, 4]
    assert (found["rounds"], found["scheme"], found["delta"]) == (3, "ckks", 0.001)
    assert found["bytes_per_parameter_up"] == pytest.approx(127_500 / 16_353, abs=1e-4)


def test_a_demo_under_shares_in_which_all_went_well_holds_every_check() -> None:
    """With a seat killed in round three, and so without scores there."""
    checks = shared_sample().checks()

    assert all(checks.values())
    assert not any("auditor" in claim for claim in checks)


def other_seats(number: int, **changes: object) -> dict[str, object]:
    """Rounds of which one has other seats' work than the sample's."""
    rounds = [
        replace(each, seated=replace(each.seated, **changes)) if each.number == number else each
        for each in shared_sample().rounds
    ]
    return {"rounds": tuple(rounds)}


def silent(*names: str) -> dict[str, object]:
    """The seats of a round in which these state nothing."""
    seats = seated(SITES).seats
    return {"seats": tuple(replace(e, stated=e.participant not in names) for e in seats)}


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        (other_seats(1, certified=False), "every cohort is certified"),
        (other_seats(1, **silent(*SEATS[:2])), "every cohort is certified"),
        (other_seats(2, checked=SITES[:2]), "every update in a sum keeps"),
        (other_seats(3, checked=()), "every update in a sum keeps"),
        (other_seats(1, scores=seated(SITES[:3]).scores), "every update has scores"),
        (other_seats(1, scores=(), void="signed differently"), "every update has scores"),
        (other_seats(3, scores=seated(SITES).scores), "every update has scores"),
        (other_seats(3, void=""), "every update has scores"),
        (other_seats(3, **silent()), "round 3 ended without seat-university"),
        (other_seats(1, **silent(SEATS[2])), "round 3 ended without seat-university"),
        ({"rounds": (one_round(1), one_round(2, "hospital-d"), one_round(3))}, "every cohort is"),
        ({"rounds": ()}, "every cohort is certified"),
        ({"bytes_up": 16_353 * 17 // 2 + 1}, "an upload takes at most 8.5"),
    ],
)
def test_one_thing_that_seats_did_otherwise_fails_its_check(
    changes: dict[str, object], claim: str
) -> None:
    """What was not found out does not count as right."""
    held = shared_sample(**changes).checks()

    assert [words for words, well in held.items() if words.startswith(claim) and well] == []
    assert [words for words, well in held.items() if words.startswith(claim)] != []


def test_the_json_object_of_shares_says_what_seats_did() -> None:
    """Of each round: each seat, whose norms were held to the bound, and the scores."""
    found = json.loads(json.dumps(shared_sample().to_json()))
    first, _, third = found["history"]

    assert found.keys() >= NAMED
    assert (found["scheme"], found["audited"]) == ("shares", None)
    assert [each["stated"] for each in third["seated"]["seats"]] == [True, True, False]
    assert first["seated"]["checked"] == list(SITES)
    assert first["seated"]["scores"][0] == {
        "participant": "hospital-a",
        "squared_norm": 296.0,
        "alignment": 312.0,
    }
