"""A bundle that anybody has changed is never verified; what is missing, or too much, is said."""

import socket
from random import Random

import msgspec
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from privacy import canonical
from privacy import plan as plans
from privacy.budget import SpendLimits, costs_of
from privacy.errors import (
    AccountingMismatch,
    BudgetExhausted,
    MissingDependency,
    UnsafeParameters,
)
from privacy.events import Events, Gaussian, PoissonSampled, SelfComposed
from privacy.evidence.bundle import (
    Document,
    Paid,
    RowLine,
    decode_entry,
    encode_entry,
    lines_of,
    seal,
)
from privacy.evidence.finding import Outcome
from privacy.evidence.trust import Keys
from privacy.evidence.verify import read_bundle, verify
from privacy.identifiers import COORDINATOR, sha256_hex
from privacy.ledger import (
    Checkpoint,
    RowType,
    divergences_of,
    epsilon_text,
    idempotency_of,
    read_row,
    sign_row,
)
from privacy.settlement.payouts import Domain
from privacy.signing import Purpose, sign
from tests.privacy import example_round as example
from tests.privacy.evidence import example_bundle as made

WHOLE = made.bundle()
LINES = list(lines_of(WHOLE))


def agrees(events, delta):
    """A second accountant that has nothing to say against ours."""


def checked(text, **changes):
    """The verdict of an officer who has compared the roster and has a policy."""
    asked = {"policy": made.POLICY, "keys": made.KEYS, "second": agrees, **changes}
    return verify(text, **asked)


def joined(lines):
    return b"".join(line + b"\n" for line in lines)


def test_a_whole_bundle_is_verified():
    """The control: the tests below do not pass because everything is refused."""
    verdict = checked(WHOLE)

    assert verdict.findings == ()
    assert verdict.outcome is Outcome.OK
    (ward,) = verdict.datasets
    assert (ward.rounds, ward.released, ward.sums) == (2, 2, ward.vector)
    assert ward.sums.committed == "2.254334"


# -- bytes ------------------------------------------------------------------------------------


def flipped(text, at, mask):
    return text[:at] + bytes([text[at] ^ mask]) + text[at + 1 :]


def test_a_changed_byte_is_found_wherever_it_is():
    """Sampled, each line several times; the deep test takes every byte."""
    draw, starts, at = Random(7), [], 0
    for line in LINES:
        starts += [at + draw.randrange(len(line) + 1) for _ in range(3)]
        at += len(line) + 1

    found = {where: checked(flipped(WHOLE, where, 1 << draw.randrange(8))) for where in starts}

    assert {each.outcome for each in found.values()} == {Outcome.TAMPERED}


@pytest.mark.deep
def test_every_changed_byte_is_found():
    """All of them, with masks that differ; ends after some minutes."""
    draw, text = Random(8), made.bundle(rounds=1)

    passed = [
        at
        for at in range(len(text))
        if checked(flipped(text, at, draw.randrange(1, 256))).outcome is not Outcome.TAMPERED
    ]

    assert passed == []


@pytest.mark.parametrize("number", [3, 8, 15, 20])
def test_the_entry_that_was_changed_is_named(number):
    """A row or a document is signed by itself, so that what is wrong can be told."""
    line = LINES[number - 1]
    changed_line = line.replace(b'oncology"', b'oncolpgy"').replace(b'"v":1}', b'"v":2}')
    if changed_line == line:
        changed_line = flipped(line, len(line) // 2, 1)

    verdict = checked(joined([*LINES[: number - 1], changed_line, *LINES[number:]]))

    assert verdict.findings[0].entry == number


@given(draw=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=25)
def test_no_mutation_is_verified(draw):
    """Bytes put in, taken out, doubled or moved, in any mixture."""
    text = bytearray(WHOLE)
    for _ in range(draw.randrange(1, 4)):
        at, length = draw.randrange(len(text)), draw.randrange(1, 200)
        part = bytes(text[at : at + length])
        match draw.randrange(3):
            case 0:
                del text[at : at + length]
            case 1:
                text[at:at] = part
            case _:
                del text[at : at + length]
                where = draw.randrange(len(text))
                text[where:where] = part

    verdict = checked(bytes(text))

    assert bytes(text) == WHOLE or verdict.outcome is Outcome.TAMPERED


@pytest.mark.parametrize(
    "text",
    [
        WHOLE[:-1],
        WHOLE + b"\n",
        WHOLE + WHOLE,
        b" " + WHOLE,
        b"\xef\xbb\xbf" + WHOLE,
        WHOLE.replace(b"\n", b"\r\n"),
        b'{"kind":"head"' + b" " * (1 << 20) + b"}\n" + WHOLE,
        b'{"kind":"row","row":' + b"[" * 1_000_000 + b"\n",
        b'{"kind":"head",' * 100_000 + b"\n",
        b'{"kind":"row","row":{},"signature":"' + b"0" * 128 + b'"}\n',
    ],
    ids=range(10),
)
def test_what_is_no_bundle_any_more_is_refused_at_once(text):
    """Too much, other line ends, a megabyte in a line, and brackets without an end."""
    assert checked(text).outcome is Outcome.TAMPERED


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"\n" * 100_000,
        b"hello\n",
        b'{"kind":' * 100_000,
        "an essay".encode("utf-16"),
    ],
    ids=range(6),
)
def test_what_never_was_a_bundle_accuses_nobody(text):
    """Another file was named, or an empty one came: nothing is known, and nobody has changed it."""
    verdict = checked(text)

    assert verdict.outcome is Outcome.INCOMPLETE
    assert verdict.findings[0].message == (
        "this is no bundle: another file was named" if text else "the file is empty"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WHOLE.replace(b"\n", b"\r\n"), "line endings were changed in transit"),
        (b"\xef\xbb\xbf" + WHOLE, "a byte order mark was put before it in transit"),
        (WHOLE + b"\n", "empty lines were put behind it in transit"),
    ],
)
def test_what_mail_and_editors_do_to_a_file_is_said_in_words(text, words):
    """Whoever receives it can ask for it again, and need not suspect the site."""
    verdict = checked(text)

    assert verdict.outcome is Outcome.TAMPERED
    assert verdict.findings[0].message == f"{words}; ask for it again as a binary file"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "1.0"])
def test_a_number_that_no_ledger_has_is_refused(number):
    """JSON in Python reads the first three, where one lets it."""
    line = LINES[2].replace(b'"seq":1', b'"seq":' + number.encode())

    verdict = checked(joined([*LINES[:2], line, *LINES[3:]]))

    assert verdict.outcome is Outcome.TAMPERED
    assert verdict.findings[0].entry == 3


# -- entries ----------------------------------------------------------------------------------


def resealed(lines):
    """The same entries under an end that the site itself has signed again."""
    entries = [decode_entry(line) for line in lines]
    return made.sealed(*entries)


@pytest.mark.parametrize("at", range(len(LINES) - 1))
def test_an_entry_that_is_dropped_is_found(at):
    """By the end's signature at least, for a document too."""
    assert checked(joined(LINES[:at] + LINES[at + 1 :])).outcome is Outcome.TAMPERED


@pytest.mark.parametrize("at", range(len(LINES)))
def test_an_entry_that_is_doubled_is_found(at):
    assert checked(joined(LINES[: at + 1] + LINES[at:])).outcome is Outcome.TAMPERED


@pytest.mark.parametrize("at", range(len(LINES) - 1))
def test_two_entries_that_change_places_are_found(at):
    swapped = [*LINES[:at], LINES[at + 1], LINES[at], *LINES[at + 2 :]]

    assert checked(joined(swapped)).outcome is Outcome.TAMPERED


ROWS = [at for at, line in enumerate(LINES) if line.startswith(b'{"kind":"row"')]


@pytest.mark.parametrize("at", ROWS[:-1])
def test_a_site_that_signs_again_without_one_row_is_found(at):
    """The rows after it name the one that is gone."""
    assert checked(resealed(LINES[:at] + LINES[at + 1 : -1])).outcome is Outcome.TAMPERED


@pytest.mark.parametrize("at", ROWS[:-1])
def test_a_site_that_signs_again_with_two_rows_swapped_is_found(at):
    swapped = [*LINES[:at], LINES[at + 1], LINES[at], *LINES[at + 2 : -1]]

    assert checked(resealed(swapped)).outcome is Outcome.TAMPERED


def test_a_row_of_another_site_is_found():
    """It is well signed, by whom it says; this is not that site's ledger."""
    foreign = [encode_entry(row) for row in made.rows("birch")]

    verdict = checked(resealed([*LINES[:2], *foreign, *LINES[ROWS[-1] + 1 : -1]]))

    assert verdict.outcome is Outcome.TAMPERED
    assert "ledger of birch" in verdict.findings[0].message


# -- a tail that is cut, a fork --------------------------------------------------------------


def older():
    """The ledger as it was after its first round."""
    rows = made.rows()[: len(made.rows(rounds=1)) - 1]
    return made.sealed(made.head(), made.CONFIG, *rows, *made.documents(1))


def cut(rounds=1):
    """The ledger before its newest round, the documents with it, signed by the site itself."""
    return made.bundle(rounds=rounds)


def test_a_tail_that_the_site_cuts_with_its_documents_is_not_found_by_itself():
    """Nothing inside tells: this is the limit that only a later tree head closes."""
    assert checked(cut()).outcome is Outcome.OK


def test_rows_that_a_peer_has_witnessed_and_the_bundle_lacks_are_asked_for():
    """A bundle of yesterday, or one that was cut: the next export tells, and is what is asked."""
    seen = made.witness_of(made.rows())
    peer = made.bundle("birch", seen=seen)
    size, end = seen.size, read_bundle(cut())[0].end.size

    verdict = checked(cut(), others=[peer])

    (finding,) = verdict.findings
    assert verdict.outcome is Outcome.INCOMPLETE
    assert f"other evidence has seen {size} rows" in finding.message
    assert f"ends at {end}: ask for an export made after {made.head().made}" in finding.message
    assert "of birch" in finding.message
    assert checked(WHOLE, others=[peer]).outcome is Outcome.OK


def test_two_honest_bundles_of_a_running_federation_are_not_called_tampered():
    """Each was whole when it was made; the other one has gone on since, and says so."""
    peer = made.bundle("birch", seen=made.witness_of(made.rows()))

    outcomes = {
        checked(mine, others=[theirs]).outcome
        for mine, theirs in ((older(), WHOLE), (older(), peer), (peer, older()), (WHOLE, older()))
    }

    assert outcomes == {Outcome.INCOMPLETE, Outcome.OK}


def test_rows_that_another_bundle_of_the_site_has_are_asked_for():
    """Whoever kept the last one needs no peer."""
    verdict = checked(older(), others=[WHOLE])

    assert verdict.outcome is Outcome.INCOMPLETE
    assert "a bundle of amber" in verdict.findings[0].message


def test_a_ledger_that_was_cut_and_went_on_is_tampered():
    """An export marks the ledger: what was cut has another row there now."""
    verdict = checked(cut(), others=[WHOLE])

    assert verdict.outcome is Outcome.TAMPERED
    assert "when a bundle of amber was made; others now" in verdict.findings[0].message


def test_only_the_longest_ledger_that_was_seen_is_asked_for():
    """Each row of it would say the same."""
    assert len(checked(older(), others=[WHOLE, WHOLE]).findings) == 1


def test_a_fork_is_found_through_a_bundle_of_another_length(tmp_path):
    """It is longer, and its rows are not those: that is no older copy of it."""
    ledger = made.open_ledger(tmp_path)
    ledger.register(made.DATASET)
    made.spend(ledger, 1)
    fork = [RowLine(*each) for each in ledger.entries()]
    ledger.close()
    other = made.sealed(made.head(), made.CONFIG, *fork, *made.documents(1))

    verdict = checked(other, others=[WHOLE])

    assert verdict.outcome is Outcome.TAMPERED
    assert "the ledger had 2 rows under root" in verdict.findings[0].message


def test_a_bundle_whose_own_header_has_seen_more_rows_is_tampered():
    """The site signed it, and put it into the bundle itself: no time has passed between the two."""
    late = changed(made.header(1), ledger=made.checkpoint_of(made.rows()))
    papers = [one for one in made.documents(1) if one.purpose is not Purpose.CONTRIBUTION]
    papers = sorted([*papers, made.document(late, "amber")], key=Document.order)
    text = made.sealed(made.head(), made.CONFIG, *made.rows(rounds=1), *papers)

    verdict = checked(text)

    (own,) = [each for each in verdict.findings if "which is in this bundle" in each.message]
    assert own.outcome is Outcome.TAMPERED


def test_rows_that_a_header_at_the_coordinator_has_seen_are_asked_for():
    """Each header says how far the site's ledger had come, so a run is a witness, too."""
    late = changed(made.header(1), ledger=made.checkpoint_of(made.rows()))
    papers = [made.roster_document(), made.plan_document(made.plan(1))]
    kept = run(papers=[*papers, made.document(late, "amber")])

    assert checked(cut(), others=[kept]).outcome is Outcome.INCOMPLETE
    assert checked(WHOLE, others=[kept]).outcome is Outcome.OK


def test_a_ledger_that_went_on_contains_the_older_bundle():
    """The control: growing is no fork."""
    older = made.sealed(made.head(), made.CONFIG, *made.rows()[:5], made.roster_document())

    assert checked(WHOLE, others=[older]).outcome is Outcome.OK


def test_a_fork_is_found_through_a_peer():
    """Two histories of one length: the first rows are the same, the last differ."""
    with_witness = made.rows(seen=made.witness_of(made.rows("birch"), "birch"))
    peer = made.bundle("birch", seen=made.witness_of(with_witness[:13]))

    verdict = checked(WHOLE, others=[peer])

    assert verdict.outcome is Outcome.TAMPERED


def test_a_cut_ledger_beside_a_contribution_that_it_has_not_committed_is_found():
    """What was signed and sent is held by others; a ledger that does not know it was changed."""
    entries = [made.head(), made.CONFIG, *made.rows(rounds=1), *made.documents(1, 2)]

    verdict = checked(made.sealed(*entries))

    assert verdict.outcome is Outcome.TAMPERED
    assert "has not committed" in verdict.findings[0].message


def test_a_header_that_has_seen_another_ledger_is_found(tmp_path, monkeypatch):
    """The site signed, and sent, how its ledger began; it begins otherwise now."""
    other = Checkpoint(1, example.filler("another first row"))
    monkeypatch.setattr(made, "beginning", lambda site: other)
    ledger = made.open_ledger(tmp_path)
    made.begin(ledger)
    made.spend(ledger, 1)
    rows = [RowLine(*each) for each in ledger.entries()]
    ledger.close()

    verdict = checked(made.sealed(made.head(), made.CONFIG, *rows, *made.documents(1)))

    assert verdict.outcome is Outcome.TAMPERED
    assert "had 1 rows" in verdict.findings[0].message


def test_a_bundle_beside_it_that_is_not_sound_does_not_count():
    """Else a forged peer could make any ledger tampered."""
    peer = made.bundle("birch", seen=made.witness_of(made.rows()))

    verdict = checked(WHOLE, others=[flipped(peer, len(peer) // 2, 1)])

    assert verdict.outcome is Outcome.INCOMPLETE
    assert "left out" in verdict.findings[0].message


# -- keys -------------------------------------------------------------------------------------


def test_without_keys_a_bundle_is_not_verified():
    """Whoever makes keys can sign anything with them."""
    verdict = checked(WHOLE, keys=None)

    assert verdict.outcome is Outcome.INCOMPLETE
    assert "self-asserted" in verdict.findings[0].message


def test_another_roster_than_the_one_compared_is_tampered():
    verdict = checked(WHOLE, keys=Keys(roster=example.filler("another roster")))

    assert verdict.outcome is Outcome.TAMPERED


def test_a_key_that_is_not_the_sites_is_found():
    """All is signed again, end and rows, under a key that no roster has."""
    thief = example.signing_key("thief")
    head = changed(made.head(), key=made.key_hex(thief))
    rows = [under(row, thief) for row in made.rows()]

    text = made.sealed(head, made.CONFIG, *rows, *made.documents(1, 2), by="thief")

    assert checked(text).outcome is Outcome.TAMPERED


def test_a_true_ledger_under_somebody_elses_head_is_found():
    """Rows and documents hold; who put them together is nobody of the roster."""
    thief = example.signing_key("thief")
    head = changed(made.head(), key=made.key_hex(thief))

    text = made.sealed(head, made.CONFIG, *made.rows(), *made.documents(1, 2), by="thief")

    assert checked(text).outcome is Outcome.TAMPERED


def under(line, key):
    """A row that names another key and is signed by it; the chain breaks behind it."""
    row = changed(read_row(line.body), key=made.key_hex(key))
    body = canonical.encode(row)
    return RowLine(body, sign_row(key, body))


def test_a_document_that_somebody_else_has_signed_is_found():
    entries = [made.head(), made.CONFIG, *made.rows(), *made.documents(1, 2)]
    at = next(n for n, e in enumerate(entries) if getattr(e, "purpose", "") is Purpose.COHORT)
    wrong = made.document(made.cohort(1), "birch").signatures["birch"]
    entries[at] = changed(entries[at], signatures={COORDINATOR: wrong})

    verdict = checked(made.sealed(*entries))

    assert verdict.outcome is Outcome.TAMPERED
    assert verdict.findings[0].entry == at + 1


def test_a_release_that_too_few_openers_have_signed_is_found():
    text = with_documents(_signed_by_one)

    assert checked(text).outcome is Outcome.TAMPERED


def _signed_by_one(one):
    if one.purpose is not Purpose.RELEASE:
        return one
    return changed(one, signatures={"amber": one.signatures["amber"]})


def test_a_row_that_somebody_else_has_signed_is_found():
    """The site sealed the whole, and the row names the site's key."""
    rows = list(made.rows())
    rows[5] = RowLine(rows[5].body, sign_row(example.signing_key("birch"), rows[5].body))

    verdict = checked(made.sealed(made.head(), made.CONFIG, *rows, *made.documents(1, 2)))

    assert verdict.outcome is Outcome.TAMPERED
    assert verdict.findings[0].entry == 8


def test_an_end_that_states_another_tree_is_found():
    """Well signed by the site; whoever kept this end as a checkpoint would be misled."""
    entries = read_bundle(WHOLE)[0].entries
    key = example.signing_key(made.SITE)
    for size, root in ((12, entries[-1].root), (13, example.filler("another root"))):
        text = seal(iter(entries[:-1]), size, root, key)

        assert checked(text).outcome is Outcome.TAMPERED


@pytest.mark.parametrize("signers", [{}, {"amber"}])
def test_a_plan_that_the_coordinator_has_not_signed_is_found(signers):
    def change(one):
        if one.purpose is not Purpose.PLAN:
            return one
        named = bytes.fromhex(made.plan(one.round).digest())
        keys = {name: example.signing_key(name) for name in signers}
        made_by = {name: sign(key, Purpose.PLAN, named).hex() for name, key in keys.items()}
        return changed(one, signatures=made_by)

    assert checked(with_documents(change)).outcome is Outcome.TAMPERED


def test_a_header_that_another_site_has_signed_is_found():
    """In the name of amber, and by birch."""

    def change(one):
        if one.purpose is not Purpose.CONTRIBUTION:
            return one
        return made.document(made.header(one.round), "birch")

    assert checked(with_documents(change)).outcome is Outcome.TAMPERED


@pytest.mark.parametrize("place", [{"round": 2}, {"federation": "cardiology"}])
def test_a_document_of_another_place_is_found(place):
    """A cohort of another round, or of another federation with the same keys."""

    def change(one):
        if one.purpose is not Purpose.COHORT or one.round != 1:
            return one
        moved = made.document(changed(made.cohort(1), **place), COORDINATOR)
        return changed(moved, round=1)

    assert checked(with_documents(change)).outcome is Outcome.TAMPERED


@pytest.mark.parametrize("head", [{"federation": "cardiology"}, {"evidence": "run"}])
def test_a_head_that_is_not_of_the_roster_or_of_its_maker_is_found(head):
    entries = read_bundle(WHOLE)[0].entries[:-1]

    verdict = checked(made.sealed(changed(entries[0], **head), *entries[1:]))

    assert verdict.outcome is Outcome.TAMPERED
    assert verdict.findings[0].entry == 1


# -- what is missing --------------------------------------------------------------------------


def with_documents(change):
    """The bundle with each document changed, or left out for None, sealed by the site again."""
    papers = [found for found in map(change, made.documents(1, 2)) if found is not None]
    return made.sealed(made.head(), made.CONFIG, *made.rows(), *papers)


@pytest.mark.parametrize(
    "purpose",
    [Purpose.PLAN, Purpose.COHORT, Purpose.RELEASE, Purpose.CONTRIBUTION, Purpose.ROSTER],
)
def test_a_document_that_the_ledger_names_and_the_bundle_lacks_is_said_to_be_missing(purpose):
    text = with_documents(lambda one: None if one.purpose is purpose else one)

    verdict = checked(text)

    assert verdict.outcome is Outcome.INCOMPLETE


@pytest.mark.parametrize("keys", [made.KEYS, None], ids=["compared", "self-asserted"])
def test_a_bundle_without_its_rosters_is_incomplete_and_accuses_nobody(keys):
    """A backup without kept/000000 is no theft of a key."""
    text = with_documents(lambda one: None if one.purpose is Purpose.ROSTER else one)

    verdict = checked(text, keys=keys)

    assert verdict.outcome is Outcome.INCOMPLETE
    assert any("kept/000000" in each.message for each in verdict.findings)


def test_without_the_rosters_only_a_key_that_the_officer_names_is_accepted():
    """What stands in keys.toml of a site comes before what a head says of itself."""
    text = with_documents(lambda one: None if one.purpose is Purpose.ROSTER else one)
    other = made.key_hex(example.signing_key("thief"))

    verdict = checked(text, keys=changed(made.KEYS, signing={made.SITE: (other,)}))

    assert verdict.outcome is Outcome.TAMPERED


@pytest.mark.parametrize("version", [1, 1 << 50])
def test_a_version_of_the_roster_that_is_missing_is_said(version):
    """However far away the one that is there: nobody counts up to it."""
    later = changed(example.roster(), version=version, previous=example.filler("before"))
    signed = example.signed_roster(later, *example.NAMES)
    made_by = {name: each.hex() for name, each in signed.signatures.items()}
    paper = Document(Purpose.ROSTER, 0, canonical.encode(later), made_by)

    verdict = checked(with_documents(lambda one: paper if one.purpose is Purpose.ROSTER else one))

    assert verdict.outcome is Outcome.INCOMPLETE
    assert any("of version 0" in each.message for each in verdict.findings)


def test_a_ledger_without_rows_is_evidence_of_nothing():
    """All that is in it is true: nobody has spent anything, or everything is gone."""
    text = made.sealed(made.head(), made.CONFIG, made.roster_document())

    verdict = checked(text)

    assert verdict.outcome is Outcome.INCOMPLETE
    assert "no row" in verdict.findings[0].message


def test_a_run_without_contributions_is_evidence_of_none():
    verdict = checked(run(papers=[made.roster_document(), made.plan_document(made.plan(1))]))

    assert verdict.outcome is Outcome.INCOMPLETE


def test_what_was_not_asked_is_said_whatever_was_found():
    """An officer who reads VERIFIED must see of what."""
    bare, full = verify(WHOLE), checked(WHOLE, others=[WHOLE], paid=paid(2))

    assert [each.split(":")[0] for each in bare.not_asked] == [
        "whose keys these are",
        "whether what was spent is allowed",
        "what others have seen of this ledger",
        "what was paid for",
    ]
    assert "a cut tail would not show" in bare.not_asked[2]
    assert full.not_asked == ()
    assert full.roster == made.KEYS.roster


# -- old evidence ------------------------------------------------------------------------------


def refuse_new_plans(monkeypatch):
    """A later version of Veilsum, whose rules for new plans are stricter."""

    def stricter(terms):
        raise UnsafeParameters("openers: five are needed since yesterday")

    monkeypatch.setattr("privacy.plan._check_openers", stricter)


def test_evidence_does_not_expire_when_a_rule_for_plans_is_tightened(monkeypatch):
    """It was signed under the rules of its day; digest, event and clip are checked all the same."""
    plan, text = made.plan(1), WHOLE
    made.bundle(), made.plan(2)  # made before the rule
    refuse_new_plans(monkeypatch)

    verdict = checked(text)

    with pytest.raises(UnsafeParameters):
        plans.unpack(plans.pack(plan))
    assert verdict.findings == ()
    assert verdict.documents == checked(text).documents
    assert len(verdict.refused_today) == 2
    assert "round 1: openers: five" in verdict.refused_today[0]


def test_an_old_plan_is_read_and_not_only_passed_over(monkeypatch):
    """A cheaper event than that plan has is a mismatch, however old the plan."""
    cheap = changed(made.header(1), claim=Events(Gaussian("50"), Gaussian("50")))
    papers = [made.roster_document(), made.plan_document(made.plan(1))]
    text = run(papers=[*papers, made.document(cheap, "amber")])
    refuse_new_plans(monkeypatch)

    assert checked(text).outcome is Outcome.ACCOUNTING


def test_what_is_not_the_digest_of_an_old_plan_is_found(monkeypatch):
    """The coordinator's signature is on the digest of the bytes."""

    def change(one):
        if one.purpose is not Purpose.PLAN:
            return one
        assert b'"steps":6' in one.body
        return changed(one, body=one.body.replace(b'"steps":6', b'"steps":1'))

    text = with_documents(change)
    refuse_new_plans(monkeypatch)

    assert checked(text).outcome is Outcome.TAMPERED


def test_without_a_second_accountant_a_bundle_is_incomplete():
    assert checked(WHOLE, second=None).outcome is Outcome.INCOMPLETE


def test_a_second_accountant_that_is_not_installed_makes_it_incomplete():
    def missing(events, delta):
        raise MissingDependency("dp_accounting is not installed")

    assert checked(WHOLE, second=missing).outcome is Outcome.INCOMPLETE


# -- accounts ---------------------------------------------------------------------------------


def test_accountants_that_disagree_are_a_mismatch():
    def disagrees(events, delta):
        raise AccountingMismatch("epsilon 1 by one and 2 by the other")

    assert checked(WHOLE, second=disagrees).outcome is Outcome.ACCOUNTING


def rewritten(change):
    """The ledger with each row changed, chained and signed again by the site itself."""
    lines, before = [], "0" * 64
    key = example.signing_key(made.SITE)
    for line in made.rows():
        row = change(changed(read_row(line.body), prev=before))
        if row.type is RowType.CHECKPOINT:
            continue
        body = canonical.encode(row)
        lines.append(RowLine(body, sign_row(key, body)))
        before = sha256_hex(body)
    return made.sealed(made.head(), made.CONFIG, *lines, *made.documents(1, 2))


def test_a_site_that_states_a_cheaper_cost_is_a_mismatch(tmp_path, monkeypatch):
    """Every signature holds, and every epsilon is the sum of what is stated; events say more."""
    cheap = costs_of(Events(Gaussian("50"), Gaussian("50")))
    monkeypatch.setattr("participant.ledger.site_ledger.costs_of", lambda events: cheap)
    ledger = made.open_ledger(tmp_path)
    made.begin(ledger)
    made.spend(ledger, 1)
    rows = [RowLine(*each) for each in ledger.entries()]
    ledger.close()

    verdict = checked(made.sealed(made.head(), made.CONFIG, *rows, *made.documents(1)))

    assert verdict.outcome is Outcome.ACCOUNTING
    assert "less than what the event costs" in verdict.findings[0].message


def test_a_site_that_states_a_smaller_epsilon_is_a_mismatch():
    def lower(row):
        if row.cum is None:
            return row
        less = changed(row.cum.sums, committed="0.1", charged="0.1")
        return changed(row, cum=changed(row.cum, sums=less))

    assert checked(rewritten(lower)).outcome is Outcome.ACCOUNTING


def test_a_site_that_states_a_cheaper_event_than_its_plan_has_is_a_mismatch():
    """Cost and event agree; what the site signed for the coordinator says otherwise."""
    cheap = Events(Gaussian("50"), Gaussian("50"))

    def swap(row):
        if row.event is None:
            return row
        row = changed(row, event=cheap, rdp=divergences_of(costs_of(cheap)))
        return changed(row, idempotency=idempotency_of(row))

    verdict = checked(rewritten(swap))

    assert verdict.outcome is Outcome.ACCOUNTING
    assert any("signed header claims" in each.message for each in verdict.findings)


def test_an_event_without_a_proven_cost_is_a_mismatch():
    """Sampling once around a composition: no accountant here has a bound for it."""
    odd = PoissonSampled("0.5", SelfComposed(2, Gaussian("2")))

    def swap(row):
        if row.event is None:
            return row
        row = changed(row, event=Events(odd, odd))
        return changed(row, idempotency=idempotency_of(row))

    assert checked(rewritten(swap)).outcome is Outcome.ACCOUNTING


ODD = st.sampled_from(
    ["", "0", "5", "1", "9999999999", "0.0000000000000000001", 0, 1, -1, 1 << 50, None, [], {}]
)


@given(at=st.integers(0, 12), place=st.randoms(use_true_random=False), odd=ODD)
@settings(deadline=None, max_examples=30)
def test_whatever_a_site_signs_there_is_a_verdict(at, place, odd):
    """A site may put anything into its own rows and sign it; it never ends the verifier."""
    lines, before = [], "0" * 64
    key = example.signing_key(made.SITE)
    for number, line in enumerate(made.rows()):
        row = {**msgspec.json.decode(line.body), "prev": before}
        if number == at:
            put_somewhere(row, place, odd)
        body = rfc8785.dumps(row)
        lines.append(RowLine(body, sign_row(key, body)))
        before = sha256_hex(body)

    verdict = checked(made.sealed(made.head(), made.CONFIG, *lines, *made.documents(1, 2)))

    assert isinstance(verdict.outcome, Outcome)


def put_somewhere(value, place, odd):
    """Put `odd` in the place of a member, however deep."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = place.choice(keys)
    if isinstance(value[key], dict | list) and value[key] and place.random() < 0.7:
        return put_somewhere(value[key], place, odd)
    value[key] = odd
    return None


def test_another_clip_than_the_plans_is_a_mismatch():
    """Noise is relative to the clip: the same event with a larger one protects less."""

    def wider(row):
        if row.clip is None:
            return row
        row = changed(row, clip="2")
        return changed(row, idempotency=idempotency_of(row))

    assert checked(rewritten(wider)).outcome is Outcome.ACCOUNTING


def test_an_output_committed_for_another_round_is_found():
    def later(row):
        if row.round != 2:
            return row
        row = changed(row, round=3)
        return changed(row, idempotency=idempotency_of(row)) if row.idempotency else row

    verdict = checked(rewritten(later))

    assert verdict.outcome is Outcome.TAMPERED
    assert "round 3 commits" in verdict.findings[0].message


def test_a_result_that_is_not_that_of_its_cohort_is_found():
    """A larger cohort than there was would hide a site better than it was hidden."""

    def larger(row):
        if row.result is None:
            return row
        return changed(row, result=changed(row.result, contributions=9))

    assert checked(rewritten(larger)).outcome is Outcome.TAMPERED


# -- policy -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stricter",
    [
        {"delta": "0.0001"},
        {"epsilon_for_life": "2"},
        {"vector_epsilon_for_life": "2"},
        {"epsilon_per_round": "1"},
        {"vector_epsilon_per_round": "1"},
        {"unit": "record"},
        {"neighbouring": "replace_one"},
        {"mechanisms": ("distributed",)},
        {"smallest_cohort": 4},
        {"two_officers": True},
    ],
    ids=lambda each: next(iter(each)),
)
def test_what_the_policy_does_not_allow_is_a_breach(stricter):
    verdict = checked(WHOLE, policy=changed(made.POLICY, **stricter))

    assert verdict.outcome is Outcome.POLICY


@pytest.mark.parametrize("name", ["delta", "epsilon_for_life", "vector_epsilon_for_life"])
def test_a_site_whose_own_policy_allows_more_is_a_breach(name):
    """Nothing more is spent yet; nothing would stop it."""
    wider = changed(made.CONFIG, **{name: "0.5" if name == "delta" else "61"})

    text = made.sealed(made.head(), wider, *made.rows(), *made.documents(1, 2))

    assert checked(text).outcome is Outcome.POLICY


def test_a_ledger_that_went_over_its_own_limits_is_a_breach():
    """The officer's policy would allow it; the site's, recorded before, did not."""

    def lower(row):
        return row if row.policy is None else changed(row, policy=lowered(row.policy))

    def lowered(policy):
        return changed(policy, epsilon_for_life="1", vector_epsilon_for_life="1")

    verdict = checked(rewritten(lower))

    assert verdict.outcome is Outcome.POLICY
    assert "limit 1.0000" in verdict.findings[0].message


@pytest.mark.parametrize("view", ["sums", "vector"])
def test_a_correction_above_the_sites_own_limit_is_a_breach_without_any_policy(tmp_path, view):
    """ADJUST_UP is never refused; that a limit is passed is seen by whoever asks nothing."""
    costly = Gaussian("0.05")
    event = Events(costly if view == "sums" else Gaussian("5"), costly)
    ledger = made.open_ledger(tmp_path)
    made.begin(ledger)
    made.spend(ledger, 1)
    ledger.adjust_up("ward", event, "a use that nobody had recorded")
    rows = [RowLine(*each) for each in ledger.entries()]
    ledger.close()
    text = made.sealed(made.head(), made.CONFIG, *rows, *made.documents(1))

    verdict = checked(text, policy=None)

    assert verdict.outcome is Outcome.POLICY
    assert any(
        f"in the view of the {view}" in each.message and "own limit is 60.0" in each.message
        for each in verdict.findings
    )


def test_a_ledger_without_recorded_limits_is_held_against_its_sites_configuration(tmp_path):
    """A ledger that never says what it may spend has not thereby no limit."""
    ledger = made.open_ledger(tmp_path)
    ledger.register(made.DATASET)
    made.spend(ledger, 1)
    rows = [RowLine(*each) for each in ledger.entries()]
    ledger.close()
    tight = changed(made.CONFIG, epsilon_for_life="1", epsilon_per_round="1")

    verdict = checked(made.sealed(made.head(), tight, *rows, *made.documents(1)), policy=None)

    assert verdict.outcome is Outcome.POLICY


@pytest.mark.parametrize(
    "stricter",
    [
        {"epsilon_for_life": "1"},
        {"vector_epsilon_for_life": "1"},
        {"epsilon_per_round": "1"},
        {"vector_epsilon_per_round": "1"},
    ],
    ids=lambda each: next(iter(each)),
)
def test_a_run_in_which_sites_claim_more_than_the_policy_allows_is_a_breach(stricter):
    """The mirror is the coordinator's, and what it says may be too much all the same."""
    verdict = checked(run(), policy=changed(made.POLICY, **stricter))

    assert verdict.outcome is Outcome.POLICY
    assert checked(run()).outcome is Outcome.OK


def test_the_rounds_of_a_run_count_together():
    """Each is within the limit of a round; all of them are over that for life."""
    papers = made.documents(1, 2)
    text = run(papers=[one for one in papers if one.purpose is not Purpose.COHORT])
    policy = changed(made.POLICY, epsilon_for_life="2", vector_epsilon_for_life="2")

    verdict = checked(text, policy=policy)

    breaches = [each for each in verdict.findings if each.outcome is Outcome.POLICY]
    assert all(each.message.startswith("amber, by the coordinator's mirror") for each in breaches)
    assert len(breaches) == 1


def test_officers_that_the_ledger_does_not_have_are_a_breach():
    """Whose approval counts is compared out of band, like the roster."""
    keys = changed(made.KEYS, officers={made.SITE: {"alice": "ab" * 32, "bob": "cd" * 32}})

    assert checked(WHOLE, keys=keys).outcome is Outcome.POLICY


def with_officers(folder, *, agreed):
    """A ledger whose higher limit one officer has proposed; another one approves, or nobody."""
    names = {name: made.key_hex(example.signing_key(name)) for name in ("alice", "bob")}
    ledger = made.open_ledger(folder)
    ledger.register(made.DATASET)
    ledger.set_policy(names)
    row = ledger.propose(made.LIMITS, "alice", example.signing_key("alice"))
    if agreed:
        ledger.approve(row, "bob", example.signing_key("bob"))
    made.spend(ledger, 1)
    rows = [RowLine(*each) for each in ledger.entries()]
    ledger.close()
    return made.sealed(made.head(), made.CONFIG, *rows, *made.documents(1)), names


def test_limits_that_two_known_officers_stand_behind_are_verified(tmp_path):
    text, officers = with_officers(tmp_path, agreed=True)
    policy = changed(made.POLICY, two_officers=True)
    keys = changed(made.KEYS, officers={made.SITE: officers})

    assert checked(text, policy=policy, keys=keys).findings == ()
    assert checked(text, policy=policy).outcome is Outcome.INCOMPLETE


def test_an_approval_by_somebody_else_is_found(tmp_path):
    """The row is the site's, well signed; the officer's signature in it is not the officer's."""
    text, _ = with_officers(tmp_path, agreed=True)
    entries = list(read_bundle(text)[0].entries[:-1])
    at = next(n for n, e in enumerate(entries) if isinstance(e, RowLine) and b"APPROVAL" in e.body)
    row = read_row(entries[at].body)
    forged = changed(row, approval=changed(row.approval, signature="00" * 64))
    body = canonical.encode(forged)
    entries[at] = RowLine(body, sign_row(example.signing_key(made.SITE), body))

    verdict = checked(made.sealed(*entries))

    assert verdict.outcome is Outcome.TAMPERED
    assert verdict.findings[0].entry == at + 1


def test_what_is_tampered_is_not_called_anything_else():
    """It comes first; a mismatch comes before a breach, and what is missing last."""
    bad = flipped(WHOLE, len(WHOLE) // 2, 1)

    verdict = checked(bad, policy=changed(made.POLICY, epsilon_for_life="2"), keys=None)

    assert verdict.outcome is Outcome.TAMPERED


# -- payouts ----------------------------------------------------------------------------------


def paid(rounds, claimed="100"):
    domain = Domain(1337, "0x" + "a1" * 20, example.filler("programme"))
    return Paid(domain, "0x" + "b2" * 20, claimed, rounds, 7)


def test_more_rounds_paid_than_sent_is_tampered():
    """Paid for is what was sent: a ledger with less has lost rows, or the chain was lied to."""
    assert checked(WHOLE, paid=paid(2)).outcome is Outcome.OK
    assert checked(WHOLE, paid=paid(3)).outcome is Outcome.TAMPERED


def test_a_chain_that_says_less_than_the_bundle_is_tampered():
    entries = [made.head(), made.CONFIG, *made.rows(), *made.documents(1, 2), paid(2)]
    text = made.sealed(*entries)

    assert checked(text).outcome is Outcome.OK
    assert checked(text, paid=paid(2, "99")).outcome is Outcome.TAMPERED


# -- a run ------------------------------------------------------------------------------------


def run(*left_out, papers=None):
    """The coordinator's bundle of one round."""
    cohort = [made.document(made.header(1, name), name) for name in example.NAMES[:3]]
    found = papers or [
        made.roster_document(),
        made.plan_document(made.plan(1)),
        *cohort,
        made.document(made.cohort(1), COORDINATOR),
        made.document(made.release(1), "amber", "birch"),
    ]
    kept = [one for one in found if one.purpose not in left_out]
    head = made.head(COORDINATOR, "run")
    return made.sealed(head, *sorted(kept, key=Document.order), by=COORDINATOR)


def test_a_run_says_what_each_site_has_spent_as_a_mirror():
    verdict = checked(run())

    assert verdict.findings == ()
    assert [each.participant for each in verdict.mirror] == ["amber", "birch", "cedar"]
    assert {(each.contributions, each.counted) for each in verdict.mirror} == {(1, 1)}
    (ward,) = checked(made.bundle(rounds=1)).datasets
    assert {each.epsilon_sums for each in verdict.mirror} == {ward.sums.committed}


def test_a_cohort_and_its_certificate_count_once():
    """They have one body; a site was in one sum."""
    body = canonical.encode(made.cohort(1))
    signature = sign(example.signing_key("amber"), Purpose.CERTIFICATE, body).hex()
    certificate = Document(Purpose.CERTIFICATE, 1, body, {"amber": signature})
    whole = [one for _, one in read_bundle(run())[0].only(Document)]

    verdict = checked(run(papers=[*whole, certificate]))

    assert verdict.findings == ()
    assert {each.counted for each in verdict.mirror} == {1}


@pytest.mark.parametrize("purpose", [Purpose.PLAN, Purpose.CONTRIBUTION, Purpose.COHORT])
def test_a_run_without_one_of_its_documents_is_incomplete(purpose):
    assert checked(run(purpose)).outcome is Outcome.INCOMPLETE


def test_a_header_that_claims_another_event_than_its_plan_is_a_mismatch():
    cheap = changed(made.header(1), claim=Events(Gaussian("50"), Gaussian("50")))
    papers = [
        made.roster_document(),
        made.plan_document(made.plan(1)),
        made.document(cheap, "amber"),
    ]

    assert checked(run(papers=papers)).outcome is Outcome.ACCOUNTING


def test_a_cohort_that_says_of_a_site_what_it_has_not_signed_is_found():
    """The coordinator signs the cohort; each site's roots are its own."""
    first, *others = made.cohort(1).entries
    wrong = changed(first, roots=(example.filler("another root"),))
    whole = [one for _, one in read_bundle(run())[0].only(Document)]
    papers = [one for one in whole if one.purpose not in (Purpose.COHORT, Purpose.RELEASE)]
    cohort = changed(made.cohort(1), entries=(wrong, *others))

    verdict = checked(run(papers=[*papers, made.document(cohort, COORDINATOR)]))

    assert verdict.outcome is Outcome.TAMPERED
    assert "amber" in verdict.findings[0].message


def test_sites_of_one_organisation_hide_each_other_no_better_than_one():
    """Three sites of two organisations, where the plan asks for three."""
    members = [example.member(name) for name in example.NAMES]
    members[1] = changed(members[1], organisation=members[0].organisation)
    roster = example.roster(members=tuple(members))
    signed = example.signed_roster(roster, *example.NAMES)
    made_by = {name: each.hex() for name, each in signed.signatures.items()}
    whole = [one for _, one in read_bundle(run(Purpose.RELEASE, Purpose.ROSTER))[0].only(Document)]
    papers = [Document(Purpose.ROSTER, 0, canonical.encode(roster), made_by), *whole]

    verdict = checked(run(papers=papers), keys=Keys(roster=roster.digest()))

    assert verdict.outcome is Outcome.POLICY
    assert "2 organisations" in verdict.findings[0].message


def test_a_cohort_that_is_too_small_is_a_breach():
    small = changed(made.cohort(1), entries=made.cohort(1).entries[:2])
    papers = [
        made.roster_document(),
        made.plan_document(made.plan(1)),
        *(made.document(made.header(1, name), name) for name in example.NAMES[:2]),
        made.document(small, COORDINATOR),
    ]

    assert checked(run(papers=papers)).outcome is Outcome.POLICY


# -- alone ------------------------------------------------------------------------------------


def test_nothing_is_asked_of_a_network(monkeypatch):
    """An officer verifies on a machine that has none."""

    def refuse(*_, **__):
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)

    assert checked(WHOLE).outcome is Outcome.OK


def test_a_bundle_is_read_as_the_one_value_it_encodes():
    """What is read is written again as the same bytes, entry by entry."""
    bundle, _ = read_bundle(WHOLE)

    assert joined(map(encode_entry, bundle.entries)) == WHOLE


# -- what a site may do to its own budget ------------------------------------------------------


def spent_by(folder, does, life="60"):
    """A bundle of a ledger with two officers, to which something was done after one round."""
    officers = {name: made.key_hex(example.signing_key(name)) for name in ("alice", "bob")}
    limits = SpendLimits("0.001", life, "9")
    ledger = made.open_ledger(folder, limits=limits)
    ledger.register(made.DATASET)
    ledger.set_policy(officers)
    made.spend(ledger, 1)
    does(ledger)
    ledger.mark()
    rows = [RowLine(*each) for each in ledger.entries()]
    ledger.close()
    text = made.sealed(made.head(), made.CONFIG, *rows, *made.documents(1))
    policy = changed(made.POLICY, two_officers=True)
    return text, policy, changed(made.KEYS, officers={made.SITE: officers})


def rounds_of(ledger, dataset, count, held=None):
    """Rounds of another federation, of which this one has no documents."""
    held = held or ledger.reserve(dataset, "elsewhere", made.EVENTS, "1", count, "d" * 64)
    for number in range(1, count + 1):
        ledger.commit(held, number, "a" * 64)
        ledger.sent(held, number)


def begins_another(ledger):
    """Two officers agree that it may."""
    key = example.signing_key
    row = ledger.propose(ledger.limits(), "alice", key("alice"), datasets=("ward2",))
    ledger.approve(row, "bob", key("bob"))
    ledger.register(changed(made.DATASET, id="ward2"))
    rounds_of(ledger, "ward2", 2)


def test_a_second_budget_is_a_breach_unless_the_officer_knows_of_it(tmp_path):
    """Each name is within its limit; who is under both has lost what both have spent."""
    text, policy, keys = spent_by(tmp_path, begins_another)
    known = changed(policy, datasets=("ward", "ward2"))

    verdict = checked(text, policy=policy, keys=keys)

    both = epsilon_text(costs_of(made.EVENTS).times(3).sums.epsilon(0.001))
    (finding,) = verdict.findings
    assert verdict.outcome is Outcome.POLICY
    assert f"ward, ward2; whoever is in all of them has lost epsilon {both}" in finding.message
    assert checked(text, policy=known, keys=keys).findings == ()


def test_a_dataset_that_the_officer_does_not_name_is_a_breach(tmp_path):
    text, policy, keys = spent_by(tmp_path, begins_another)

    verdict = checked(text, policy=changed(policy, datasets=("ward",)), keys=keys)

    (finding,) = verdict.findings
    assert (finding.outcome, "ward2: not among ward" in finding.message) == (Outcome.POLICY, True)
    assert b"DATASET_REGISTER" in list(lines_of(text))[finding.entry - 1]


def test_a_site_that_registers_a_new_name_without_its_officers_is_found(tmp_path):
    """With a ledger of its own making: the rules are the rows', and not the program's."""

    def forces(ledger):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("privacy.ledger.officers.Standing.check_dataset", lambda *_: None)
            patched.setattr(
                "participant.ledger.site_ledger.SiteLedger._check_name", lambda *_, **__: None
            )
            ledger.register(changed(made.DATASET, id="ward2"))

    text, policy, keys = spent_by(tmp_path, forces)

    verdict = checked(text, policy=policy, keys=keys)

    assert verdict.outcome is Outcome.TAMPERED
    assert "have not agreed to it" in verdict.findings[0].message


def test_rounds_committed_under_a_limit_that_was_lowered_before_are_a_breach(tmp_path):
    """Both officers had lowered it; what was reserved is not released."""

    def lowers(ledger):
        key = example.signing_key
        held = ledger.reserve("ward", "elsewhere", made.EVENTS, "1", 3, "d" * 64)
        row = ledger.propose(SpendLimits("0.001", "1.7", "1.7"), "alice", key("alice"))
        ledger.approve(row, "bob", key("bob"))
        with pytest.raises(BudgetExhausted):
            rounds_of(ledger, "ward", 1, held)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("participant.ledger.site_ledger.check_limits", lambda *_: None)
            rounds_of(ledger, "ward", 3, held)

    text, policy, keys = spent_by(tmp_path, lowers)

    verdict = checked(text, policy=policy, keys=keys)

    found = [(each.outcome, each.entry) for each in verdict.findings if each.entry]
    commits = [
        at
        for at, line in enumerate(lines_of(text), 1)
        if b'"type":"COMMIT"' in line and b"elsewhere" in line
    ]
    assert found == [(Outcome.POLICY, at) for at in commits]
    assert len(commits) == 3
