"""A site that sends a contribution of a chosen size to a real server, over a line that is bad."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
import numpy as np

from coordinator import config
from participant.config import CoordinatorAddress
from participant.sending.outbox import Outbox
from participant.wire.connections import Connections
from participant.wire.coordinator import Coordinator
from participant.wire.send import Sender
from privacy.errors import PeerUnreachable
from privacy.failpoints import Failpoints
from privacy.limbs import Layout, encode_chunk
from privacy.merkle import chunk_root
from privacy.records import Piece, Receipt
from privacy.schemes.ckks_parameters import MODULUS_4096
from privacy.signing import public_bytes
from tests import fakes
from tests.coordinator.served import served
from tests.loopback import Federation as Certified
from tests.loopback import make_federation
from tests.toxic import Toxic, toxic
from veilsum.files import write_durably

LAYOUT = Layout(4096, (MODULUS_4096,))
SITE = fakes.SITES[0]


@dataclass
class BadLine:
    """A round that is open, a contribution in an outbox, and the proxy between."""

    federation: fakes.Federation
    proxy: Toxic
    coordinator: Coordinator
    outbox: Outbox
    header: object
    certified: Certified
    connections: Connections
    tries: int = 0

    @property
    def payload(self) -> int:
        """Bytes of the contribution's chunks."""
        folder = self.outbox.place / "chunks"
        return sum(path.stat().st_size for path in folder.iterdir())

    async def send(self) -> Receipt:
        """Send until it is there, as an agent does."""
        key = public_bytes(fakes.signing_key("coordinator"))
        while True:
            self.tries += 1
            try:
                return await Sender(self.coordinator, key, Failpoints()).send(
                    self.outbox, self.header
                )
            except PeerUnreachable:
                continue

    def is_committed(self) -> bool:
        """Return whether the contribution counts, once."""
        committed = self.federation.round().committed
        return [each.participant for each in committed] == [SITE]


def chunk(number: int, ciphertexts: int) -> tuple[bytes, bytes]:
    """Return one chunk of that many ciphertexts that nobody has encrypted, and its root."""
    words = np.random.default_rng(number).integers(
        0, MODULUS_4096, (ciphertexts, 2, 1, 4096), dtype=np.uint64
    )
    root = chunk_root(number, words.reshape(2 * ciphertexts, 1, 4096))
    return encode_chunk(LAYOUT, number, words), root


def _settings(chunks: int, ciphertexts: int) -> config.Settings:
    settings = fakes.make_settings()
    return msgspec.structs.replace(
        settings,
        scheme=config.SchemeSettings(20, 24, 4, ciphertexts),
        model=config.ModelSettings(chunks * ciphertexts * 4096, "ab" * 32),
    )


def _outbox(folder, plan, chunks, ciphertexts):
    outbox, roots, length = Outbox(folder, 1), [], 0
    place = outbox.start()
    for index in range(chunks):
        payload, root = chunk(index, ciphertexts)
        write_durably(place / f"{index:08d}", payload)
        roots.append(root)
        length += len(payload)
    header = fakes.contribution(plan, SITE, None, roots)
    piece = header.pieces[0]
    pieces = (Piece(piece.recipient, piece.scheme, piece.root, chunks, length),)
    header = fakes.signed_by(SITE, msgspec.structs.replace(header, pieces=pieces))
    outbox.finish(header, fakes.mask_seals(plan, fakes.seed_of(SITE, 1)))
    return outbox, header


@asynccontextmanager
async def bad_line(folder, chunks: int, ciphertexts: int = 1) -> AsyncIterator[BadLine]:
    """Give a site with a contribution of so many chunks, and the line to its coordinator."""
    federation = fakes.Federation(settings=_settings(chunks, ciphertexts))
    plan = federation.open_round()
    outbox, header = _outbox(folder, plan, chunks, ciphertexts)
    certified = make_federation()
    site = certified.forged(f"spiffe://oncology/participant/{SITE}")

    async def explain() -> str:
        return "the line"

    async with served(federation.service, certified, federation.settings) as address:
        host, port = address.split(":")
        with toxic(host, int(port)) as proxy:
            given = folder / "certificate.pem"
            given.write_bytes(site.certificate_pem)
            where = CoordinatorAddress(proxy.address, folder / "authority.pem", given)
            connections = Connections(where, site)
            channels = [connections.channel() for _ in range(2)]
            coordinator = Coordinator(channels[0], explain, channels[1], connections.turns)
            try:
                yield BadLine(
                    federation, proxy, coordinator, outbox, header, certified, connections
                )
            finally:
                await coordinator.close()
