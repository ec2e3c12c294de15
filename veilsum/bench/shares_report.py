"""What `veilsum bench scheme --scheme shares` found: one value, printed as JSON or as a table."""

import msgspec

from .machine import Machine
from .report import Costs, Ratio


class SharesArithmetic(msgspec.Struct, frozen=True):
    """The scheme's parameters."""

    word_bits: int
    components: int
    values_per_word: int
    values_per_chunk: int


class Questions(msgspec.Struct, frozen=True):
    """What answers about hidden updates cost a seat, in nanoseconds for each parameter and site.

    Components are expanded already, as they are while a seat folds; whoever asks later adds
    `expand_ns`.

    Attributes:
        norm_ns: a seat's share of one site's squared norm.
        dot_ns: a seat's share of one site's dot product with the shared sum.
        bound_ns: 64 projections of one component, coefficients drawn for all sites together.
        expand_ns: to have both components of one site again.
        exact: True if norms and dot products that opened are the plaintexts', modulo 2^64.
    """

    norm_ns: float
    dot_ns: float
    bound_ns: float
    expand_ns: float
    exact: bool


class Packed(msgspec.Struct, frozen=True):
    """The same sum with several values in a word, for rounds that ask for no scores."""

    values_per_word: int
    bytes_per_parameter_up: float
    protect_us_per_parameter: float
    fold_us_per_parameter: float
    exact: bool


class SharesReference(Costs, frozen=True, kw_only=True):
    """The same for the reference, and its name."""

    name: str


class SharesReport(Costs, frozen=True, kw_only=True):
    """Veilsum's costs, those of the reference, and where both were measured.

    `fold` and `hash` are those of a seat that holds the vector that travels; the coordinator's
    memory is such a seat's.

    Attributes:
        aes_ctr_us_per_parameter: AES-256-CTR alone for the words of two components.
        protect_beyond_aes_ctr_us_per_parameter: protect, less that.
        fold_gb_per_second: of its two components' words, that a seat expands and adds on a core.
        accept_gb_per_second: the same with the check of both roots.
        seals_bytes: of the secrets of one update, sealed to three seats; counted in bytes up.
    """

    scheme: str
    value_bits: int
    arithmetic: SharesArithmetic
    aes_ctr_us_per_parameter: float
    protect_beyond_aes_ctr_us_per_parameter: float
    fold_gb_per_second: float
    accept_gb_per_second: float
    seals_bytes: int
    questions: Questions
    packed: Packed
    reference: SharesReference
    ratio: Ratio
    machine: Machine
    seconds: float
