"""What a chain has paid to a site: asked, or read from a file that somebody else has asked for."""

from pathlib import Path

from msgspec.structs import replace

from participant.config import SiteConfig
from participant.settling.payout import Paid as Receipt
from participant.settling.payout import Payouts
from privacy import canonical
from privacy.errors import ConfigError, MalformedMessage
from privacy.evidence.bundle import Bundle, Paid
from veilsum.files import read_file


def paid_to(config: SiteConfig, rpc: str) -> Paid:
    """Return what the contract has paid to a site, for the rounds that the settlement counts.

    Raises:
        ConfigError: this site has been offered nothing yet.
        WrongContext: the code at that address is not this version's contract.
        ChainUnavailable: the endpoint does not answer; run it again.
    """
    payouts = Payouts(config)
    if not payouts.receipt.exists():
        raise ConfigError(f"{payouts.receipt}: this site has claimed nothing; leave out --chain")
    offered = payouts.offered()
    if offered is None:
        raise ConfigError(f"{payouts.offer} is gone, and with it where this site was paid")
    one = offered.entitlement
    receipt = canonical.decode(read_file(payouts.receipt), Receipt)
    about = Paid(one.domain, one.payee, "0", receipt.rounds, 0)
    return _asked(about, rpc)


def read_paid(source: str, bundle: Bundle) -> Paid:
    """Return what a chain says: by its JSON-RPC URL, or in a file as bundles hold it.

    Raises:
        ConfigError: a file that cannot be read, or does not say what was paid, or a bundle that
            names no contract to ask.
        ChainUnavailable: the endpoint does not answer; run it again.
    """
    if not source.startswith(("http://", "https://")):
        try:
            return canonical.decode(read_file(Path(source)).strip(), Paid)
        except MalformedMessage as error:
            raise ConfigError(f"{source}: {error}; it is not what a chain said") from None
    stated = bundle.only(Paid)
    if not stated:
        raise ConfigError("the bundle names no contract; let the site export it with --chain")
    return _asked(stated[0][1], source)


def _asked(about: Paid, rpc: str) -> Paid:
    # web3 takes half a second to import, and is there only where the chain is used.
    from veilsum.chain.endpoint import checksummed, connect, translated  # noqa: PLC0415

    endpoint = connect(rpc, chain_id=about.domain.chain_id)
    settlement = endpoint.deployed("Settlement", about.domain.contract)
    payee = checksummed(about.payee)
    programme = bytes.fromhex(about.domain.programme)
    with translated():
        block = int(endpoint.web3.eth.block_number)
    claimed = int(endpoint.read(settlement.functions.claimedBy(programme, payee)))
    return replace(about, claimed=str(claimed), block=block)
