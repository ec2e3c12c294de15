"""The secret of a mask opens for whom it was sealed to, and is the one its site committed to."""

import msgspec
import pytest

from participant.sending.masking import SealedMask, open_masks, seal_mask
from participant.session import Open
from privacy.errors import MalformedMessage, PeerUnreachable, WrongIdentity
from privacy.identifiers import sha256_hex
from privacy.records import Contribution
from privacy.schemes.ckks import CkksRevealer
from privacy.schemes.masks import MASK_SECRET_BYTES
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Showing, agent, ends

PLAN = made.plan()
SITE, OPENER = "delta", "birch"
AT = made.OPENERS.index(OPENER)
SECRET = made.mask_secret(SITE)
SEALED = made.sealed_mask(PLAN, SITE)


def header_with(mask: SealedMask, site: str = SITE, plan: made.Plan = PLAN) -> Contribution:
    """A header that names this mask, as its site would sign it."""
    header = made.header_of(plan, site)
    return msgspec.structs.replace(header, mask=mask.commitment, masks=mask.named)


HEADER = header_with(SEALED)


def opened(header, sealed, *, plan=PLAN, opener=OPENER, pair=None):
    pair = pair or made.keys(opener).sealing
    return open_masks(plan, [header], {header.participant: sealed}, opener, pair)


def sealed_with(seal: bytes, opener: str = OPENER) -> SealedMask:
    """Delta's mask, with this in place of what is sealed to one opener."""
    at = made.OPENERS.index(opener)
    return SealedMask(
        SEALED.commitment, made.OPENERS, (*SEALED.seals[:at], seal, *SEALED.seals[at + 1 :])
    )


@pytest.mark.parametrize("opener", made.OPENERS)
def test_each_opener_finds_the_same_secret(opener):
    """In its own seal, each of which is another."""
    sealed = SEALED.seals[made.OPENERS.index(opener)]

    assert opened(HEADER, sealed, opener=opener) == (SECRET,)
    assert len(set(SEALED.seals)) == len(made.OPENERS)


def test_secrets_come_in_the_order_of_the_cohort():
    """Whatever order the coordinator's seals come in, and whatever else there is."""
    of = made.Round(PLAN, made.TRAINERS)
    headers = [made.header_of(PLAN, name) for name in made.TRAINERS]
    seals = {"watch": b"more", **dict(reversed(of.seals(OPENER).items()))}

    found = open_masks(PLAN, headers, seals, OPENER, made.keys(OPENER).sealing)

    assert found == tuple(made.mask_secret(name) for name in made.TRAINERS)


def test_the_header_names_each_seal_and_not_the_secret():
    """What the coordinator stores is what was signed; a commitment says nothing of 32 bytes."""
    assert [each.opener for each in HEADER.masks] == list(made.OPENERS)
    assert [each.sealed for each in HEADER.masks] == [sha256_hex(each) for each in SEALED.seals]
    assert HEADER.mask not in {SECRET.hex(), sha256_hex(SECRET)}
    assert all(SECRET not in each for each in SEALED.seals)
    assert len(SECRET) == MASK_SECRET_BYTES


def test_a_sealed_mask_does_not_print_its_seals():
    """They are nobody's business but the openers'."""
    assert "seals" not in repr(SEALED)


# -- what a seal is bound to -----------------------------------------------------------------


@pytest.mark.parametrize("opener", ["amber", "cedar", "delta", "watch"])
def test_a_seal_opens_with_its_openers_key_alone(opener):
    """Another opener's, the site's own and an auditor's are tried in birch's name."""
    with pytest.raises(MalformedMessage, match="delta sealed no mask to birch"):
        opened(HEADER, SEALED.seals[AT], pair=made.keys(opener).sealing)


def test_a_seal_does_not_open_in_another_openers_name():
    """Even where the site's header says so, and with the key that it was sealed to."""
    moved = header_with(sealed_with(SEALED.seals[AT], "amber"))

    with pytest.raises(MalformedMessage, match="delta sealed no mask to amber"):
        opened(moved, SEALED.seals[AT], opener="amber", pair=made.keys(OPENER).sealing)


@pytest.mark.parametrize(
    "plan",
    [made.plan(round=2), made.plan(clip="19"), made.plan(federation="other")],
    ids=["round", "plan", "federation"],
)
def test_a_seal_does_not_open_in_another_round_plan_or_federation(plan):
    """A site's seal of last week, named in its header of today."""
    with pytest.raises(MalformedMessage, match="delta sealed no mask to birch"):
        opened(header_with(SEALED, plan=plan), SEALED.seals[AT], plan=plan)


def test_a_seal_is_bound_to_federation_and_round_beside_the_plan(monkeypatch):
    """Each on its own: the plan's digest, which holds both, is held still."""
    monkeypatch.setattr(made.Plan, "digest", lambda self: "d" * 64)
    sealed = seal_mask(PLAN, made.roster(), SITE, SECRET)
    for plan in (made.plan(round=2), made.plan(federation="other")):
        header = msgspec.structs.replace(HEADER, mask=sealed.commitment, masks=sealed.named)

        assert opened(header, sealed.seals[AT]) == (SECRET,)
        with pytest.raises(MalformedMessage, match="sealed no mask"):
            opened(header, sealed.seals[AT], plan=plan)


def test_another_sites_seal_is_no_ones_own():
    """A thief copies delta's seals, digests and commitment into its own header, and signs it."""
    copied = header_with(SEALED, "amber")

    with pytest.raises(MalformedMessage, match="amber sealed no mask to birch"):
        opened(copied, SEALED.seals[AT])


# -- what does not fit the header ------------------------------------------------------------


@pytest.mark.parametrize(
    "sealed",
    [
        b"",
        b"x",
        made.sealed_mask(PLAN, "amber").seals[AT],
        SEALED.seals[AT - 1],
        SEALED.seals[AT][:-1],
        SEALED.seals[AT] + b"\x00",
        seal_mask(PLAN, made.roster(), SITE, SECRET).seals[AT],
    ],
    ids=["empty", "short", "another site's", "another opener's", "cut", "longer", "made again"],
)
def test_a_seal_that_the_site_has_not_signed_is_refused(sealed):
    """Before it is opened: one that the same secret is sealed in, too."""
    with pytest.raises(MalformedMessage, match="not the mask that delta has signed for birch"):
        opened(HEADER, sealed)


def test_a_missing_seal_is_refused_and_its_site_named():
    """There is no cohort of which one mask stays on."""
    headers = [made.header_of(PLAN, name) for name in made.TRAINERS]
    seals = made.Round(PLAN, made.TRAINERS).seals(OPENER)
    del seals["cedar"]

    with pytest.raises(MalformedMessage, match="not the mask that cedar has signed"):
        open_masks(PLAN, headers, seals, OPENER, made.keys(OPENER).sealing)


def test_a_missing_seal_does_not_pass_for_an_empty_one():
    """A header may name the digest of nothing; nothing opens to no secret."""
    with pytest.raises(MalformedMessage, match="delta sealed no mask to birch"):
        open_masks(PLAN, [header_with(sealed_with(b""))], {}, OPENER, made.keys(OPENER).sealing)


def test_a_header_that_names_nothing_for_this_opener_is_refused():
    """What was sealed to another opener is none of this one's."""
    others = msgspec.structs.replace(
        HEADER, masks=tuple(each for each in HEADER.masks if each.opener != OPENER)
    )

    with pytest.raises(MalformedMessage, match="not the mask that delta has signed"):
        opened(others, SEALED.seals[AT])


def test_another_secret_than_committed_to_is_refused():
    """Openers would make two models of one sum: one has this secret, and the others that."""
    other = seal_mask(PLAN, made.roster(), SITE, bytes(32)).seals[AT]
    header = header_with(sealed_with(other))

    with pytest.raises(MalformedMessage, match="delta sealed another mask than it committed to"):
        opened(header, other)
    assert opened(header, SEALED.seals[0], opener="amber") == (SECRET,)


@pytest.mark.parametrize("secret", [b"", b"short", bytes(31), bytes(33)])
def test_a_secret_of_another_length_is_another_secret(secret):
    """Committed to as it is, it would open; then it makes no mask."""
    sealed = seal_mask(PLAN, made.roster(), SITE, secret)

    with pytest.raises(MalformedMessage):
        opened(HEADER, sealed.seals[AT])


def test_nothing_is_sealed_to_who_is_no_member():
    """A plan that names a stranger; policy has refused it before."""
    with pytest.raises(WrongIdentity):
        seal_mask(made.plan(openers=("amber", "mallory")), made.roster(), SITE, SECRET)


# -- an opener's process ---------------------------------------------------------------------


@pytest.fixture
def shown():
    coordinator = Showing()
    coordinator.shows(made.Round(PLAN, made.TRAINERS))
    return coordinator


@pytest.fixture
def birch(tmp_path, shown, monkeypatch):
    def reveal(self, chunk, total, cohort):
        raise AssertionError("a sum was opened whose masks do not fit")

    monkeypatch.setattr(CkksRevealer, "reveal", reveal)
    at_work = agent(tmp_path, shown, OPENER)
    yield at_work
    ends(at_work)


def without_cedar(seals):
    return {name: each for name, each in seals.items() if name != "cedar"}


def cedar_sends_amber(seals):
    return {**seals, "cedar": seals["amber"]}


def cedar_sends_junk(seals):
    return {**seals, "cedar": bytes(len(seals["cedar"]))}


@pytest.mark.parametrize("lie", [without_cedar, cedar_sends_amber, cedar_sends_junk])
async def test_an_opener_whose_seals_do_not_fit_opens_nothing(shown, birch, lie):
    """The worker is not even asked, and the site that is named is the one whose seal it is."""
    honest = shown.seals[1]
    shown.seals[1] = lambda opener: lie(honest(opener))

    with pytest.raises(MalformedMessage, match="cedar"):
        await birch._carry_out(Open(1))

    assert birch._worker.opened == 0
    assert (shown.put, shown.signed_releases) == ([], [])


async def test_a_site_that_sealed_another_secret_stops_the_opening(shown, birch, monkeypatch):
    """Found by this opener before anything is opened, and named."""
    other = seal_mask(PLAN, made.roster(), SITE, bytes(32)).seals[AT]
    spoiled, honest = sealed_with(other), made.sealed_mask
    monkeypatch.setattr(
        made, "sealed_mask", lambda of, name: spoiled if name == SITE else honest(of, name)
    )
    shown.shows(made.Round(PLAN, made.TRAINERS))

    with pytest.raises(MalformedMessage, match="delta sealed another mask than it committed to"):
        await birch._carry_out(Open(1))

    assert birch._worker.opened == 0


async def test_seals_that_do_not_come_are_asked_for_again(tmp_path, shown):
    """The same sum opens then, under the record of the first try."""
    amber = agent(tmp_path, shown)
    shown.fails["masks"] = PeerUnreachable("cut")
    with pytest.raises(PeerUnreachable):
        await amber._carry_out(Open(1))
    assert amber._worker.opened == 0

    del shown.fails["masks"]
    await amber._carry_out(Open(1))

    assert amber._worker.opened == 1
    ends(amber)
