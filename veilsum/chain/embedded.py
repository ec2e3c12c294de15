"""A chain in this process, asked as a node is; the demonstration serves it, and nothing else."""

from typing import Any

from web3 import EthereumTesterProvider, Web3
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint, RPCResponse

Unanswered = Web3Exception
"""What is raised for a request that this chain has no answer to."""


class Embedded:
    """An `eth_tester` chain behind JSON-RPC's methods.

    Not for more than one caller at a time.
    """

    def __init__(self, tester: Any) -> None:  # noqa: ANN401 (a package that need not be there)
        provider = EthereumTesterProvider(tester)
        web3 = Web3(provider)
        self._ask = provider.request_func(web3, web3.middleware_onion)

    def ask(self, method: str, params: list[Any]) -> RPCResponse:
        """Return the response to one request.

        Raises:
            Unanswered: there is none.
        """
        response: RPCResponse = self._ask(RPCEndpoint(method), params)
        return response
