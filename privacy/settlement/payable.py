"""Whether a programme's terms are those of a plan: else no contract can judge rounds of it."""

from privacy.plan import SHARES, Plan

from .leaves import ChunkReader


def difference(arithmetic: bytes, leaves: tuple[int, int], plan: Plan) -> str:
    """Return in what a programme's terms differ from a plan; nothing if they agree.

    A proof is judged by the terms: under others than the plan's nothing could be proved of a round,
    or an honest one would look malformed.

    Args:
        arithmetic: of the terms, 32 bytes.
        leaves: of the terms: of each chunk but the last, and of the last; under `shares` no proof
            needs them.

    Raises:
        UnsafeParameters, MalformedMessage: the plan contradicts itself.
    """
    planned = plan.arithmetic.digest()
    if planned != arithmetic:
        return (
            f"the programme pays for plans of arithmetic {arithmetic.hex()[:16]}…, and this one "
            f"has {planned.hex()[:16]}…"
        )
    if plan.arithmetic.scheme == SHARES:
        return ""
    reader, last = ChunkReader(plan), plan.arithmetic.chunks - 1
    found = (reader.leaves(0), reader.leaves(last))
    if found != leaves:
        return f"the programme's chunks have {leaves} leaves, and those of this plan {found}"
    return ""
