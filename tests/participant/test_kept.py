"""What was signed in rounds stays on the site's disk: once, with all its signatures."""

import pytest

from participant.kept import Kept
from privacy.documents import Signed
from privacy.errors import ConfigError
from privacy.identifiers import COORDINATOR
from privacy.plan import pack
from privacy.signing import Purpose, verify
from tests.privacy import example_round as example

BODY = b'{"round":2}'


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path / "kept")


def test_a_document_is_found_again_after_the_process(kept):
    """Another object on the same folder stands for a restart."""
    kept.keep(Purpose.COHORT, 2, Signed(BODY, {COORDINATOR: b"signature"}))

    assert list(Kept(kept.folder).all()) == [
        (Purpose.COHORT, 2, Signed(BODY, {COORDINATOR: b"signature"}))
    ]


def test_signatures_of_one_document_add_up_and_none_is_lost(kept):
    """An opener signs a release after others have."""
    for name in ("amber", "birch", "amber"):
        kept.keep(Purpose.RELEASE, 2, Signed(BODY, {name: name.encode()}))

    ((_, _, signed),) = kept.all()
    assert signed.signatures == {"amber": b"amber", "birch": b"birch"}


def test_documents_that_differ_are_both_kept(kept):
    """Two cohorts of one round are evidence against who signed both."""
    for body in (BODY, BODY + b" "):
        kept.keep(Purpose.COHORT, 2, Signed(body, {COORDINATOR: b"signature"}))

    assert len(list(kept.all())) == 2


def test_one_body_signed_for_two_purposes_is_two_documents(kept):
    """A cohort, and the certificate of it."""
    kept.keep(Purpose.COHORT, 2, Signed(BODY, {COORDINATOR: b"signature"}))
    kept.keep(Purpose.CERTIFICATE, 2, Signed(BODY, {"elm": b"signature"}))

    assert {purpose for purpose, _, _ in kept.all()} == {Purpose.COHORT, Purpose.CERTIFICATE}


def test_documents_of_one_round_and_purpose_are_found(kept):
    """A release of this round, and neither another's, nor its cohort."""
    kept.keep(Purpose.COHORT, 2, Signed(BODY, {COORDINATOR: b"signature"}))
    for number in (2, 3):
        kept.keep(Purpose.RELEASE, number, Signed(BODY, {"amber": b"%d" % number}))

    assert kept.of(Purpose.RELEASE, 2) == (Signed(BODY, {"amber": b"2"}),)
    assert kept.of(Purpose.RELEASE, 4) == ()


def test_a_plan_is_kept_in_the_form_that_bundles_hold(kept):
    """As `pack` puts it, whoever sent its two parts."""
    plan = example.PLAN
    sent = (plan.arithmetic.encode(), pack(plan)[4 + len(plan.arithmetic.encode()) :], b"s")

    kept.keep_plan(1, sent)

    ((purpose, number, signed),) = kept.all()
    assert (purpose, number, signed.body) == (Purpose.PLAN, 1, pack(plan))


def test_rosters_are_kept_with_the_signatures_that_admit_them(kept):
    kept.keep_rosters([example.signed_roster(example.roster(), *example.NAMES)])

    ((purpose, number, signed),) = kept.all()
    assert (purpose, number) == (Purpose.ROSTER, 0)
    for member in example.roster().members:
        signature = signed.signatures[member.participant]
        verify(member.signing_key, Purpose.ROSTER, signed.body, signature)


def test_a_damaged_file_is_said_and_not_skipped(kept):
    """Evidence that silently lacks a document would be called incomplete, not damaged."""
    kept.keep(Purpose.COHORT, 2, Signed(BODY, {COORDINATOR: b"signature"}))
    (path,) = kept.folder.glob("000002/*")
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ConfigError, match=f"{path}: .*put it back from a backup"):
        list(kept.all())


def test_only_the_owner_reads_what_is_kept(kept):
    kept.keep(Purpose.COHORT, 2, Signed(BODY, {COORDINATOR: b"signature"}))

    (path,) = kept.folder.glob("000002/*")
    modes = [each.stat().st_mode & 0o077 for each in (path, path.parent, kept.folder)]
    assert modes == [0, 0, 0]
