"""Errors say who must act, and the drawing of them is true."""

import inspect
import re

import pytest

from coordinator.wire.status import STATUSES, status_of
from privacy import errors
from privacy.errors import BudgetExhausted, InternalError, VeilsumError

FAMILIES = {"InternalError", "ConfigError", "ProtocolError", "PrivacyError", "Unavailable"}


def tree(root: type[VeilsumError], prefix: str = "") -> list[str]:
    """The classes below one, drawn as in the module's docstring."""
    children = [kind for kind in vars(errors).values() if _is_child(kind, root)]
    lines = []
    for at, kind in enumerate(children):
        last = at == len(children) - 1
        lines.append(f"{prefix}{'└' if last else '├'}── {kind.__name__}")
        lines += tree(kind, prefix + ("    " if last else "│   "))
    return lines


def _is_child(kind: object, root: type) -> bool:
    return inspect.isclass(kind) and root in kind.__bases__


def every() -> list[type[VeilsumError]]:
    """All classes of the module."""
    return [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, VeilsumError)
    ]


def test_the_drawing_is_the_tree() -> None:
    """The first thing a reader sees must not be a lie."""
    lines = (errors.__doc__ or "").splitlines()
    start = lines.index("    VeilsumError")
    drawn = lines[start + 1 : lines.index("", start)]

    names = [re.sub(r"\s{2,}.*", "", line.strip("│├└─ ")) for line in drawn]
    bare = [line[4 : line.index(name) + len(name)] for line, name in zip(drawn, names, strict=True)]

    assert bare == tree(VeilsumError)


def test_codes_are_different_and_stable_words() -> None:
    """Codes travel and are documented; names of classes are not."""
    codes = [kind.code for kind in every()]

    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
    assert all("code" in vars(kind) for kind in every())


@pytest.mark.parametrize("kind", every(), ids=lambda kind: kind.__name__)
def test_every_error_says_who_acts_and_what_happened(kind: type[VeilsumError]) -> None:
    """The first question an error answers."""
    assert kind.who_acts
    assert kind.__doc__
    assert issubclass(kind, VeilsumError)


NARROWER = {
    "AddressTaken", "AwaitingApproval", "CertificateEnded", "CertificateRevoked",
    "EndpointsDiffer", "FeeAboveCeiling", "FolderHeld", "InvariantBroken", "InvitationRefused",
    "LeaseLost", "ReleaseMismatch", "RosterRefused", "Standby",
}  # fmt: skip
"""Leaves of whom the family's word would name the wrong one."""


def test_who_acts_is_said_by_the_family() -> None:
    """A leaf that said otherwise would belong elsewhere; but few know better who it is."""
    families = {kind.__name__ for kind in VeilsumError.__subclasses__()}

    said = {kind for kind in every() if "who_acts" in vars(kind)}

    assert {kind.__name__ for kind in said} == {"VeilsumError", *families, *NARROWER}
    assert len({kind.who_acts for kind in said}) == len(said)


def test_there_are_four_families_and_what_nobody_foresaw() -> None:
    """A fifth would need a fifth answer to who must act."""
    families = {kind.__name__ for kind in VeilsumError.__subclasses__()}

    assert families == FAMILIES


def test_an_exhausted_budget_has_its_numbers() -> None:
    """An operator decides by them."""
    error = BudgetExhausted(spent=1.25, cost=2.0, limit=3.0)

    assert (error.spent, error.cost, error.limit) == (1.25, 2.0, 3.0)
    assert str(error) == "epsilon spent 1.2500, with this release 3.2500, limit 3.0000"


@pytest.mark.parametrize("kind", every(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status(kind: type[VeilsumError]) -> None:
    """Its own or its family's, never that of an unknown bug."""
    error = kind.__new__(kind)

    status = status_of(error)

    assert status is STATUSES[next(above for above in kind.__mro__ if above in STATUSES)]
    assert (status is STATUSES[VeilsumError]) == (
        kind is VeilsumError or issubclass(kind, InternalError)
    )
