"""One decoder under libFuzzer: `python -m tests.fuzz.harness NAME [libFuzzer's options] [folders]`.

Coverage of `privacy` steers the search; the changes are those of `mutation`, or libFuzzer's own.
"""

import operator
import sys
from collections.abc import Callable
from random import Random
from typing import Any

import atheris
import numpy as np

with atheris.instrument_imports(include=["privacy"]):
    from tests.fuzz.decoders import DECODERS, check
    from tests.fuzz.mutation import mutated_as

_OPERATIONS = (operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge)


def main() -> None:
    """Run until libFuzzer ends, or a decoder breaks the law."""
    name = sys.argv.pop(1)
    decoder = DECODERS[name]

    def change(body: bytes, most: int, seed: int) -> bytes:
        draw = Random(seed)
        if draw.random() < 0.4:
            return atheris.Mutate(body, most)
        return mutated_as(name, body, draw)[:most]

    def run(body: bytes) -> None:
        if atheris._trace_cmp is not patched[-1]:  # Atheris sets it when it begins
            patched.append(_freeing(atheris._trace_cmp))
            atheris._trace_cmp = patched[-1]
        check(decoder, body)

    patched: list[Any] = [None]
    atheris.Setup(sys.argv, run, custom_mutator=change)
    atheris.Fuzz()


def _freeing(traced: Callable[..., Any]) -> Callable[..., Any]:
    # Atheris 3.0.0 never frees the array that a comparison of arrays returns.
    def compare(left: Any, right: Any, operation: int, *where: Any) -> Any:
        if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
            return _OPERATIONS[operation](left, right)
        return traced(left, right, operation, *where)

    return compare


if __name__ == "__main__":
    main()
