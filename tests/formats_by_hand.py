"""The forms of docs/protocol.md, written again from the page alone: no product code is used.

`python -m tests.formats_by_hand` prints tests/vectors/formats_v1.json.
"""

import hashlib
import hmac
import json
import struct
from typing import Any

from Crypto.Cipher import AES

PRIME = 0xFFFFFFFFFFFC001
FEDERATION = "oncology"
TRAINERS = ("amber", "birch", "cedar", "delta")
OPENERS = TRAINERS[:3]
SOURCE = "docs/protocol.md; computed by tests/formats_by_hand.py, which uses no code of Veilsum"


def sha(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def filler(text: str) -> str:
    """A digest that stands for something outside of the example."""
    return sha(text.encode()).hex()


def canonical(document: Any) -> bytes:
    """RFC 8785, for documents of ASCII names, strings, integers and nothing else."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def framed(*fields: bytes) -> bytes:
    """A transcript: each field behind its length in 8 bytes."""
    result = b""
    for field in fields:
        result += len(field).to_bytes(8, "big") + field
    return result


def digest(tag: str, document: Any) -> str:
    """The digest of a document, hexadecimal."""
    return sha(framed(tag.encode(), canonical(document))).hex()


def words(chunk: int) -> list[int]:
    """1,024 residues: two ciphertexts of two polynomials of 256 coefficients."""
    return [(0x9E3779B97F4A7C15 * (1024 * chunk + at + 1)) % PRIME for at in range(1024)]


def container(chunk: int) -> bytes:
    """The chunk as it travels: header, then residues of 60 bits, lowest bits first."""
    head = b"VSCT" + (1).to_bytes(2, "big") + (256).to_bytes(4, "big") + bytes([2, 1])
    head += (0).to_bytes(2, "big") + chunk.to_bytes(4, "big") + (2).to_bytes(4, "big")
    head += PRIME.to_bytes(8, "big")
    body = b""
    for start in range(0, 1024, 256):
        run = sum(w << (60 * at) for at, w in enumerate(words(chunk)[start : start + 256]))
        body += run.to_bytes(256 * 60 // 8, "little")
    return head + body


def leaves(chunk: int) -> list[bytes]:
    """The four leaves of a chunk; there is one modulus, so its index is 0."""
    result = []
    for leaf in range(4):
        position = b"".join(n.to_bytes(4, "big") for n in (chunk, leaf, 0))
        body = b"".join(
            w.to_bytes(8, "little") for w in words(chunk)[256 * leaf : 256 * leaf + 256]
        )
        result.append(sha(b"\0" + position + body))
    return result


def tree(nodes: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, by its recursive definition."""
    if len(nodes) == 1:
        return nodes[0]
    half = 1
    while 2 * half < len(nodes):
        half *= 2
    return sha(b"\1" + tree(nodes[:half]) + tree(nodes[half:]))


def abi(*fields: int) -> bytes:
    """Words of 32 bytes."""
    return b"".join(field.to_bytes(32, "big") for field in fields)


def signing_public(name: str) -> bytes:
    """The public key of a member in the example, from its secret."""
    from Crypto.PublicKey import ECC  # noqa: PLC0415 - only this needs the curve

    key = ECC.construct(curve="Ed25519", seed=sha(b"signing " + name.encode()))
    return key.public_key().export_key(format="raw")


def base64(data: bytes) -> str:
    """RFC 4648, section 4, with padding."""
    import base64 as standard  # noqa: PLC0415 - the name is the better one for callers

    return standard.b64encode(data).decode()


def member(name: str) -> dict[str, Any]:
    """A trainer's entry."""
    return {
        "participant": name,
        "organisation": f"{name} hospital",
        "roles": ["trainer"],
        "signing_key": base64(signing_public(name)),
        "sealing_key": base64((name.encode() * 244)[:1216]),
        "payout_address": "",
    }


ROSTER = {
    "federation": FEDERATION,
    "version": 0,
    "coordinator_key": base64(signing_public("coordinator")),
    "members": [member(name) for name in TRAINERS],
    "previous": None,
}
ROSTER_DIGEST = digest("veilsum/roster/1", ROSTER)

KEY_RECORD = {
    "federation": FEDERATION,
    "round": 1,
    "specification": {
        "roster": ROSTER_DIGEST,
        "scheme": "ckks/1",
        "degree": 4096,
        "modulus": str(PRIME),
        "scale_log2": 32,
        "value_bits": 24,
        "cohort_max": 4,
        "values_per_half": 1,
        "ciphertexts_per_chunk": 1,
        "openers": list(OPENERS),
    },
    "maker": "amber",
    "public_key": filler("public key"),
    "secrets": [{"opener": n, "sealed": filler(f"secret for {n}")} for n in OPENERS],
}

TRAINING = {
    "kind": "local",
    "sampling_rate": "0.5",
    "noise_multiplier": "2.75",
    "steps": 6,
    "clip": "1",
    "learning_rate": "1",
    "divisor": 50,
}

ARITHMETIC = b"ckks/1".ljust(32, b"\0") + abi(
    16_353, 4096, 18, 24, 192, 1, 0, 4, 0, PRIME
)  # fmt: skip

TERMS = {
    "federation": FEDERATION,
    "round": 1,
    "model": filler("first model"),
    "release": None,
    "roster": ROSTER_DIGEST,
    "key_record": digest("veilsum/key-record/1", KEY_RECORD),
    "scheme": {
        "kind": "ckks",
        "degree": 4096,
        "scale_log2": 32,
        "values_per_half": 1,
        "ciphertexts_per_chunk": 1,
        "cohort_max": 4,
    },
    "clip": "20",
    "cohort_minimum": 3,
    "quorum": 3,
    "aggregation": "mean/1",
    "server_learning_rate": "1",
    "privacy": {
        "mechanism": "local",
        "unit": "patient",
        "neighbouring": "add_remove",
        "delta": "0.001",
        "training": TRAINING,
        "releases": ["participation"],
    },
    "deadline": {"progress_seconds": "3", "abandon_seconds": "60"},
    "openers": list(OPENERS),
    "agreement": 2,
    "rounds_left": 1,
    "seats": [],
    "auditor": None,
}

PLAN_DIGEST = sha(framed(b"veilsum/plan/1", sha(ARITHMETIC), sha(canonical(TERMS)))).hex()

DISTRIBUTED_TERMS = {
    **TERMS,
    # 200 units of 0.0625
    "clip": "12.5",
    "aggregation": "sum/1",
    "privacy": {
        "mechanism": "distributed",
        "unit": "patient",
        "neighbouring": "add_remove",
        "delta": "0.001",
        "training": {
            "kind": "distributed",
            "sampling_rate": "0.5",
            "noise_multiplier": "14.25",
            "clip": "0.0625",
            "units_cap": 200,
            "divisor": 500,
            "honest": 2,
            "colluders": 1,
        },
        "releases": ["participation"],
    },
    "auditor": "watch",
}
DISTRIBUTED_PLAN_DIGEST = sha(
    framed(b"veilsum/plan/1", sha(ARITHMETIC), sha(canonical(DISTRIBUTED_TERMS)))
).hex()
# 14.25 / sqrt(2) = 10.0762716319…
DISTRIBUTED_CLAIM = {
    view: {
        "class": "PoissonSampled",
        "q": "0.5",
        "event": {"class": "Gaussian", "noise_multiplier": noise},
    }
    for view, noise in (("sums", "14.25"), ("vector", "10.076271631"))
}

PLACE = {"federation": FEDERATION, "round": 1, "plan": PLAN_DIGEST}

LOCAL_EVENT = {
    "class": "SelfComposed",
    "count": 6,
    "event": {
        "class": "PoissonSampled",
        "q": "0.5",
        "event": {"class": "Gaussian", "noise_multiplier": "2.75"},
    },
}
"""Each update is private by itself, so both views cost the same."""

CONTRIBUTION = {
    **PLACE,
    "key_record": TERMS["key_record"],
    "participant": "amber",
    "pieces": [
        {
            "recipient": "coordinator",
            "scheme": "ckks/1",
            "root": filler("root"),
            "chunks": 4,
            "length": 245_880,
        }
    ],
    "claim": {"sums": LOCAL_EVENT, "vector": LOCAL_EVENT},
    "ledger": {"size": 3, "root": filler("three rows of amber")},
    "mask": filler("mask of amber"),
    "masks": [{"opener": name, "sealed": filler(f"mask of amber for {name}")} for name in OPENERS],
}
CONTRIBUTION_DIGEST = digest("veilsum/contribution/1", CONTRIBUTION)

RECEIPT = {**PLACE, "participant": "amber", "contribution": CONTRIBUTION_DIGEST}

COHORT = {
    **PLACE,
    "entries": [
        {"participant": "amber", "contribution": CONTRIBUTION_DIGEST, "roots": [filler("root")]},
        {
            "participant": "birch",
            "contribution": filler("another contribution"),
            "roots": [filler("another root")],
        },
    ],
}

SUM = {
    **PLACE,
    "cohort": digest("veilsum/cohort/1", COHORT),
    "contributions": 2,
    "root": filler("root of the sum"),
    "chunks": 4,
    "length": 245_880,
}

SEALED_MODEL = {
    **PLACE,
    "sum": digest("veilsum/sum/1", SUM),
    "model": filler("next model"),
    "roster": ROSTER_DIGEST,
    "sealer": "amber",
    "chunks": 1,
    "length": 130_840,
    "ciphertext": filler("sealed chunks"),
    "wraps": [{"participant": n, "sealed_key": base64(n.encode())} for n in TRAINERS],
}

RELEASE = {
    **PLACE,
    "cohort": SUM["cohort"],
    "sum": SEALED_MODEL["sum"],
    "previous": TERMS["model"],
    "model": SEALED_MODEL["model"],
    "sealed_model": digest("veilsum/sealed-model/1", SEALED_MODEL),
}

SEATS = ("elm", "fern", "gorse")

SHARES_ROSTER = {
    **ROSTER,
    "members": [
        *[member(name) for name in TRAINERS],
        *[{**member(name), "roles": ["aggregator"]} for name in SEATS],
    ],
}
SHARES_ROSTER_DIGEST = digest("veilsum/roster/1", SHARES_ROSTER)

SHARES_ARITHMETIC = b"shares/1".ljust(32, b"\0") + abi(
    4000, 2040, 16, 24, 192, 1, 0, 2, 0, 2**64
)  # fmt: skip

SHARES_TERMS = {
    **TERMS,
    "roster": SHARES_ROSTER_DIGEST,
    "key_record": None,
    "scheme": {
        "kind": "shares",
        "values_per_word": 1,
        "leaves_per_chunk": 2,
        "cohort_max": 4,
        "starts": [filler("start of elm"), filler("start of fern"), ""],
        "norm_bound": 1_310_736,
        "score_step_log2": 10,
        "unchecked": False,
    },
    "privacy": {
        "mechanism": "local",
        "unit": "patient",
        "neighbouring": "add_remove",
        "delta": "0.001",
        "training": TRAINING,
        "releases": ["participation", "norm-bound", "squared-norm", "alignment"],
    },
    "seats": list(SEATS),
    "auditor": "watch",
}

SHARES_PLAN_DIGEST = sha(
    framed(b"veilsum/plan/1", sha(SHARES_ARITHMETIC), sha(canonical(SHARES_TERMS)))
).hex()

SHARES_PLACE = {"federation": FEDERATION, "round": 1, "plan": SHARES_PLAN_DIGEST}

SHARED_CONTRIBUTION = {
    **SHARES_PLACE,
    "participant": "amber",
    "pieces": [
        {
            "recipient": "seats",
            "scheme": "shares/1",
            "root": filler("root"),
            "chunks": 2,
            "length": 32032,
        }
    ],
    "claim": CONTRIBUTION["claim"],
    "ledger": CONTRIBUTION["ledger"],
    "roots": [filler(f"root of {component}") for component in range(3)],
    "seals": [{"seat": name, "sealed": filler(f"parts of amber for {name}")} for name in SEATS],
}

CANDIDATES = {
    **SHARES_PLACE,
    "entries": [
        {
            "participant": "amber",
            "contribution": digest("veilsum/shared-contribution/1", SHARED_CONTRIBUTION),
            "roots": [filler("root")],
        },
        {
            "participant": "birch",
            "contribution": filler("another contribution"),
            "roots": [filler("another root")],
        },
        {
            "participant": "cedar",
            "contribution": filler("a third contribution"),
            "roots": [filler("a third root")],
        },
    ],
}

VERDICT = {
    **SHARES_PLACE,
    "candidates": digest("veilsum/candidates/1", CANDIDATES),
    "seat": "elm",
    "refused": [
        {"participant": "cedar", "code": "norm_over_bound", "reason": "norm over the bound"}
    ],
    "unasked": "",
}

SHARES_COHORT = {**SHARES_PLACE, "entries": CANDIDATES["entries"][:2]}
SHARES_COHORT_DIGEST = digest("veilsum/cohort/1", SHARES_COHORT)

SEAT_SUM = {
    **SHARES_PLACE,
    "cohort": SHARES_COHORT_DIGEST,
    "seat": "fern",
    "roster": SHARES_ROSTER_DIGEST,
    "chunks": 2,
    "sums": [
        {
            "component": component,
            "root": filler(f"root of sum {component}"),
            "ciphertext": filler(f"sealed sum {component}"),
            "length": 32960,
        }
        for component in (1, 2)
    ],
    "wraps": [{"participant": n, "sealed_key": base64(n.encode())} for n in TRAINERS],
}

SCORES = {
    **SHARES_PLACE,
    "cohort": SHARES_COHORT_DIGEST,
    "step_log2": 10,
    "scores": [
        {"participant": "amber", "squared_norm": "1024", "alignment": "-2048"},
        {"participant": "birch", "squared_norm": "0", "alignment": "4096"},
    ],
    "void": "",
}

RECOLLECTION = {
    "federation": FEDERATION,
    "asker": "elm",
    "nonce": filler("nonce"),
    "signer": "amber",
    "newest": 7,
}


def shares_sum_root() -> str:
    """The one root of a sum in shares, from those of its three components."""
    roots = (bytes.fromhex(filler(f"root of sum {component}")) for component in range(3))
    return sha(framed(b"veilsum/shares-sum/1", *roots)).hex()


def seat_sum_info(component: int) -> bytes:
    """The context of the stream that seals one of a seat's two sums."""
    fields = (FEDERATION, "1", SHARES_PLAN_DIGEST, SHARES_COHORT_DIGEST, "fern", str(component))
    return framed(b"veilsum/sealed-seat-sum/1", *(field.encode() for field in fields))


def seat_sum_key_info(trainer: str) -> bytes:
    """The info under which the content key of a seat's sums is sealed to one trainer."""
    fields = (FEDERATION, "1", SHARES_PLAN_DIGEST, SHARES_COHORT_DIGEST, "fern", trainer)
    return framed(b"veilsum/sealed-seat-sum-key/1", *(field.encode() for field in fields))


LEDGER_ROW = {
    "v": 1,
    "type": "DATASET_REGISTER",
    "seq": 1,
    "prev": "0" * 64,
    "ts": "2027-01-15T08:00:00.000+00:00",
    "ledger": "amber",
    "dataset": {
        "id": "hearts",
        "version": 1,
        "parent": None,
        "unit": "patient",
        "max_records_per_unit": 4,
        "neighbor": "add_remove",
    },
    "accountant": "veilsum-rdp/1",
    "actor": "operator",
    "key": filler("key of the site"),
}


def cohort_key_info(opener: str) -> bytes:
    """The info under which the round's secret is sealed to one opener."""
    fields = (FEDERATION, "1", str(KEY_RECORD["public_key"]), opener)
    return framed(b"veilsum/sealed-cohort-key/1", *(field.encode() for field in fields))


def mask_info(participant: str, opener: str) -> bytes:
    """The info under which the secret of a participant's mask is sealed to one opener."""
    fields = (FEDERATION, "1", PLAN_DIGEST, participant, opener)
    return framed(b"veilsum/sealed-mask/1", *(field.encode() for field in fields))


def mask_words(secret: bytes, chunk: int, count: int) -> list[int]:
    """The first words of one chunk's mask, for a prime of 60 bits."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    info = framed(b"veilsum/ckks-mask/1", bytes.fromhex(PLAN_DIGEST))
    key = hmac.digest(extracted, info + b"\1", "sha256")
    start = (chunk << 64).to_bytes(16, "big")
    cipher = AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=start)
    stream = struct.unpack(f"<{count}Q", cipher.encrypt(bytes(8 * count)))
    return [word % (1 << 60) for word in stream]


def mask() -> dict[str, Any]:
    """Commitment, seal and words of one mask."""
    secret = sha(b"secret of a mask")
    return {
        "secret": secret.hex(),
        "commitment": sha(framed(b"veilsum/mask-commitment/1", secret)).hex(),
        "info": mask_info("amber", "birch").hex(),
        "words_of_chunk_0": [str(word) for word in mask_words(secret, 0, 3)],
        "words_of_chunk_7": [str(word) for word in mask_words(secret, 7, 3)],
    }


def model_context(model: str) -> bytes:
    """The context of the stream that seals a model."""
    fields = (FEDERATION, "1", PLAN_DIGEST, model)
    return framed(b"veilsum/sealed-model-chunks/1", *(field.encode() for field in fields))


def content_key_info(model: str, trainer: str) -> bytes:
    """The info under which the model's content key is sealed to one trainer."""
    fields = (FEDERATION, "1", PLAN_DIGEST, model, trainer)
    return framed(b"veilsum/sealed-content-key/1", *(field.encode() for field in fields))


def sealed_chunk(key: bytes, context: bytes, index: int, plain: bytes, *, last: bool) -> bytes:
    """One chunk of a sealed stream: HKDF-SHA256 (RFC 5869), then AES-256-GCM."""
    extracted = hmac.digest(bytes(32), key, "sha256")
    derived = hmac.digest(extracted, context + b"\1", "sha256")
    associated = framed(b"veilsum/chunk/1", context, index.to_bytes(8, "big"), bytes([last]))
    cipher = AES.new(derived, AES.MODE_GCM, nonce=index.to_bytes(12, "big"))
    cipher.update(associated)
    body, tag = cipher.encrypt_and_digest(plain)
    return body + tag


CONTENT_KEY = sha(b"content key")
PLAIN_CHUNKS = (b"first chunk", b"second chunk", b"last")


def sealed_stream(context: bytes, plain: tuple[bytes, ...] = PLAIN_CHUNKS) -> list[bytes]:
    """A whole sealed stream."""
    return [
        sealed_chunk(CONTENT_KEY, context, at, chunk, last=at == len(plain) - 1)
        for at, chunk in enumerate(plain)
    ]


def model_digest() -> str:
    """The digest of a model of two tensors, a of shape (2, 1) and b of shape (1,)."""
    body = framed(b"veilsum/model/1") + (2).to_bytes(8, "big")
    for name, shape in ((b"a", (2, 1)), (b"b", (1,))):
        body += framed(name) + len(shape).to_bytes(8, "big")
        body += b"".join(side.to_bytes(8, "big") for side in shape)
    return sha(body + struct.pack("<3d", 1.5, 0.0, -2.0)).hex()


def packing() -> dict[str, Any]:
    """Values of 16 bits from eight sites, so a field has 19 bits: 8·32767 < 2^18.

    Each column is half a slot. The last site stands for six, so the sums reach the edge.
    """
    width, most = 19, 32_767
    low = [[0, -1, -1, 1, most, -most, -most, most]] * 2 + [
        [0, 0, -1, -1, most, -most, -most, most]
    ]
    high = [[1, 0, 5, -1, most, -most, most, -most], [-1, 0, -7, 1, most, -most, most, -most]]
    high += [[0, 0, 1, 0, most, -most, most, -most]]
    times = (1, 1, 6)
    joined = [
        [a + b * 2**width for a, b in zip(*rows, strict=True)]
        for rows in zip(low, high, strict=True)
    ]

    def spaced(rows: list[list[int]]) -> list[str]:
        return [" ".join(map(str, row)) for row in rows]

    def added(rows: list[list[int]]) -> list[int]:
        columns = zip(*rows, strict=True)
        return [sum(n * x for n, x in zip(times, column, strict=True)) for column in columns]

    return {
        "cohort_max": 8,
        "value_bits": 16,
        "width": width,
        "low": spaced(low),
        "high": spaced(high),
        "joined": spaced(joined),
        "times": list(times),
        "sum_of_joined": spaced([added(joined)])[0],
        "sums": spaced([added(low), added(high)]),
    }


def document(tag: str, body: dict[str, Any]) -> dict[str, str]:
    """A document's bytes and digest."""
    return {"tag": tag, "body": canonical(body).decode(), "digest": digest(tag, body)}


def vectors() -> dict[str, Any]:
    """All values of the file."""
    context = model_context(RELEASE["model"])
    stream = sealed_stream(context)
    roots = [tree(leaves(chunk)) for chunk in range(3)]
    return {
        "source": SOURCE,
        "transcript": framed(b"veilsum/plan/1", b"", b"ab").hex(),
        "merkle": {
            "leaf_0_of_chunk_1": leaves(1)[0].hex(),
            "chunk_roots": [root.hex() for root in roots],
            "piece_root": tree(roots).hex(),
        },
        "container": {
            "header_of_chunk_1": container(1)[:32].hex(),
            "length": len(container(1)),
            "sha256_of_chunk_1": sha(container(1)).hex(),
        },
        "packing": packing(),
        "mask": mask(),
        "plan": {
            "arithmetic": ARITHMETIC.hex(),
            "terms": canonical(TERMS).decode(),
            "digest": PLAN_DIGEST,
        },
        "distributed_plan": {
            "terms": canonical(DISTRIBUTED_TERMS).decode(),
            "digest": DISTRIBUTED_PLAN_DIGEST,
            "claim": canonical(DISTRIBUTED_CLAIM).decode(),
        },
        "shares_plan": {
            "arithmetic": SHARES_ARITHMETIC.hex(),
            "terms": canonical(SHARES_TERMS).decode(),
            "digest": SHARES_PLAN_DIGEST,
            "roster": SHARES_ROSTER_DIGEST,
        },
        "shares_sum_root": shares_sum_root(),
        "documents": {
            "roster": document("veilsum/roster/1", ROSTER),
            "key_record": document("veilsum/key-record/1", KEY_RECORD),
            "contribution": document("veilsum/contribution/1", CONTRIBUTION),
            "receipt": document("veilsum/receipt/1", RECEIPT),
            "cohort": document("veilsum/cohort/1", COHORT),
            "sum": document("veilsum/sum/1", SUM),
            "sealed_model": document("veilsum/sealed-model/1", SEALED_MODEL),
            "release": document("veilsum/release/1", RELEASE),
            "shared_contribution": document("veilsum/shared-contribution/1", SHARED_CONTRIBUTION),
            "candidates": document("veilsum/candidates/1", CANDIDATES),
            "verdict": document("veilsum/verdict/1", VERDICT),
            "seat_sum": document("veilsum/seat-sum/1", SEAT_SUM),
            "scores": document("veilsum/scores/1", SCORES),
            "recollection": document("veilsum/recollection/1", RECOLLECTION),
        },
        "seals": {
            "cohort_key_info": cohort_key_info("birch").hex(),
            "content_key_info": content_key_info(RELEASE["model"], "birch").hex(),
            "seat_sum_context": seat_sum_info(1).hex(),
            "seat_sum_key_info": seat_sum_key_info("birch").hex(),
            "model_context": context.hex(),
            "chunks": [chunk.hex() for chunk in stream],
            "ciphertext": sha(b"".join(sha(chunk) for chunk in stream)).hex(),
        },
        "model": {"values": [1.5, -0.0, -2.0], "digest": model_digest()},
        "ledger": {
            "row": canonical(LEDGER_ROW).decode(),
            "head": sha(canonical(LEDGER_ROW)).hex(),
        },
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=2, ensure_ascii=False))
