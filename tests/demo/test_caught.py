"""What a cheat has come to: each claim follows from what was found, and the screen says it all."""

import json
from io import StringIO

import pytest
from rich.console import Console

from tests.demo.sample_report import sample_caught
from veilsum.demo.caught import MOST_CHALLENGE_GAS
from veilsum.demo.caught_screen import show


def test_a_cheat_that_was_caught_holds_every_check() -> None:
    """Otherwise `demo --cheat` could never end with status 0."""
    assert all(sample_caught().checks().values())


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"opened_right": False}, "every sum that was opened"),
        ({"proof": ""}, "the auditor proves"),
        ({"proof": "bad_payout"}, "the auditor proves"),
        ({"void_from": None}, "round 3 is void"),
        ({"void_from": 2}, "round 3 is void"),
        ({"head": 1}, "round 3 is void"),
        ({"slashed": 300_000}, "the coordinator has lost"),
        ({"slashed": 0, "bond": 0}, "the coordinator has lost"),
        ({"collected": 0}, "half of it"),
        ({"burned": 0}, "half of it"),
        ({"rewarded": 300_001, "collected": 300_001, "burned": 0}, "half of it"),
        ({"gas": {"challenge": MOST_CHALLENGE_GAS + 1}}, "the challenge took"),
        ({"gas": {}}, "the challenge took"),
    ],
)
def test_one_thing_that_went_otherwise_fails_its_check(
    changes: dict[str, object], claim: str
) -> None:
    """What was never found out fails, too."""
    held = sample_caught(**changes).checks()

    assert [words for words, well in held.items() if words.startswith(claim) and well] == []
    assert [words for words in held if words.startswith(claim)] != []


def test_the_json_object_has_proof_stake_and_gas() -> None:
    """For whoever reads it by machine; nothing in it that JSON cannot say."""
    found = json.loads(json.dumps(sample_caught().to_json()))

    assert (found["proof"], found["round"], found["slashed"]) == ("bad_sum", 3, 300_001)
    assert found["gas"] == {"challenge": 268_705, "collect": 57_476, "seal": 45_580}
    assert [each["status"] for each in found["acts"]] == [2, 0]
    assert set(found["checks"].values()) == {True}


@pytest.mark.parametrize("width", [80, 100])
def test_the_screen_shows_the_challenge_the_slashed_stake_and_the_gas(width: int) -> None:
    """At the widths that terminals have, with nothing cut off."""
    text = shown(width)
    words = "".join(text.split())

    wanted = ["veilsum audit sum", "veilsum settle challenge", "node 0 of level 1", "bad_sum"]
    wanted += ["0x" + "8f" * 32, "300,001 of 300,001", "150,000 to the challenger", "268,705"]
    assert [item for item in wanted if "".join(item.split()) not in words.replace("│", "")] == []
    assert "…" not in text
    assert "NO " not in text


def test_a_cheat_that_nobody_proved_is_shown_as_that() -> None:
    """No proof, no challenge, nothing slashed: words, and a check that says NO."""
    text = shown(100, proof="", transaction="", challenger="", gas={}, slashed=0, void_from=None)

    assert "Proof        NONE, by NOBODY" in text
    assert "Challenge    NONE" in text
    assert "NO " in text


def shown(width: int, **changes: object) -> str:
    """The screen of the sample, with changes."""
    out = StringIO()
    show(sample_caught(**changes), Console(file=out, width=width, highlight=False))
    return out.getvalue()
