"""The forms of the scheme `shares`, written again from the pages alone: no product code is used.

`python -m tests.shares_by_hand` prints tests/vectors/shares_v1.json.
"""

import base64
import hmac
import json
from typing import Any

from Crypto.Cipher import AES

from tests.formats_by_hand import framed, sha, tree

SOURCE = (
    "docstrings of privacy/schemes/shares and privacy/schemes/keystream.py; computed by "
    "tests/shares_by_hand.py, which uses no code of Veilsum"
)
FEDERATION, ROUND = b"oncology", 7
SITES = ("amber", "birch")
COHORT_MAX, VALUE_BITS, LEAVES_PER_CHUNK = 8, 16, 3
LARGEST = 2 ** (VALUE_BITS - 1) - 1
RING = 2**64
VALUES, LEAF = 1020, 1024

Block = list[list[int]]
"""Leaves of 1,024 words."""


def fields(site: str) -> tuple[bytes, ...]:
    """What every key of one update is bound to."""
    return FEDERATION, ROUND.to_bytes(8, "big"), site.encode()


def secret(site: str, component: int) -> bytes:
    """Of a real site it would be random."""
    return sha(f"{site} {component}".encode())


def key(site: str, component: int, use: str, *more: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt, to 32 bytes."""
    extracted = hmac.digest(bytes(32), secret(site, component), "sha256")
    info = framed(use.encode(), *fields(site), *more)
    return hmac.digest(extracted, info + b"\1", "sha256")


def stream(under: bytes, chunk: int, count: int) -> list[int]:
    """Words of AES-256 in counter mode; each chunk has a counter of its own."""
    cipher = AES.new(
        under, AES.MODE_CTR, nonce=b"", initial_value=(chunk << 64).to_bytes(16, "big")
    )
    body = cipher.encrypt(bytes(8 * count))
    return [int.from_bytes(body[at : at + 8], "little") for at in range(0, len(body), 8)]


def value(site: str, at: int) -> int:
    """One grid integer; both ends of the grid occur."""
    if at < 2:
        return (-LARGEST, LARGEST)[at]
    return (at * 7919 + SITES.index(site) * 31) % (2 * LARGEST + 1) - LARGEST


def width() -> int:
    """Bits of a field: the sum of a whole cohort, with its sign."""
    return (COHORT_MAX * LARGEST).bit_length() + 1


class Layout:
    """How a vector lies in words, for one number of values in a word."""

    def __init__(self, per_word: int, dimension: int) -> None:
        self.per_word, self.dimension = per_word, dimension

    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.dimension // (VALUES * LEAVES_PER_CHUNK * self.per_word))

    def words(self, site: str, chunk: int) -> list[int]:
        """One chunk's words: the first values in the low fields, the next in those above."""
        size = VALUES * LEAVES_PER_CHUNK * self.per_word
        values = [value(site, at) for at in range(self.dimension)][chunk * size :][:size]
        count = -(-len(values) // self.per_word)
        values += [0] * (count * self.per_word - len(values))
        rows = [values[at * count : (at + 1) * count] for at in range(self.per_word)]
        return [
            sum(row[at] << (width() * place) for place, row in enumerate(rows)) % RING
            for at in range(count)
        ]

    def components(self, site: str, chunk: int) -> tuple[Block, Block, Block]:
        """Two streams, and what is missing to the words; places after the last value hold zero."""
        words = self.words(site, chunk)
        leaves = -(-len(words) // VALUES)
        streams = []
        for component in range(2):
            under = key(site, component, "veilsum/shares-component/1", bytes([component]))
            streams.append(cut(stream(under, chunk, LEAF * leaves), len(words)))
        blinding = stream(key(site, 2, "veilsum/shares-blinding/1"), chunk, 4 * leaves)
        words += [0] * (VALUES * leaves - len(words))
        third = [
            [
                (words[VALUES * leaf + at] - streams[0][leaf][at] - streams[1][leaf][at]) % RING
                for at in range(VALUES)
            ]
            + blinding[4 * leaf : 4 * leaf + 4]
            for leaf in range(leaves)
        ]
        return streams[0], streams[1], third

    def payload(self, site: str, chunk: int) -> bytes:
        """The third component as it travels: AES-256-GCM, its tag at the end."""
        third = self.components(site, chunk)[2]
        count = len(self.words(site, chunk))
        plain = b"".join(word.to_bytes(8, "little") for leaf in third for word in leaf[:VALUES])[
            : 8 * count
        ]
        use = "veilsum/shares-seal/1"
        cipher = AES.new(key(site, 2, use), AES.MODE_GCM, nonce=chunk.to_bytes(12, "big"))
        cipher.update(framed(use.encode(), *fields(site), chunk.to_bytes(8, "big")))
        return b"".join(cipher.encrypt_and_digest(plain))

    def total(self, chunk: int, component: int) -> Block:
        """The sum of one component over both sites."""
        both = [self.components(site, chunk)[component] for site in SITES]
        return [
            [sum(words) % RING for words in zip(*leaves, strict=True)]
            for leaves in zip(*both, strict=True)
        ]

    def container(self, seat: int, chunk: int, given: tuple[int, ...]) -> bytes:
        """What a seat states: its header, and the words of the components that it gives."""
        held = (seat, (seat + 1) % 3)
        totals = {component: self.total(chunk, component) for component in held}
        leaves = len(totals[seat]) if given else 0
        head = b"VSST" + bytes([1, seat, sum(1 << each for each in given), 0])
        head += chunk.to_bytes(4, "big") + leaves.to_bytes(4, "big")
        head += b"".join(tree(hashes(chunk, totals[component])) for component in held)
        return head + b"".join(body(totals[each]) for each in held if each in given)


def cut(words: list[int], count: int) -> Block:
    """A stream as leaves, with zero after the last of `count` words that belong to values."""
    block = [words[at : at + LEAF] for at in range(0, len(words), LEAF)]
    for at in range(count, VALUES * len(block)):
        block[at // VALUES][at % VALUES] = 0
    return block


def body(block: Block) -> bytes:
    """All words, little-endian."""
    return b"".join(word.to_bytes(8, "little") for leaf in block for word in leaf)


def hashes(chunk: int, block: Block) -> list[bytes]:
    """The hash of each leaf; there is one modulus, so its index is 0."""
    return [
        sha(b"\0" + b"".join(n.to_bytes(4, "big") for n in (chunk, at, 0)) + body([leaf]))
        for at, leaf in enumerate(block)
    ]


def path(nodes: list[bytes], index: int) -> list[bytes]:
    """RFC 6962, section 2.1.1, by its recursive definition."""
    if len(nodes) == 1:
        return []
    half = 1
    while 2 * half < len(nodes):
        half *= 2
    if index < half:
        return [*path(nodes[:half], index), tree(nodes[half:])]
    return [*path(nodes[half:], index - half), tree(nodes[:half])]


def text(data: bytes) -> str:
    """Bytes as they stand in JSON."""
    return base64.b64encode(data).decode()


def shown(layout: Layout, component: int, chunk: int, leaf: int) -> dict[str, Any]:
    """One leaf of a sum with its path, as it goes to an auditor."""
    blocks = [layout.total(at, component) for at in range(layout.chunks())]
    roots = [tree(hashes(at, block)) for at, block in enumerate(blocks)]
    nodes = hashes(chunk, blocks[chunk])
    document = {
        "words": text(body([blocks[chunk][leaf]])),
        "leaf_path": [text(step) for step in path(nodes, leaf)],
        "chunk_root": text(roots[chunk]),
        "chunk_path": [text(step) for step in path(roots, chunk)],
    }
    return {
        "component": component,
        "chunk": chunk,
        "leaf": leaf,
        "component_root": tree(roots).hex(),
        "chunk_roots": canonical({"roots": [text(root) for root in roots]}),
        "leaf_hashes": canonical({"hashes": [text(node) for node in nodes]}),
        "leaf_path": [step.hex() for step in path(nodes, leaf)],
        "chunk_path": [step.hex() for step in path(roots, chunk)],
        "sha256_of_words": sha(body([blocks[chunk][leaf]])).hex(),
        "sha256_of_document": sha(canonical(document).encode()).hex(),
    }


def canonical(document: Any) -> str:
    """RFC 8785, for documents of ASCII strings and lists."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def sharing(layout: Layout) -> dict[str, Any]:
    """From secrets to roots, of the first site."""
    site = SITES[0]
    chunks = []
    for chunk in range(layout.chunks()):
        blocks = layout.components(site, chunk)
        payload = layout.payload(site, chunk)
        chunks.append(
            {
                "first_words": [[str(word) for word in block[0][:2]] for block in blocks],
                "blinding_of_leaf_0": [
                    [str(word) for word in block[0][VALUES:]] for block in blocks
                ],
                "sha256_of_components": [sha(body(block)).hex() for block in blocks],
                "roots": [tree(hashes(chunk, block)).hex() for block in blocks],
                "payload_bytes": len(payload),
                "sha256_of_payload": sha(payload).hex(),
            }
        )
    roots = [[bytes.fromhex(each["roots"][at]) for each in chunks] for at in range(3)]
    return {
        "values_per_word": layout.per_word,
        "dimension": layout.dimension,
        "chunks": chunks,
        "component_roots": [tree(each).hex() for each in roots],
    }


def containers(layout: Layout) -> list[dict[str, Any]]:
    """Statements of seats about the sum of both sites: both components, one, roots alone."""
    made = []
    for seat, chunk, given in ((0, 0, (0, 1)), (2, 1, (0, 2)), (1, 2, (2,)), (2, 2, ())):
        container = layout.container(seat, chunk, given)
        made.append(
            {
                "seat": seat,
                "chunk": chunk,
                "given": list(given),
                "header": container[:80].hex(),
                "length": len(container),
                "sha256": sha(container).hex(),
            }
        )
    return made


SCORED, PACKED = Layout(1, 7260), Layout(3, 10510)


def vectors() -> dict[str, Any]:
    """All values of the file."""
    return {
        "source": SOURCE,
        "context": {"federation": FEDERATION.decode(), "round": ROUND, "sites": list(SITES)},
        "parameters": {
            "value_bits": VALUE_BITS,
            "cohort_max": COHORT_MAX,
            "leaves_per_chunk": LEAVES_PER_CHUNK,
        },
        "secrets": {site: [secret(site, at).hex() for at in range(3)] for site in SITES},
        "first_values": {site: [value(site, at) for at in range(4)] for site in SITES},
        "sharing": [sharing(SCORED), sharing(PACKED)],
        "seat_totals": containers(SCORED),
        "shown_leaves": [shown(SCORED, 2, 1, 2), shown(SCORED, 0, 2, 1)],
    }


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=2, ensure_ascii=False))
