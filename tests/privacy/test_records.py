"""Each record names the one before it; the last commits to all of them."""

import hashlib
import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from privacy import canonical
from privacy.errors import MalformedMessage
from privacy.events import Gaussian
from privacy.records import (
    PURPOSES,
    Candidates,
    Cohort,
    Header,
    Record,
    digest_of,
    release_of,
)
from privacy.signing import Purpose
from tests.privacy.example_round import (
    COHORT,
    CONTRIBUTION,
    KEY_RECORD,
    PLAN,
    RECEIPT,
    RECORDS,
    RELEASE,
    SEALED_MODEL,
    SUM,
    TERMS,
    roster,
)


def kinds(of: type[Record] = Record) -> set[type[Record]]:
    """Every class of record that there is."""
    below = {inner for kind in of.__subclasses__() for inner in {kind, *kinds(kind)}}
    return {kind for kind in below - {Header} if kind.__module__ == "privacy.records"}


def test_every_record_has_a_purpose_of_its_own() -> None:
    """A record without one could not be signed; two with one could be exchanged."""
    assert set(PURPOSES) == kinds()
    assert len(set(PURPOSES.values())) == len(PURPOSES)
    assert set(Purpose) - set(PURPOSES.values()) == {
        Purpose.ROSTER,
        Purpose.PLAN,
        Purpose.CERTIFICATE,
        Purpose.RECOLLECTION,
        Purpose.SEAT_CHANNEL,
        Purpose.DISPUTE,
        Purpose.LEDGER_ROW,
        Purpose.LEDGER_POLICY,
        Purpose.LEDGER_APPROVAL,
        Purpose.EVIDENCE,
        Purpose.BACKUP,
        Purpose.ENROL,
        Purpose.RENEW,
        Purpose.PLEDGE,
    }


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: type(each).__name__)
def test_a_digest_is_of_the_purpose_and_of_every_field(record: Record) -> None:
    """What a digest leaves out, nobody has agreed to."""
    tag, body = PURPOSES[type(record)].value.encode(), canonical.encode(record)
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in (tag, body))

    assert digest_of(record) == hashlib.sha256(framed).hexdigest()
    assert set(json.loads(body)) == set(type(record).__struct_fields__)


def test_equal_fields_of_different_records_have_different_digests() -> None:
    """The purpose is part of what is hashed."""
    body = {"federation": "oncology", "round": 1, "plan": "0" * 64}
    cohort = msgspec.convert({**body, "entries": []}, type(COHORT))
    receipt = msgspec.convert(
        {**body, "participant": "amber", "contribution": "0" * 64}, type(RECEIPT)
    )

    assert digest_of(cohort) != digest_of(receipt)


def test_candidates_are_no_cohort_though_they_have_its_form() -> None:
    """Seats that judge them have certified nothing."""
    candidates = canonical.decode(canonical.encode(COHORT), Candidates)

    assert PURPOSES[Candidates] is not PURPOSES[Cohort]
    assert digest_of(candidates) != digest_of(COHORT)


def test_the_chain_from_release_to_roster_holds_together() -> None:
    """Who holds a release can walk back to what was agreed by telephone."""
    assert RELEASE.sealed_model == digest_of(SEALED_MODEL)
    assert RELEASE.sum == SEALED_MODEL.sum == digest_of(SUM)
    assert RELEASE.cohort == SUM.cohort == digest_of(COHORT)
    assert COHORT.entries[0].contribution == digest_of(CONTRIBUTION) == RECEIPT.contribution
    assert {each.plan for each in (CONTRIBUTION, COHORT, SUM, RELEASE)} == {PLAN.digest()}
    assert TERMS.key_record == CONTRIBUTION.key_record == digest_of(KEY_RECORD)
    assert KEY_RECORD.specification.roster == TERMS.roster == roster().digest()


def test_a_change_anywhere_changes_every_digest_after_it() -> None:
    """No record can be put into another history."""
    cheaper = replace(CONTRIBUTION.claim, vector=Gaussian("99"))
    other = replace(CONTRIBUTION, claim=cheaper)
    entry = replace(COHORT.entries[0], contribution=digest_of(other))
    cohort = replace(COHORT, entries=(entry, *COHORT.entries[1:]))
    total = replace(SUM, cohort=digest_of(cohort))
    model = replace(SEALED_MODEL, sum=digest_of(total))

    release = release_of(model, digest_of(cohort), TERMS.model)

    assert digest_of(release) != digest_of(RELEASE)
    assert release.sealed_model != RELEASE.sealed_model


def test_a_sealed_model_can_become_one_release_only() -> None:
    """Openers that start from the same sum and seal sign the same bytes."""
    again = release_of(SEALED_MODEL, digest_of(COHORT), TERMS.model)

    assert again == RELEASE
    assert (again.model, again.previous) == (SEALED_MODEL.model, TERMS.model)


@pytest.mark.parametrize(
    ("record", "changes"),
    [
        (CONTRIBUTION, {"round": 0}),
        (CONTRIBUTION, {"round": 100_001}),
        (CONTRIBUTION, {"federation": "../etc"}),
        (CONTRIBUTION, {"participant": "amber\n"}),
        (CONTRIBUTION, {"plan": "A" * 64}),
        (CONTRIBUTION, {"pieces": [{"recipient": "coordinator"}]}),
        (CONTRIBUTION, {"claim": {"class": "Nothing"}}),
        (SUM, {"chunks": -1}),
        (SUM, {"length": (1 << 50) + 1}),
        (COHORT, {"entries": [{"participant": "amber", "contribution": "0", "roots": []}]}),
        (RELEASE, {"previous": None}),
        (SEALED_MODEL, {"wraps": [{"participant": "amber", "sealed_key": "?"}]}),
    ],
    ids=str,
)
def test_a_record_with_a_field_out_of_its_form_is_refused(
    record: Record, changes: dict[str, Any]
) -> None:
    """Names, digests and sizes are checked before anything is done with them."""
    document = {**canonical.builtins(record), **changes}
    body = msgspec.json.encode(document, order="deterministic")

    with pytest.raises(MalformedMessage):
        canonical.decode(body, type(record))


@pytest.mark.parametrize("text", ["", "0", "-3", "nan", "1e18", "0x7", " 7", "7\n", "9" * 5000])
def test_a_modulus_is_a_whole_number_above_0(text: str) -> None:
    """It is read as an integer, and what is none must not get that far."""
    document = canonical.builtins(KEY_RECORD)
    document["specification"]["modulus"] = text

    with pytest.raises(MalformedMessage, match="modulus"):
        canonical.decode(msgspec.json.encode(document, order="deterministic"), type(KEY_RECORD))


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: type(each).__name__)
def test_records_do_not_pass_for_each_other(record: Record) -> None:
    """Unknown and missing fields both refuse; of the one pair of equal form, the purpose."""
    body = canonical.encode(record)
    alike = {Cohort: Candidates, Candidates: Cohort}.get(type(record))

    for kind in kinds() - {type(record), alike}:
        with pytest.raises(MalformedMessage):
            canonical.decode(body, kind)
