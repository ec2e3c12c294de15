"""The audit: what is shipped passes, every defect put in is caught, and weakness is no pass."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace as changed

from privacy.plan import Mechanism
from veilsum.audit.canaries.audit import audit
from veilsum.audit.canaries.contribution import contribute, contribute_under
from veilsum.audit.canaries.controls import CONTROLS, controls_of
from veilsum.audit.canaries.result import PrivacyAudit, Verdict

from .small_audit import DISTRIBUTED, SETTINGS, keys

SLOW = ("half of the noise", "clipped at three times the bound", "one seed for all sites")

EACH_CONTROL = [
    pytest.param(
        mechanism,
        control,
        id=f"{mechanism} {control.name}",
        # A site's own training for each unit is what takes long; `--controls` shows all of them.
        marks=[pytest.mark.deep] if control.name in SLOW and mechanism is Mechanism.LOCAL else [],
    )
    for mechanism in Mechanism
    for control in controls_of(mechanism)
]

SAYS = {
    "half of the noise": "noise is 0.5",
    "clipped at three times the bound": "times as far as the clip allows",
    "one seed for all sites": "the noise of different sites is correlated",
    "a part of the noise for too many sites": "noise is 0.8",
    "shuffled batches": "times as much as Poisson sampling lets it",
    "batches of a fixed size": "the size of batches varies 0.0",
    "a record without numbers": "a record without numbers stops the round",
}


@pytest.mark.parametrize("mechanism", list(Mechanism))
def test_what_is_shipped_passes(mechanism):
    """With bounds above the floor and below the claim, in each view."""
    setting = SETTINGS[mechanism]

    found = audit(setting, entropy=keys())

    assert found.findings == ()
    assert found.verdict is Verdict.PASSED
    assert len(found.views) == (1 if mechanism is Mechanism.LOCAL else 2)
    for view in found.views:
        assert view.floor < view.trade_off < view.claimed
        assert view.one_run <= view.trade_off


@pytest.mark.parametrize(("mechanism", "control"), EACH_CONTROL)
def test_every_control_is_caught_by_the_test_that_is_for_it(mechanism, control):
    """An audit that has never failed proves nothing."""
    found = audit(SETTINGS[mechanism], control.name, control.make, keys())

    assert found.verdict is Verdict.VIOLATED
    assert any(SAYS[control.name] in words for words in found.findings)
    assert found.subject == control.name


def test_every_control_has_a_mechanism():
    """None of them is forgotten."""
    assert {control.name for control in CONTROLS} == set(SAYS)


def test_canaries_that_do_not_arrive_make_the_audit_too_weak():
    """A low bound is then the audit's fault, and no sign of privacy."""

    def without_canaries(site, plan, vector, entropy):
        return contribute(replace(site, canaries=()), plan, vector, entropy)

    found = audit(SETTINGS[Mechanism.DISTRIBUTED], "lost", without_canaries, keys())

    assert found.verdict is Verdict.TOO_WEAK
    assert any("did not arrive" in words for words in found.findings)


def test_more_noise_than_claimed_is_no_pass_and_no_violation():
    """It costs no privacy; but it is another mechanism than the one to be audited."""

    def twice_the_noise(site, plan, vector, entropy):
        return contribute_under(
            changed(DISTRIBUTED, noise_multiplier="2.4"), site, plan, vector, entropy
        )

    found = audit(SETTINGS[Mechanism.DISTRIBUTED], "loud", twice_the_noise, keys())

    assert found.verdict is Verdict.TOO_WEAK
    assert any("not the mechanism" in words for words in found.findings)


def test_too_few_canaries_for_the_claim_are_no_pass():
    """At a small epsilon a hundred canaries show nothing, whatever the mechanism does."""
    private = changed(DISTRIBUTED, noise_multiplier="8")
    setting = replace(SETTINGS[Mechanism.DISTRIBUTED], training=private, canaries=200)

    found = audit(setting, entropy=keys())

    assert found.verdict is Verdict.TOO_WEAK
    assert any("take more canaries" in words for words in found.findings)


def test_too_few_coordinates_for_the_noise_test_are_no_pass():
    """What cannot see 3 % missing does not say that nothing is."""
    setting = replace(SETTINGS[Mechanism.DISTRIBUTED], held_out=1000)

    found = audit(setting, entropy=keys())

    assert found.verdict is Verdict.TOO_WEAK
    assert any("too few coordinates" in words for words in found.findings)


def test_a_defect_is_a_violation_however_weak_the_audit_is():
    """The gravest verdict wins."""
    setting = replace(SETTINGS[Mechanism.DISTRIBUTED], held_out=1000)
    (halved,) = [each for each in CONTROLS if each.name == "half of the noise"]

    found = audit(setting, halved.name, halved.make, keys())

    assert found.verdict is Verdict.VIOLATED
    assert any("too few coordinates" in words for words in found.findings)


def test_a_result_is_kept_and_found_by_its_digest():
    """As JSON that reads back to the same value, whose digest changes with any of it."""
    found = audit(replace(SETTINGS[Mechanism.DISTRIBUTED], rounds=1), entropy=keys())

    read = msgspec.json.decode(msgspec.json.encode(found), type=PrivacyAudit)

    assert read == found
    assert read.digest() == found.digest()
    assert changed(found, verdict=Verdict.VIOLATED).digest() != found.digest()
    assert len(found.digest()) == 64
    assert np.isfinite([view.one_run for view in found.views]).all()
