"""A site declines, or is refused, and the others go on.

One federation, two rounds. site-d's policy refuses the first plan; later it shows
a certificate of the right authority in another site's name. site-c is killed with
one round's budget spent, and has none for the second.
"""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.adapters.authority import certify_participant, load_authority
from participant.keys import certificate_request, load_keys
from privacy.accounting import epsilon_of
from privacy.local_training import LocalTraining
from privacy.mechanism import events_of
from tests.processes.federation import NAME, TRAINING, Federation, federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c", "site-d")
ONE_ROUND = epsilon_of(events_of(LocalTraining(**TRAINING)).sums, 0.001)


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    policies = {"site-d": {"epsilon_per_round": rounds_worth(0.9)}}
    folder = tmp_path_factory.mktemp("refusals")
    with federation(folder, SITES, policies=policies, wanted=2, openers=SITES[:2]) as made:
        made.start_coordinator()
        for name in SITES:
            made.start_site(name, witnessed=name != "site-d")
        made.wait_for_log("site-d", "declined", round=1)
        made.wait_for_committed(1, "site-a", "site-b", "site-c")
        # Both openers are needed, so the second round waits for those who are started again.
        made.send("site-b", signal.SIGSTOP)
        # Before that, site-d would come back to the first round under its new name.
        made.wait_for_log("coordinator", "round_stepped", round=1, phase="opening")
        made.kill("site-c")
        made.configure("site-c", epsilon_for_life=rounds_worth(1.2))
        made.start_site("site-c")
        made.kill("site-d")
        _impersonate(made, "site-d", "site-a")
        made.start_site("site-d")
        assert made.family.running.pop("site-d").wait(60) == 3
        made.wait_for_log("site-c", "joined", count=2)
        made.send("site-b", signal.SIGCONT)
        made.wait_for_end()
        yield made


def rounds_worth(factor: float) -> str:
    """So many times the epsilon of a round, as a limit is written."""
    return f"{factor * ONE_ROUND:.4f}".rstrip("0")


def _impersonate(made: Federation, name: str, other: str) -> None:
    home = made.places.site(name)
    request = certificate_request(load_keys(home / "keys"), NAME, other)
    authority = load_authority(made.places.coordinator / "authority")
    life = timedelta(hours=1)
    certificate = certify_participant(authority, request, other, now=datetime.now(UTC), life=life)
    (home / "certificate.pem").write_bytes(certificate)
    made.configure(name)


def test_a_policy_that_refuses_the_plan_keeps_the_data_untouched(over: Federation) -> None:
    """Its line is named, nothing is reserved, and the round does without the site."""
    declined = over.log("site-d", "declined")[0]

    assert (declined["task"], declined["code"]) == ("Contribute", "policy_refusal")
    assert str(declined["reason"]).startswith("site.toml: policy.epsilon_per_round = ")
    assert over.spending("site-d", 1) == []
    assert over.cohort(1) == ("site-a", "site-b", "site-c")


def test_what_was_spent_before_a_kill_is_still_spent_after_it(over: Federation) -> None:
    """The site was killed after the first of two rounds, and its limit lowered to one."""
    assert over.reserved("site-c") == [2]
    assert over.spending("site-c", 1) == ["COMMIT", "SENT"]
    assert over.log("site-c", "declined")[0]["code"] == "budget_exhausted"
    assert over.spending("site-c", 2) == []


def test_the_others_go_on_without_a_site_whose_budget_is_exhausted(over: Federation) -> None:
    """It contributes no more, and still receives the model."""
    assert over.cohort(2) == ("site-a", "site-b")
    assert over.difference(2) == {0}
    assert over.newest_release("site-c") == over.newest_release("site-a")


def test_another_sites_name_on_a_certificate_is_not_enough(over: Federation) -> None:
    """The connection is taken for site-a's, so it is shown site-a's header, and ends there."""
    said = (over.places.logs / "site-d.log").read_text()

    assert "a header of site-a is shown as one of site-d: is the certificate its own?" in said
    assert len(over.log("site-d", "joined")) == 1
    assert over.spending("site-d", 2) == []
    assert over.spending("site-a", 2) == ["COMMIT", "SENT"]
