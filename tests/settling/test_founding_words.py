"""What an operator is told to put into whose file."""

from privacy.contribution.scores import Method
from veilsum.settling.founding_words import of_opened
from veilsum.settling.opening import Opened

OPENED = Opened(
    chain_id=1,
    contract="0x" + "11" * 20,
    programme="22" * 32,
    coordinator="0x" + "33" * 20,
    token="0x" + "44" * 20,
    funded="1000",
    escrow="1000",
    bonded="500",
    bond="500",
    end=1,
    window_seconds=10,
    response_seconds=1,
    method=Method.ALIGNMENT,
)


def test_who_opens_a_programme_is_told_the_method_that_sites_must_name() -> None:
    """It is the coordinator's own; a site's owner agrees to it, or names no such line."""
    *_, introduced, method = of_opened(OPENED).splitlines()

    assert introduced == "of a site's and the auditor's also, if who is paid agrees to it:"
    assert method == 'method = "alignment/1"'
