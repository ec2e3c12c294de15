"""A ledger written again from docs/protocol.md and docs/privacy.md alone: no product code is used.

`python -m tests.ledger_by_hand` prints tests/vectors/ledger_v1.json.
"""

import hashlib
import json
import math
from fractions import Fraction
from typing import Any

from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa

SOURCE = "docs/protocol.md; computed by tests/ledger_by_hand.py, which uses no code of Veilsum"
DELTA = "0.001"
ORDERS = (
    *("1.25", "1.5", "1.75", "2.25", "2.5", "2.75", "3.5", "4.5", "5.5", "6.5", "7.5", "8.5"),
    *("9.5", "10.5"),
    *(str(order) for order in range(2, 65)),
    *("72", "80", "96", "128", "160", "192", "256", "384", "512"),
)
SUMS, VECTOR = Fraction(20), Fraction(8)
"""Noise multipliers of one round: what hides the sum, and what hides one update."""

DATASET = {
    "id": "hearts",
    "version": 1,
    "parent": None,
    "unit": "patient",
    "max_records_per_unit": 1,
    "neighbor": "add_remove",
}


def sha(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def canonical(document: Any) -> bytes:
    """RFC 8785, for documents of ASCII names, strings, integers and nothing else."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def framed(*fields: bytes) -> bytes:
    """A transcript: each field behind its length in 8 bytes."""
    return b"".join(len(field).to_bytes(8, "big") + field for field in fields)


def key_of(name: str) -> Any:
    """The signing key of somebody in the example."""
    return ECC.construct(curve="Ed25519", seed=sha(b"ledger key of " + name.encode()))


def public(name: str) -> str:
    """Its public half, in hex."""
    return key_of(name).public_key().export_key(format="raw").hex()


def signature(name: str, tag: str, body: bytes) -> str:
    """Ed25519 over the transcript of tag and body, in hex."""
    return eddsa.new(key_of(name), "rfc8032").sign(framed(tag.encode(), body)).hex()


def cost(multiplier: Fraction, order: str) -> Fraction:
    """Renyi divergence of one Gaussian mechanism, rounded up to twelve decimals.

    Raised by a part in 10^9 and by 10^-12 first, for what an accountant in floats may lose.
    """
    exact = Fraction(order) / (2 * multiplier**2)
    raised = exact * (1 + Fraction(1, 10**9)) + Fraction(1, 10**12)
    return Fraction(math.ceil(raised * 10**12), 10**12)


def decimal(amount: Fraction, places: int = 12) -> str:
    """In decimal, without needless zeros; exact."""
    units = amount * 10**places
    assert units.denominator == 1
    whole, rest = divmod(units.numerator, 10**places)
    return f"{whole}.{rest:0{places}d}".rstrip("0").rstrip(".")


def epsilon(rounds: int, multiplier: Fraction) -> str:
    """The epsilon of so many rounds, rounded up to six decimals.

    Source: Canonne, Kamath and Steinke, arXiv:2004.00010v4, proposition 12.
    """
    if rounds == 0:
        return "0"
    found = []
    for order in ORDERS:
        at, divergence = float(Fraction(order)), float(rounds * cost(multiplier, order))
        penalty = (math.log(float(DELTA)) + math.log(at)) / (at - 1)
        found.append(divergence + math.log1p(-1 / at) - penalty)
    return decimal(Fraction(math.ceil(max(0.0, min(found)) * 10**6), 10**6), 6)


EVENT = {
    view: {"class": "Gaussian", "noise_multiplier": str(multiplier)}
    for view, multiplier in (("sums", SUMS), ("vector", VECTOR))
}
RDP = {
    "orders": list(ORDERS),
    "sums": [decimal(cost(SUMS, order)) for order in ORDERS],
    "vector": [decimal(cost(VECTOR, order)) for order in ORDERS],
}


def cumulative(committed: int, charged: int) -> dict[str, Any]:
    """What the dataset has spent after a row, counted in rounds."""
    return {
        "delta": DELTA,
        "sums": {"committed": epsilon(committed, SUMS), "charged": epsilon(charged, SUMS)},
        "vector": {"committed": epsilon(committed, VECTOR), "charged": epsilon(charged, VECTOR)},
    }


def idempotency(kind: str, dataset: str, reservation: str, number: int) -> str:
    """What tells a reservation, or an output, from every other."""
    key = [kind, dataset, "heart-model", reservation, number, EVENT, "1"]
    return sha(canonical(key)).hex()


class Written:
    """A ledger as it is written: each row names the one before, and is signed."""

    def __init__(self, signer: str = "amber", dataset: dict[str, Any] = DATASET) -> None:
        self.signer, self.dataset = signer, dataset
        self.entries: list[dict[str, str]] = []
        self.rows: list[dict[str, Any]] = []

    def row(self, kind: str, **members: Any) -> dict[str, Any]:
        """The next row."""
        before = self.entries[-1]["row"].encode() if self.entries else b""
        return {
            "v": 1,
            "type": kind,
            "seq": len(self.entries) + 1,
            "prev": sha(before).hex() if self.entries else "0" * 64,
            "ts": f"2027-01-15T08:00:{len(self.entries):02d}.000+00:00",
            "ledger": "amber",
            "dataset": self.dataset,
            "accountant": "veilsum-rdp/1",
            "actor": "agent",
            "key": public(self.signer),
            **members,
        }

    def add(self, kind: str, **members: Any) -> None:
        """Write a row."""
        self.put(self.row(kind, **members))

    def put(self, row: dict[str, Any]) -> None:
        """Sign a row, and write it."""
        body = canonical(row)
        signed = signature(self.signer, "veilsum/ledger-row/1", body)
        self.rows.append(row)
        self.entries.append({"row": body.decode(), "signature": signed})

    def reserve(self, reservation: str, rounds: int, committed: int, charged: int) -> None:
        """Rounds are set aside."""
        self.add(
            "RESERVE",
            job="heart-model",
            reservation=reservation,
            rounds=rounds,
            idempotency=idempotency("RESERVE", self.dataset["id"], reservation, rounds),
            event=EVENT,
            clip="1",
            rdp=RDP,
            cum=cumulative(committed, charged),
            evidence=sha(b"plan of round 1").hex(),
        )

    def commit(
        self, reservation: str, number: int, committed: int, charged: int, **noise: Any
    ) -> None:
        """One of them is spent."""
        self.add(
            "COMMIT",
            job="heart-model",
            round=number,
            reservation=reservation,
            idempotency=idempotency("COMMIT", self.dataset["id"], reservation, number),
            event=EVENT,
            clip="1",
            rdp=RDP,
            cum=cumulative(committed, charged),
            out=output(number),
            **noise,
        )

    def sent(self, reservation: str, number: int) -> None:
        """It has been acknowledged."""
        of = {"job": "heart-model", "round": number, "reservation": reservation}
        self.add("SENT", **of, out=output(number))

    def root(self, size: int) -> str:
        """The RFC 6962 root over the first rows."""
        return tree([sha(b"\0" + entry["row"].encode()) for entry in self.entries[:size]]).hex()


def output(number: int) -> str:
    """The digest of what leaves the site in a round."""
    return sha(b"contribution to round %d" % number).hex()


def tree(nodes: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, by its recursive definition."""
    if len(nodes) == 1:
        return nodes[0]
    half = 1
    while 2 * half < len(nodes):
        half *= 2
    return sha(b"\1" + tree(nodes[:half]) + tree(nodes[half:]))


def policy(life: str, **proposal: str) -> dict[str, Any]:
    """Limits, and two officers."""
    return {
        "delta": DELTA,
        "epsilon_for_life": life,
        "epsilon_per_round": "2",
        "vector_epsilon_for_life": life,
        "vector_epsilon_per_round": "2",
        "officers": {"alice": public("alice"), "bob": public("bob")},
        **proposal,
    }


def begin(ledger: Written) -> None:
    """Dataset, policy, a higher limit that two officers want, and three rounds set aside."""
    ledger.add("DATASET_REGISTER")
    ledger.add("POLICY_SET", policy=policy("3"))
    proposal = ledger.row("POLICY_SET", policy=policy("6", proposer="alice"))
    unsigned = canonical(proposal)
    by_alice = signature("alice", "veilsum/ledger-policy/1", unsigned)
    ledger.put({**proposal, "policy": policy("6", proposer="alice", signature=by_alice)})
    approval = {
        "row": 3,
        "officer": "bob",
        "key": public("bob"),
        "signature": signature("bob", "veilsum/ledger-approval/1", unsigned),
    }
    ledger.add("APPROVAL", approval=approval)
    ledger.reserve("r-5", 3, 0, 3)


def whole(signer: str = "amber") -> Written:
    """All that can be in a ledger, once."""
    ledger = Written(signer)
    begin(ledger)
    noise = {
        "dist": "discrete_gaussian",
        "local_sigma_squared": "26843545600/3",
        "honest": 3,
        "colluders": 1,
    }
    ledger.commit("r-5", 1, 1, 3, noise=noise)
    ledger.sent("r-5", 1)
    of_round = {"job": "heart-model", "round": 1}
    plan, cohort = sha(b"plan of round 1").hex(), sha(b"cohort of round 1").hex()
    result = {"plan": plan, "cohort": cohort, "contributions": 4, "honest": 3}
    ledger.add("ROUND_RESULT", **of_round, result=result)
    release = {"release": sha(b"release 1").hex(), "model": sha(b"model 1").hex()}
    ledger.add("RELEASE", **of_round, release=release)
    seen = {"participant": "birch", "size": 7, "root": sha(b"birch").hex(), "out": sha(b"b").hex()}
    ledger.add("WITNESS", witness=seen)
    ledger.commit("r-5", 2, 2, 3)
    ledger.sent("r-5", 2)
    of_job = {"job": "heart-model", "reservation": "r-5", "evidence": sha(b"release 2").hex()}
    ledger.add("RETIRE", **of_job, cum=cumulative(2, 2))
    used = {"event": EVENT, "rdp": RDP}
    ledger.add("PREPROC", **used, cum=cumulative(3, 3), text="mean of the ages, to fill gaps")
    ledger.add("ADJUST_UP", **used, cum=cumulative(4, 4), text="a run that nobody had recorded")
    audit = {
        "report": sha(b"report").hex(),
        "claimed": "1",
        "lower_bound": "0.52",
        "confidence": "0.95",
        "delta": "0.00001",
        "canaries": 1000,
        "passed": True,
    }
    ledger.add("AUDIT_RESULT", audit=audit)
    size = len(ledger.entries)
    ledger.add("CHECKPOINT", checkpoint={"size": size, "root": ledger.root(size)})
    return ledger


def forked() -> Written:
    """Another history of the same site from row 6 on, in which less was spent."""
    ledger = Written()
    begin(ledger)
    of_job = {"job": "heart-model", "reservation": "r-5", "evidence": sha(b"release 1").hex()}
    ledger.add("RETIRE", **of_job, cum=cumulative(0, 0))
    ledger.reserve("r-7", 2, 0, 2)
    ledger.commit("r-7", 1, 1, 2)
    return ledger


def of_lungs() -> Written:
    """The same site's ledger of another dataset."""
    ledger = Written(dataset={**DATASET, "id": "lungs"})
    begin(ledger)
    ledger.commit("r-5", 1, 1, 3)
    return ledger


OPERATIONS: list[dict[str, Any]] = [
    {"name": "nothing is changed", "op": "none", "found": "nowhere"},
    {"name": "a bit of a row is flipped", "op": "flip", "row": 6, "byte": 300, "found": "row 6"},
    {"name": "a bit of the first row is flipped", "op": "flip", "row": 1, "byte": 5,
     "found": "row 1"},
    {"name": "a bit of a signature is flipped", "op": "flip_signature", "row": 4, "byte": 9,
     "found": "row 4"},
    {"name": "a row is dropped", "op": "drop", "row": 6, "found": "row 7"},
    {"name": "the first row is dropped", "op": "drop", "row": 1, "found": "row 2"},
    {"name": "a row is there twice", "op": "duplicate", "row": 9, "found": "row 9"},
    {"name": "two rows change places", "op": "swap", "row": 7, "found": "row 8"},
    {"name": "signatures change places", "op": "swap_signatures", "row": 7, "found": "row 7"},
    {"name": "a row of another history is put in", "op": "insert", "row": 8, "from": "fork",
     "found": "row 8"},
    {"name": "a row is put in the place of another", "op": "replace", "row": 8, "from": "fork",
     "found": "row 8"},
    {"name": "a row of another dataset is replayed", "op": "replace", "row": 6, "from": "lungs",
     "found": "row 6"},
    {"name": "the tail is cut off", "op": "cut", "row": 12, "found": "checkpoint"},
    {"name": "the last row is cut off", "op": "cut", "row": 17, "found": "checkpoint"},
    {"name": "the history forks", "op": "take", "from": "fork", "found": "checkpoint"},
    {"name": "a backup is put back and goes on", "op": "take", "from": "longer",
     "found": "checkpoint"},
    {"name": "all rows are signed by another key", "op": "take", "from": "swapped",
     "found": "row 1"},
    {"name": "the ledger of another dataset is shown", "op": "take", "from": "lungs",
     "found": "checkpoint"},
]  # fmt: skip
"""What is done to the rows, and where it shows: at a row, or only to who kept a checkpoint."""


def longer() -> Written:
    """A backup of five rows, with more rows after it than were lost."""
    ledger = forked()
    ledger.sent("r-7", 1)
    for number in range(9):
        seen = {"participant": "birch", "size": 8 + number, "root": sha(b"c").hex()}
        ledger.add("WITNESS", witness={**seen, "out": sha(b"%d" % number).hex()})
    return ledger


def vectors() -> dict[str, Any]:
    """All that the file holds."""
    ledger = whole()
    size = len(ledger.entries)
    others = {
        "fork": forked(),
        "longer": longer(),
        "lungs": of_lungs(),
        "swapped": whole("mallory"),
    }
    return {
        "source": SOURCE,
        "keys": [public("amber")],
        "entries": ledger.entries,
        "checkpoints": [{"size": at, "root": ledger.root(at)} for at in range(1, size + 1)],
        "kept": size,
        "others": {name: other.entries for name, other in others.items()},
        "spent": {
            "rounds": 4,
            "sums": epsilon(4, SUMS),
            "vector": epsilon(4, VECTOR),
        },
        "operations": OPERATIONS,
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1, ensure_ascii=False))
