"""Who makes the triples and also opens with them reads what they hide.

CrypTen's default provider lets its first party draw all triples and share them out. What that
party then sees opened, y - b, differs from a secret by a number that it drew itself. Its authors
say that this is for development only. Here a dealer makes triples that takes no part in what is
opened, and the first party's provider cannot be had.

Source: crypten 0.4.1, mpc/provider/tfp_provider.py and mpc/primitives/beaver.py; CrypTen issue
450 ("TFP is intended for development / debugging purposes only").
"""

import numpy as np
import pytest

from privacy.crypten_door import import_crypten
from privacy.errors import InternalError
from privacy.mpc.compare import Within, within
from privacy.mpc.triples import Triples
from tests.attacks.crypten_parties import INPUT
from tests.attacks.crypten_programs import recorded, run
from tests.privacy.mpc.trio import shared, three_processes

pytest.importorskip("torch")

VALUES = np.array([[5, 77, 1_234_567]], np.uint64)
BOUNDS = np.full(3, 2**30, np.uint64)


@pytest.fixture(scope="module")
def trio():
    with three_processes() as three:
        yield three


def test_the_first_party_of_crypten_reads_the_others_input():
    """The control: one product with CrypTen's defaults, and the whole secret."""
    found, _ = run("first_party")

    assert found == INPUT


def _remembering(seat, shares):
    """Answer, and keep the first triple and what was opened with it."""
    drawn = recorded(Triples, "draw")
    opened = []
    compute = Within.compute

    def watching(self, crypten, number, rows):
        opened.append(recorded(crypten.communicator.get(), "all_reduce"))
        return compute(self, crypten, number, rows)

    Within.compute = watching
    try:
        within(seat, b"q", shares, BOUNDS)
    finally:
        Within.compute = compute
        Triples.draw = _DRAW
    if not drawn:
        return None
    (first,), (results,) = drawn[:1], opened
    return [words.copy() for words in first], results[0][1].numpy().view(np.uint64)


_DRAW = Triples.draw


def test_neither_of_the_two_seats_reads_the_others_share(trio):
    """In the first AND the other's bits are hidden by b, of which a seat has one of two shares.

    Seat 0 could do what CrypTen's first party does if it had the other share.
    """
    shares = shared(VALUES)
    first, second, dealer = (
        report.result for report in trio.ask(_remembering, [(share,) for share in shares])
    )
    (_, own_b, _), opened = first
    (_, others_b, _), _ = second

    guess = (opened ^ own_b).reshape(2, 3)
    told = (opened ^ own_b ^ others_b).reshape(2, 3)

    # Half of what is compared is the values, the other half their distance from the bound.
    assert dealer is None
    assert np.array_equal(told[0] + told[1], np.zeros(3, np.uint64)), "the attack itself works"
    assert not np.any(guess == told)
    assert not np.any(guess[0] + guess[1] == 0)


def _choosing(seat, shares, provider):
    """Try to have CrypTen's own provider make triples while it computes."""
    refused = []
    compute = Within.compute

    def choosing(self, crypten, number, rows):
        mpc = crypten.mpc
        with crypten.cfg.temp_override({"mpc.provider": provider}):
            refused.append(_refusal(mpc.get_default_provider))
        theirs = mpc.provider.TrustedFirstParty()
        refused.append(_refusal(lambda: theirs.generate_binary_triple((1,), (1,))))
        refused.append(_refusal(lambda: theirs.square((1,))))
        return compute(self, crypten, number, rows)

    Within.compute = choosing
    try:
        return within(seat, b"q", shares, BOUNDS).tolist(), refused
    finally:
        Within.compute = compute


def _refusal(call):
    try:
        call()
    except InternalError:
        return True
    return False


@pytest.mark.parametrize("provider", ["TFP", "TTP", "HE"])
def test_no_provider_of_cryptens_can_be_had_while_seats_compute(trio, provider):
    """Neither by its setting nor by hand; the answer comes all the same."""
    reports = trio.shares(_choosing, VALUES, provider)

    assert [report.result for report in reports] == [
        ([True], [True] * 3),
        ([True], [True] * 3),
        ([True], []),
    ]


def test_the_first_party_is_cryptens_default():
    """If this changes, what is said above should."""
    crypten = import_crypten()

    assert crypten.cfg.mpc.provider == "TFP"
    assert crypten.mpc.get_default_provider().NAME == "TFP"
