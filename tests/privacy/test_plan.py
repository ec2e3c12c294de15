"""A plan is one value with one digest, and no weaker plan can be said."""

from collections.abc import Iterator
from dataclasses import replace as with_
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from privacy import canonical
from privacy.arithmetic import ModulusRange
from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.plan import (
    CKKS,
    SHARES,
    Mechanism,
    Plan,
    SharesTerms,
    Terms,
    decode,
    digest_of,
    pack,
    unpack,
)
from privacy.schemes.ckks_parameters import MODULUS_4096
from privacy.schemes.shares.evidence import MOST_CHUNKS
from privacy.schemes.shares.layout import MOST_LEAVES, VALUE_WORDS
from tests.privacy import example_shares as shares
from tests.privacy.example_round import (
    ARITHMETIC,
    DISTRIBUTED_PLAN,
    DISTRIBUTED_TERMS,
    PLAN,
    PRIVACY,
    SUMMING,
    TERMS,
)

NUMBERS = ("clip", "server_learning_rate")
NO_POSITIVE_DECIMALS = (
    "", "0", "-1", "nan", "inf", "1e999", "1e3", "1/3", "1/0", "+1", " 1", "1 ", "1\n", "01", "1.0",
    ".5", "1_000", "٣", "0x1", "99999999999", "0.000000000000000000001", "Infinity", "1,5",
)  # fmt: skip


def terms(**changes: Any) -> Terms:
    """The example's terms with some fields changed."""
    return replace(TERMS, **changes)


def decoded(document: dict[str, Any]) -> Plan:
    """The plan with these terms, as it arrives."""
    return decode(ARITHMETIC.encode(), msgspec.json.encode(document, order="deterministic"))


def leaves(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every field below a document, containers that are empty included."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        inner = list(document.items())
    if isinstance(document, list):
        inner = list(enumerate(document))
    if not inner:
        yield at
    for key, value in inner:
        yield from leaves(value, (*at, key))


def other(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case None:
            return "0" * 64
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value[:-1] + ("1" if value[-1:] == "2" else "2")
        case _:
            return [*value, "x"]


def changed(document: Any, path: tuple[Any, ...]) -> Any:
    """The document with one leaf changed."""
    if not path:
        return other(document)
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = changed(copy[path[0]], path[1:])
    return copy


DOCUMENT = canonical.builtins(TERMS)


def json_bytes(document: Any) -> bytes:
    """A document in canonical order."""
    return msgspec.json.encode(document, order="deterministic")


def test_a_plan_comes_back_from_its_bytes() -> None:
    """From the wire, and from the store."""
    assert decode(ARITHMETIC.encode(), canonical.encode(TERMS)) == PLAN
    assert unpack(pack(PLAN)) == PLAN


@pytest.mark.parametrize("path", [*leaves(DOCUMENT)], ids=lambda path: ".".join(map(str, path)))
def test_the_digest_is_of_every_field_of_the_terms(path: tuple[Any, ...]) -> None:
    """A field that the digest leaves out is a field that the coordinator may change later."""
    terms_part = json_bytes(changed(DOCUMENT, path))

    assert digest_of(ARITHMETIC.encode(), json_bytes(DOCUMENT)) == PLAN.digest()
    assert digest_of(ARITHMETIC.encode(), terms_part) != PLAN.digest()


@pytest.mark.parametrize("field", Terms.__struct_fields__)
def test_every_field_of_the_terms_is_in_their_bytes(field: str) -> None:
    """Also those that have a value when nothing is said."""
    assert f'"{field}":'.encode() in canonical.encode(TERMS)


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": "ckks/2"},
        {"dimension": 16_354},
        {"values_per_chunk": 4097},
        {"fraction_bits": 17},
        {"value_bits": 23},
        {"ranges": (ModulusRange(0, 4, 0, MODULUS_4096 - 2),)},
    ],
)
def test_the_digest_is_of_every_field_of_the_arithmetic(changes: dict[str, Any]) -> None:
    """The part that a contract opens is bound as well."""
    part = with_(ARITHMETIC, **changes).encode()

    assert digest_of(part, canonical.encode(TERMS)) != PLAN.digest()


def test_bytes_cannot_move_between_the_two_parts() -> None:
    """Each part is hashed by itself."""
    body = ARITHMETIC.encode() + canonical.encode(TERMS)
    cut = len(ARITHMETIC.encode())

    digests = {digest_of(body[:at], body[at:]) for at in range(cut - 64, cut + 64)}

    assert len(digests) == 128


@pytest.mark.parametrize("scheme", ["plain/1", "plain", "ckks", "ckks/2", "CKKS/1", "shares"])
def test_no_other_scheme_can_be_planned(scheme: str) -> None:
    """There is no setting by which an update leaves in the clear."""
    part = with_(ARITHMETIC, scheme=scheme).encode()

    with pytest.raises(UnsafeParameters, match=CKKS):
        decode(part, canonical.encode(TERMS))


@pytest.mark.parametrize(
    "ranges",
    [
        (ModulusRange(0, 4, 0, MODULUS_4096), ModulusRange(0, 4, 1, MODULUS_4096)),
        (ModulusRange(0, 2, 0, MODULUS_4096), ModulusRange(2, 4, 0, MODULUS_4096)),
        (ModulusRange(0, 4, 0, MODULUS_4096 - 8192),),
        (ModulusRange(0, 4, 0, 1 << 64),),
    ],
)
def test_another_modulus_or_several_are_refused(ranges: tuple[ModulusRange, ...]) -> None:
    """The scheme has one prime; a composite or a smaller one would be weaker."""
    with pytest.raises(UnsafeParameters):
        Plan(with_(ARITHMETIC, ranges=ranges), TERMS)


@pytest.mark.parametrize(
    "changes",
    [
        {"degree": 2048},
        {"degree": 8192},
        {"scale_log2": 60},
        {"scale_log2": 10},
        {"scale_log2": -1},
        {"cohort_max": 1_000_000},
        {"cohort_max": 1},
        {"values_per_half": 2},
        {"values_per_half": 0},
        {"ciphertexts_per_chunk": 0},
        {"ciphertexts_per_chunk": 18},
    ],
)
def test_parameters_that_do_not_keep_their_promise_are_refused(changes: dict[str, int]) -> None:
    """A plan that exists is secure, does not wrap and is exact."""
    with pytest.raises(UnsafeParameters):
        Plan(ARITHMETIC, terms(scheme=replace(TERMS.scheme, **changes)))


def test_parts_that_disagree_are_refused() -> None:
    """A contract would count other chunks than the sites send."""
    with pytest.raises(MalformedMessage, match="values a chunk"):
        Plan(ARITHMETIC, terms(scheme=replace(TERMS.scheme, ciphertexts_per_chunk=2)))


@pytest.mark.parametrize(
    ("openers", "agreement"),
    [
        ((), 2),
        (("amber",), 2),
        (("amber", "amber"), 2),
        (("amber", "birch", "amber"), 2),
        (("amber", "birch", "cedar", "delta", "elder"), 3),
        (("amber", "birch"), 1),
        (("amber", "birch"), 3),
        (("amber", "birch", "cedar"), 1),
        (("amber", "birch", "cedar"), 4),
        (("amber", "birch", "cedar", "delta"), 2),
    ],
)
def test_openers_that_could_be_one_or_agree_alone_are_refused(
    openers: tuple[str, ...], agreement: int
) -> None:
    """Two halves of the openers must not be able to release two models."""
    with pytest.raises(UnsafeParameters):
        Plan(ARITHMETIC, terms(openers=openers, agreement=agreement))


@pytest.mark.parametrize(("count", "agreement"), [(2, 2), (3, 2), (3, 3), (4, 3), (4, 4)])
def test_two_to_four_openers_agree_by_more_than_half(count: int, agreement: int) -> None:
    """The order is that of the plan."""
    openers = ("delta", "amber", "birch", "cedar")[:count]

    plan = Plan(ARITHMETIC, terms(openers=openers, agreement=agreement))

    assert plan.terms.openers == openers


@pytest.mark.parametrize(
    "changes",
    [
        {"cohort_minimum": 1},
        {"cohort_minimum": 4, "quorum": 3},
        {"quorum": 5},
        {"cohort_minimum": 1, "quorum": 1},
    ],
)
def test_a_cohort_too_small_to_hide_in_is_refused(changes: dict[str, int]) -> None:
    """A sum of one is that one's update; a quorum below the minimum would sum for nothing."""
    with pytest.raises(UnsafeParameters, match="must rise"):
        Plan(ARITHMETIC, terms(**changes))


@pytest.mark.parametrize(
    "changes", [{"auditor": "amber"}, {"seats": ("amber",)}, {"seats": ("elder", "fir", "gum")}]
)
def test_who_opens_does_not_audit_and_nobody_sits_under_ckks(changes: dict[str, Any]) -> None:
    """A plan says nothing that is not so."""
    with pytest.raises(UnsafeParameters):
        Plan(ARITHMETIC, terms(**changes))


@pytest.mark.parametrize("text", NO_POSITIVE_DECIMALS)
@pytest.mark.parametrize(
    "path",
    [
        ("clip",),
        ("server_learning_rate",),
        ("privacy", "delta"),
        ("deadline", "progress_seconds"),
        ("deadline", "abandon_seconds"),
    ],
    ids=".".join,
)
def test_a_number_has_one_spelling_and_is_above_0(path: tuple[str, ...], text: str) -> None:
    """With a clip of "nan" no sum would ever be too large."""
    document = canonical.builtins(TERMS)
    inner = document if len(path) == 1 else document[path[0]]
    inner[path[-1]] = text

    with pytest.raises(MalformedMessage):
        decoded(document)


@pytest.mark.parametrize("text", ["1", "0.5", "20", "0.00000000000000000001"])
@pytest.mark.parametrize("field", NUMBERS)
def test_positive_decimals_are_taken(field: str, text: str) -> None:
    """As they are spelled; nothing is rounded."""
    plan = decoded({**DOCUMENT, field: text})

    assert getattr(plan.terms, field) == text


@pytest.mark.parametrize("delta", ["1", "2", "0"])
def test_a_delta_that_promises_nothing_is_refused(delta: str) -> None:
    """With delta 1 every mechanism is private."""
    with pytest.raises(UnsafeParameters, match="delta"):
        replace(PRIVACY, delta=delta)


@pytest.mark.parametrize(
    "changes",
    [
        {"round": 0},
        {"round": 100_001},
        {"agreement": 0},
        {"federation": "Oncology"},
        {"model": "0" * 63},
        {"model": "G" * 64},
        {"roster": "0" * 64 + "\n"},
        {"openers": ["amber", "birch", "Cedar"]},
        {"openers": ["amber", "birch", ""]},
        {"auditor": ""},
        {"aggregation": None},
        {"unknown": 1},
    ],
    ids=str,
)
def test_fields_out_of_their_form_are_refused(changes: dict[str, Any]) -> None:
    """Names, digests and counts are checked on the way in."""
    with pytest.raises(MalformedMessage):
        decoded({**DOCUMENT, **changes})


@pytest.mark.parametrize("field", [name for name in DOCUMENT if name not in ("seats", "auditor")])
def test_a_missing_field_is_refused(field: str) -> None:
    """Nothing is agreed by silence."""
    with pytest.raises(MalformedMessage, match=field):
        decoded({key: value for key, value in DOCUMENT.items() if key != field})


@pytest.mark.parametrize("field", ["mechanism", "unit", "neighbouring"])
def test_privacy_without_its_unit_or_relation_is_refused(field: str) -> None:
    """An epsilon without them is a number without a meaning."""
    privacy = {key: value for key, value in DOCUMENT["privacy"].items() if key != field}

    with pytest.raises(MalformedMessage):
        decoded({**DOCUMENT, "privacy": privacy})
    with pytest.raises(MalformedMessage):
        decoded({**DOCUMENT, "privacy": {**DOCUMENT["privacy"], field: "none"}})


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\0\0\0",
        pack(PLAN)[:-1],
        pack(PLAN) + b" ",
        b"\0" + pack(PLAN)[1:3] + b"\0" + pack(PLAN)[4:],
        b"\xff\xff\xff\xff" + pack(PLAN)[4:],
    ],
)
def test_what_was_not_packed_is_refused(packed: bytes) -> None:
    """Cut, lengthened, or with another length in front."""
    with pytest.raises(MalformedMessage):
        unpack(packed)


def test_the_grid_and_the_parameters_are_those_of_the_plan() -> None:
    """Nobody needs to build them again."""
    assert (PLAN.grid().fraction_bits, PLAN.grid().value_bits) == (18, 24)
    assert PLAN.parameters().scale_log2 == TERMS.scheme.scale_log2
    assert PLAN.parameters().modulus == MODULUS_4096


# -- under shares ----------------------------------------------------------------------

SHARES_ARITHMETIC, SCHEME = shares.SHARES_ARITHMETIC, shares.SCHEME


def shares_terms(scheme: dict[str, Any] | None = None, **changes: Any) -> Terms:
    """The example's terms under `shares` with some fields changed."""
    changed = replace(shares.SHARES_TERMS, **changes)
    return replace(changed, scheme=replace(SCHEME, **scheme)) if scheme else changed


def test_a_plan_under_shares_comes_back_from_its_bytes() -> None:
    """From the wire, and from the store."""
    encoded = canonical.encode(shares.SHARES_TERMS)

    assert decode(SHARES_ARITHMETIC.encode(), encoded) == shares.SHARES_PLAN
    assert unpack(pack(shares.SHARES_PLAN)) == shares.SHARES_PLAN


def test_a_plan_under_shares_says_its_parameters_geometry_and_questions() -> None:
    """Nobody needs to build them again."""
    plan = shares.SHARES_PLAN

    assert (plan.shares().value_bits, plan.shares().cohort_max) == (24, 4)
    assert (plan.geometry().chunks, plan.geometry().values_per_chunk) == (2, 2 * VALUE_WORDS)
    assert plan.questions() == SCHEME
    assert plan.terms.seats == shares.SEATS
    with pytest.raises(UnsafeParameters, match="not 'ckks/1'"):
        plan.parameters()
    with pytest.raises(UnsafeParameters, match="not 'shares/1'"):
        PLAN.shares()
    with pytest.raises(UnsafeParameters, match="not 'shares/1'"):
        PLAN.questions()


@pytest.mark.parametrize(
    ("arithmetic", "of"),
    [
        (SHARES_ARITHMETIC, TERMS),
        (ARITHMETIC, shares.SHARES_TERMS),
        (SHARES_ARITHMETIC, replace(TERMS, scheme=SCHEME)),
        (ARITHMETIC, replace(shares.SHARES_TERMS, scheme=TERMS.scheme)),
    ],
)
def test_parts_of_two_schemes_make_no_plan(arithmetic: Any, of: Terms) -> None:
    """Each site would take the part that it reads first for the whole."""
    with pytest.raises((MalformedMessage, UnsafeParameters)):
        Plan(arithmetic, of)


@pytest.mark.parametrize(
    "seats",
    [
        (),
        ("elm",),
        ("elm", "fern"),
        ("elm", "fern", "fern"),
        ("elm", "fern", "gorse", "hazel"),
        ("elm", "fern", "amber"),
        ("elm", "watch", "gorse"),
    ],
)
def test_seats_are_three_and_neither_open_nor_audit(seats: tuple[str, ...]) -> None:
    """Who holds two components and opens the sum of all others has one update."""
    with pytest.raises(UnsafeParameters, match="seat"):
        Plan(SHARES_ARITHMETIC, shares_terms(seats=seats))


def test_a_plan_under_shares_names_no_key() -> None:
    """There is none; a site would wait for openers to vouch for it."""
    with pytest.raises(UnsafeParameters, match="no key to name"):
        Plan(SHARES_ARITHMETIC, shares_terms(key_record="0" * 64))


ELM, FERN, GORSE = "1" * 64, "2" * 64, "3" * 64


@pytest.mark.parametrize("starts", [(ELM, FERN, GORSE), (ELM, "", GORSE), ("", FERN, GORSE)])
def test_a_plan_under_shares_names_the_start_of_two_seats_at_least(starts: Any) -> None:
    """In the order of its seats; which of them was away is part of the plan."""
    plan = Plan(SHARES_ARITHMETIC, shares_terms({"starts": starts}))

    assert plan.questions().starts == starts
    assert plan.digest() != shares.SHARES_PLAN.digest()


@pytest.mark.parametrize("starts", [("", "", ""), (ELM, "", ""), ("", "", GORSE)])
def test_a_round_that_nobody_could_certify_is_not_planned(starts: Any) -> None:
    """A seat that was away signs only what it remembers, and of a new round that is nothing."""
    with pytest.raises(UnsafeParameters, match="without two nobody certifies"):
        Plan(SHARES_ARITHMETIC, shares_terms({"starts": starts}))


def test_two_seats_with_one_start_are_not_planned_with() -> None:
    """What one machine drew and its copy drew again is no secret of either."""
    with pytest.raises(UnsafeParameters, match="copy of another"):
        Plan(SHARES_ARITHMETIC, shares_terms({"starts": (ELM, FERN, ELM)}))


@pytest.mark.parametrize("start", ["1" * 63, "G" * 64, "1" * 64 + "\n"])
def test_a_start_is_32_bytes_in_hex(start: str) -> None:
    """Anything else is not read."""
    scheme = replace(SCHEME, starts=(start, FERN, GORSE))

    with pytest.raises(MalformedMessage):
        decode(
            SHARES_ARITHMETIC.encode(),
            canonical.encode(replace(shares.SHARES_TERMS, scheme=scheme)),
        )


def test_a_plan_under_ckks_names_its_key() -> None:
    """An update under another key opens to somebody else."""
    with pytest.raises(UnsafeParameters, match="names the record of its key"):
        Plan(ARITHMETIC, terms(key_record=None))


@pytest.mark.parametrize("release", ["norm-bound", "squared-norm", "alignment"])
def test_what_seats_open_stands_among_the_releases(release: str) -> None:
    """A site's policy decides by that list; what is not on it, nobody opens."""
    listed = tuple(each for each in shares.SHARES_TERMS.privacy.releases if each != release)
    privacy = replace(shares.SHARES_TERMS.privacy, releases=listed)

    with pytest.raises(UnsafeParameters, match=f"does not list {release}"):
        Plan(SHARES_ARITHMETIC, shares_terms(privacy=privacy))


@pytest.mark.parametrize(
    "changes",
    [
        {"score_step_log2": None},
        {"norm_bound": None, "score_step_log2": None},
    ],
)
def test_questions_can_be_left_out(changes: dict[str, None]) -> None:
    """What may be released need not be asked."""
    plan = Plan(SHARES_ARITHMETIC, shares_terms(changes))

    assert plan.digest() != shares.SHARES_PLAN.digest()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm_bound": None}, "need a norm bound"),
        ({"norm_bound": 1 << 24, "cohort_max": 1 << 14}, "fewer fraction bits"),
    ],
)
def test_scores_that_would_wrap_cannot_be_planned(changes: dict[str, Any], words: str) -> None:
    """A score is read from 64 bits: what no honest site can exceed must fit."""
    with pytest.raises(UnsafeParameters, match=words):
        Plan(SHARES_ARITHMETIC, shares_terms(changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"values_per_word": 0},
        {"values_per_word": 5},
        {"leaves_per_chunk": 0},
        {"leaves_per_chunk": MOST_LEAVES + 1},
        {"cohort_max": 1},
        {"cohort_max": 1 << 21},
    ],
)
def test_parameters_of_shares_that_do_not_fit_are_refused(changes: dict[str, int]) -> None:
    """A plan that exists is one whose sums do not wrap."""
    with pytest.raises(UnsafeParameters):
        Plan(SHARES_ARITHMETIC, shares_terms(changes))


def test_nothing_is_asked_about_values_side_by_side() -> None:
    """Two values in a word have no norm; without questions they may share it."""
    packed = with_(
        SHARES_ARITHMETIC,
        values_per_chunk=4 * VALUE_WORDS,
        ranges=(ModulusRange(0, 1, 0, 1 << 64),),
    )
    silent = {"values_per_word": 2, "norm_bound": None, "score_step_log2": None}

    with pytest.raises(UnsafeParameters, match="cannot be asked about"):
        Plan(packed, shares_terms({"values_per_word": 2}))

    assert Plan(packed, shares_terms(silent)).shares().values_per_word == 2


def test_parts_under_shares_that_disagree_are_refused() -> None:
    """A contract would count other chunks than the sites send."""
    with pytest.raises(MalformedMessage, match="values a chunk"):
        Plan(SHARES_ARITHMETIC, shares_terms({"leaves_per_chunk": 3}))


@pytest.mark.parametrize("modulus", [MODULUS_4096, (1 << 64) - 1, 1 << 63])
def test_shares_add_modulo_two_to_the_64_only(modulus: int) -> None:
    """With another modulus the components would not add up to the words."""
    ranges = (ModulusRange(0, 2, 0, modulus),)

    with pytest.raises(UnsafeParameters, match="modulo"):
        Plan(with_(SHARES_ARITHMETIC, ranges=ranges), shares.SHARES_TERMS)


@pytest.mark.parametrize(
    "changes",
    [
        {"norm_bound": 0},
        {"norm_bound": (1 << 24) + 1},
        {"score_step_log2": -1},
        {"score_step_log2": 63},
        {"kind": "plain"},
        {"kind": "ckks"},
        {"unchecked": 0},
        {"degree": 4096},
    ],
    ids=str,
)
def test_terms_of_shares_out_of_their_form_are_refused(changes: dict[str, Any]) -> None:
    """The kind is read first, and every field is one of that kind."""
    document = canonical.builtins(shares.SHARES_TERMS)
    document["scheme"] |= changes

    with pytest.raises(MalformedMessage):
        decode(SHARES_ARITHMETIC.encode(), json_bytes(document))


@pytest.mark.parametrize(
    "path",
    [*leaves(canonical.builtins(shares.SHARES_TERMS))],
    ids=lambda path: ".".join(map(str, path)),
)
def test_the_digest_is_of_every_field_of_the_terms_of_shares(path: tuple[Any, ...]) -> None:
    """A bound or a seat that could be changed later would be no promise."""
    document = canonical.builtins(shares.SHARES_TERMS)

    part = json_bytes(changed(document, path))

    assert digest_of(SHARES_ARITHMETIC.encode(), part) != shares.SHARES_PLAN.digest()


def shared(chunks: int) -> Plan:
    """A plan under `shares` of so many chunks, each of one leaf."""
    count = VALUE_WORDS * chunks
    part = with_(
        ARITHMETIC,
        scheme=SHARES,
        dimension=count,
        values_per_chunk=VALUE_WORDS,
        ranges=(ModulusRange(0, chunks, 0, 1 << 64),),
    )
    scheme = SharesTerms(1, 1, 4, shares.STARTS)
    return Plan(part, terms(scheme=scheme, key_record=None, seats=("elm", "fern", "gorse")))


def test_a_sum_whose_dispute_could_not_be_settled_is_not_planned() -> None:
    """Roots of all its chunks must fit into one letter."""
    assert shared(MOST_CHUNKS).geometry().chunks == MOST_CHUNKS

    with pytest.raises(UnsafeParameters, match="16385 chunks: no dispute"):
        shared(MOST_CHUNKS + 1)


# -- mechanism distributed ---------------------------------------------------------------


def distributed(training: dict[str, Any] | None = None, **changes: Any) -> Plan:
    """The example's plan with other numbers of its sum, or other terms."""
    order = replace(SUMMING, **(training or {}))
    privacy = replace(PRIVACY, mechanism=Mechanism.DISTRIBUTED, training=order)
    return Plan(ARITHMETIC, replace(DISTRIBUTED_TERMS, **({"privacy": privacy} | changes)))


def test_a_plan_whose_sites_share_the_noise_comes_back_from_its_bytes() -> None:
    """The control of the refusals below."""
    terms_part = canonical.encode(DISTRIBUTED_TERMS)

    assert decode(ARITHMETIC.encode(), terms_part) == DISTRIBUTED_PLAN == distributed()


@pytest.mark.parametrize(
    ("mechanism", "training"),
    [(Mechanism.LOCAL, SUMMING), (Mechanism.DISTRIBUTED, PRIVACY.training)],
)
def test_a_mechanism_with_the_numbers_of_the_other_is_refused(
    mechanism: Mechanism, training: Any
) -> None:
    """A site would accept one name and run the other."""
    with pytest.raises(UnsafeParameters, match=f"mechanism {mechanism}"):
        replace(PRIVACY, mechanism=mechanism, training=training)


@pytest.mark.parametrize(
    ("of", "aggregation"),
    [(TERMS, "sum/1"), (TERMS, "median/1"), (DISTRIBUTED_TERMS, "mean/1")],
)
def test_each_mechanism_has_one_way_to_the_next_model(of: Terms, aggregation: str) -> None:
    """A sum of gradients read as a mean of updates is a step of the wrong length."""
    with pytest.raises(UnsafeParameters, match=f"aggregation '{aggregation}'"):
        Plan(ARITHMETIC, replace(of, aggregation=aggregation))


@pytest.mark.parametrize(
    ("training", "changes", "words"),
    [
        ({"honest": 3}, {}, "cohort minimum 3: 3 honest sites and 1 colluders need 4"),
        ({"colluders": 2}, {}, "cohort minimum 3: 2 honest sites and 2 colluders need 4"),
        ({}, {"cohort_minimum": 2}, "cohort minimum 2"),
        ({"units_cap": 199}, {}, "clip 12.5: 199 units of 0.0625 have a norm of 12.4375"),
        ({}, {"clip": "12.6"}, "clip 12.6: 200 units"),
        ({"noise_multiplier": "40"}, {}, "12 deviations of 463410 grid steps leave the grid"),
        ({"noise_multiplier": "0.0003"}, {}, "noise multiplier"),
    ],
)
def test_a_sum_that_would_not_keep_its_promise_cannot_be_planned(
    training: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    """Too few sites for the noise, another clip than all units can have, or a cut-off."""
    with pytest.raises(UnsafeParameters, match=words):
        distributed(training, **changes)


def test_without_an_auditor_a_part_of_the_noise_is_not_planned_under_ckks() -> None:
    """Two cohorts that differ by one site give its update, to the coordinator and one trainer."""
    with pytest.raises(UnsafeParameters, match="without an auditor"):
        distributed(auditor=None)

    # An update with all of its noise may be shown; and seats certify one cohort.
    Plan(ARITHMETIC, replace(TERMS, auditor=None))
    told = replace(shares.SHARES_TERMS.privacy, mechanism=Mechanism.DISTRIBUTED, training=SUMMING)
    changes = {"clip": "12.5", "aggregation": "sum/1", "privacy": told, "auditor": None}
    Plan(SHARES_ARITHMETIC, shares_terms({"norm_bound": None, "score_step_log2": None}, **changes))


@pytest.mark.parametrize(
    "asked", [{"norm_bound": 1 << 24}, {"norm_bound": 1 << 20, "score_step_log2": 4}]
)
def test_seats_are_asked_nothing_about_an_update_with_a_part_of_the_noise(
    asked: dict[str, int],
) -> None:
    """An answer about one vector has that site's noise only, and its cost is in no ledger."""
    none = {"norm_bound": None, "score_step_log2": None}
    told = replace(shares.SHARES_TERMS.privacy, mechanism=Mechanism.DISTRIBUTED, training=SUMMING)
    changes = {"clip": "12.5", "aggregation": "sum/1", "privacy": told}

    Plan(SHARES_ARITHMETIC, shares_terms(none, **changes))
    with pytest.raises(UnsafeParameters, match="too little noise for norm-bound"):
        Plan(SHARES_ARITHMETIC, shares_terms(none | asked, **changes))


@pytest.mark.parametrize("left", [0, -1, 100_001])
def test_a_plan_says_how_many_rounds_of_its_cost_are_left(left: int) -> None:
    """Sites set all of them aside before the first; this one is among them."""
    with pytest.raises(MalformedMessage):
        decoded({**DOCUMENT, "rounds_left": left})


# -- scores under ckks -------------------------------------------------------------------


def scored(of: Terms = TERMS, releases: tuple[str, ...] = ("alignment",), **changes: Any) -> Terms:
    """Terms that ask for products."""
    scheme = replace(of.scheme, score_step_log2=8)
    privacy = replace(of.privacy, releases=("participation", *releases))
    return replace(of, **{"scheme": scheme, "privacy": privacy, **changes})


def test_a_plan_that_asks_for_products_comes_back_from_its_bytes() -> None:
    """And is another plan than without."""
    plan = Plan(ARITHMETIC, scored())

    assert decode(ARITHMETIC.encode(), canonical.encode(scored())) == plan
    assert plan.digest() != Plan(ARITHMETIC, TERMS).digest()
    assert plan.terms.scheme.releases() == ("alignment",)


def test_a_plan_without_products_says_nothing_of_them() -> None:
    """So that its digest is what it was before there were any."""
    body = canonical.encode(TERMS)

    assert b"score_step_log2" not in body
    other = body.replace(b'"values_per_half"', b'"score_step_log2":null,"values_per_half"')
    with pytest.raises(MalformedMessage):
        decode(ARITHMETIC.encode(), other)


def test_what_products_let_out_stands_in_the_privacy_plan() -> None:
    """A site's policy accepts releases by these words."""
    with pytest.raises(UnsafeParameters, match="does not list alignment"):
        Plan(ARITHMETIC, scored(releases=()))


def test_no_update_under_shared_noise_has_a_score() -> None:
    """A product of it would show what its part of the noise does not hide."""
    Plan(ARITHMETIC, DISTRIBUTED_TERMS)

    with pytest.raises(UnsafeParameters, match="too little noise for alignment"):
        Plan(ARITHMETIC, scored(DISTRIBUTED_TERMS))


def test_scores_that_have_no_room_in_their_record_are_not_planned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty digits. Today's parameters stay far below; a wider modulus would not."""
    Plan(ARITHMETIC, scored())
    monkeypatch.setattr(Plan, "largest_norm", lambda _: 1 << 30)

    with pytest.raises(UnsafeParameters, match="no room in 62 bits"):
        Plan(ARITHMETIC, scored())
