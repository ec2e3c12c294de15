"""The chain on which contributions are settled: whether it answers, and whether it is the one."""

from importlib.util import find_spec

from privacy.errors import VeilsumError, WrongContext
from veilsum.chain.access import ChainAccess

from .finding import NETWORK, OPERATOR, SITE, Finding, Level, problem, warning
from .redact import without_secrets


def check_chains(access: ChainAccess, contract: str, seconds: float) -> list[Finding]:
    """Return of each endpoint whether it answers, and of two whether they are of one chain."""
    urls = [access.rpc] if access.second_rpc is None else [access.rpc, access.second_rpc]
    found = [check_chain(url, access.chain_id, contract, seconds) for url in urls]
    if len(urls) > 1 and all(each.level is Level.OK for each in found):
        return _compared(access, seconds) or found
    return found


def check_chain(rpc: str, chain_id: int, contract: str, seconds: float) -> Finding:
    """Return whether an endpoint answers for the right chain, and has the right contract."""
    where = without_secrets(rpc)
    if find_spec("web3") is None:
        return problem("chain", where, "web3 is not installed", "install the extra `chain`", SITE)
    from participant.settling.programme import contracts_at  # noqa: PLC0415  heavy, and an extra
    from veilsum.chain.endpoint import connect  # noqa: PLC0415  likewise

    try:
        endpoint = connect(rpc, chain_id=chain_id, answer_seconds=seconds)
        if contract:
            contracts_at(endpoint, contract)
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


def _compared(access: ChainAccess, seconds: float) -> list[Finding]:
    from veilsum.chain.endpoint import reach  # noqa: PLC0415  heavy, and an extra

    try:
        reach(access, answer_seconds=seconds).final_block()
    except VeilsumError as error:
        where = f"{without_secrets(access.rpc)} and {without_secrets(str(access.second_rpc))}"
        fix = "ask a third node, and replace the one that is wrong"
        return [problem("chain", where, str(error), fix, OPERATOR)]
    return []
