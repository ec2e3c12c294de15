"""The chain on which contributions are settled: whether it answers, and whether it is the one."""

from importlib.util import find_spec

from privacy.errors import VeilsumError, WrongContext

from .finding import NETWORK, OPERATOR, SITE, Finding, problem, warning
from .redact import without_secrets


def check_chain(rpc: str, chain_id: int, contract: str, seconds: float) -> Finding:
    """Return whether an endpoint answers for the right chain, and has the right contract."""
    where = without_secrets(rpc)
    if find_spec("web3") is None:
        return problem("chain", where, "web3 is not installed", "install the extra `chain`", SITE)
    from veilsum.chain.endpoint import connect  # noqa: PLC0415  heavy, and an extra

    try:
        endpoint = connect(rpc, chain_id=chain_id, answer_seconds=seconds)
        if contract:
            endpoint.deployed("Settlement", contract)
    except WrongContext as error:
        fix = "correct settlement.rpc, settlement.chain_id or settlement.contract"
        return problem("chain", where, str(error), fix, OPERATOR)
    except VeilsumError as error:
        fix = "let this machine reach it; rounds go on without it, and are settled later"
        return warning("chain", where, str(error), fix, NETWORK)
    except ValueError:
        fix = "correct settlement.contract: 0x and 40 hexadecimal digits"
        return problem("chain", where, "the contract's address is none", fix, SITE)
    return Finding("chain", where, f"answers for chain {chain_id}")
