"""The report: what it claims follows from what was found, and one false claim is enough."""

import json

import pytest
from msgspec.structs import replace

from tests.demo.sample_report import SITES, one_round, sample

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
        ({"payouts": dict.fromkeys(SITES, "1")}, "the whole escrow"),
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
    assert found["settlement"].keys() == {"transaction", "payouts"}
    assert found["cohort_sizes"] == [4, 3, 4]
    assert (found["rounds"], found["scheme"], found["delta"]) == (3, "ckks", 0.001)
    assert found["bytes_per_parameter_up"] == pytest.approx(127_500 / 16_353, abs=1e-4)
