"""How deep what an endpoint or a signer says may be nested, wherever the chain's libraries are.

Python ends what is nested deeper than its limit on calls with a `RecursionError`. What eth-account
loads lifts that limit to 100,000, which is deeper than a stack: JSON of as many brackets would end
the process. Whoever loads this module has the limit below that again.
"""

import sys
from typing import Final

import eth_account  # noqa: F401  it lifts the limit when it is loaded, which is now

DEEPEST: Final = 5_000

sys.setrecursionlimit(min(sys.getrecursionlimit(), DEEPEST))
