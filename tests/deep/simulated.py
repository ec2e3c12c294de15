"""A coordinator's real process, and members that only speak its protocol, over mutual TLS.

They sign what it checks and send what it can read: nothing is trained, nothing is encrypted, and
no site has a disk. So a hundred of them are one process, and a round costs what it costs its
coordinator. Every contribution has the same residues, of which only the length matters here.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from pathlib import Path

import msgspec
import tomlkit
from msgspec.structs import replace as with_fields

from coordinator import config
from coordinator.adapters.authority import (
    Authority,
    certify_coordinator,
    certify_participant,
    make_authority,
)
from coordinator.rounds import plan as planning
from participant.keys import certificate_request, generate_keys
from participant.view import RoundView
from participant.wire.channel import open_channel
from participant.wire.coordinator import Coordinator
from participant.wire.send import Sender
from participant.wire.tls import SiteCertificate
from participant.wire.whole import Whole, digests_of
from privacy import canonical
from privacy import plan as plans
from privacy.documents import Signed
from privacy.errors import PeerUnreachable, Standby, StoreUnavailable, Unavailable
from privacy.failpoints import Failpoints
from privacy.identifiers import COORDINATOR
from privacy.merkle import tree_root
from privacy.plan import CKKS, DeadlinePolicy, Plan
from privacy.records import KeyRecord, Piece, SealedModel, Sum, digest_of
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.sealing import CHUNK_OVERHEAD, ciphertext_digest
from privacy.signing import Purpose, public_bytes, sign
from tests import fakes
from tests.loopback import pem
from tests.ports import own_port
from veilsum.federation.children import Children, children
from veilsum.v1 import contribution_pb2, contribution_pb2_grpc

PATIENT = DeadlinePolicy("600", "3600")
LIFE = timedelta(days=2)
STEP_SECONDS = 4 * 3600.0
SMALL_DIMENSION = 4096
FULL_CHUNK = 17
_RESIDUES = b"\x11"  # whatever their width, residues of such bytes lie below the modulus
_MODEL_VALUES = (1 << 17) - 16


@dataclass(frozen=True)
class Contents:
    """What every contribution of a plan is: the chunks, made when they are asked for."""

    plan: Plan

    @cached_property
    def _combiner(self) -> CkksCombiner:
        return CkksCombiner(self._parameters, self.plan.arithmetic.dimension)

    @cached_property
    def _parameters(self) -> CkksParameters:
        return self.plan.parameters()

    @property
    def count(self) -> int:
        """How many chunks it has."""
        return self.plan.arithmetic.chunks

    def chunk(self, index: int) -> bytes:
        """Return one chunk, in the one form that a coordinator takes."""
        values, layout = self.plan.geometry().values_in(index), self._parameters.layout
        count = self._parameters.ciphertexts_in(values)
        return layout.header(index, count) + _RESIDUES * (count * layout.ciphertext_bytes)

    @cached_property
    def piece(self) -> Piece:
        """What a signed header says of it."""
        roots = [self._combiner.check(at, self.chunk(at)) for at in range(self.count)]
        length = sum(len(self.chunk(at)) for at in range(self.count))
        return Piece(COORDINATOR, CKKS, tree_root(roots).hex(), self.count, length)


@dataclass(frozen=True)
class NoDisk:
    """An outbox of a site that keeps nothing: it makes a chunk again each time."""

    contents: Contents
    sealed: Sequence[bytes]
    fails_after: int | None = None

    def seals(self, count: int) -> Sequence[bytes]:
        """Return the seals beside the contribution."""
        return self.sealed

    def chunks(self, first: int, count: int) -> Iterator[tuple[int, bytes]]:
        """Yield the chunks from `first` on, each with its index."""
        for index in range(first, count):
            if index - first == self.fails_after:
                raise StoreUnavailable("this site goes away here")
            yield index, self.contents.chunk(index)


@dataclass(frozen=True)
class Member:
    """One member's connection to the coordinator."""

    name: str
    coordinator: Coordinator

    async def send(self, contents: Contents) -> None:
        """Send a contribution, as often as the coordinator says that others come first."""
        while True:
            try:
                await self._send(contents, None)
                return
            except Unavailable:
                await asyncio.sleep(0.5)

    async def send_some(self, contents: Contents, chunks: int) -> None:
        """Send so many chunks more, each acknowledged, and go away; try until there is an answer.

        As a site does: over the connection that it has, which finds its coordinator again.
        """
        while True:
            try:
                await self._send(contents, chunks)
            except StoreUnavailable:
                return
            except (PeerUnreachable, Standby):
                await asyncio.sleep(0.05)

    async def offset(self, number: int) -> int:
        """Return how many chunks of this site's upload are durable."""
        stub = contribution_pb2_grpc.ContributionServiceStub(self.coordinator.channel)
        answer = await stub.GetOffset(contribution_pb2.GetOffsetRequest(round=number))
        return int(answer.chunks[0])

    async def _send(self, contents: Contents, fails_after: int | None) -> None:
        plan = contents.plan
        seals = fakes.mask_seals(plan, fakes.seed_of(self.name, plan.terms.round))
        header = fakes.contribution(plan, self.name, None, [bytes(32)], pieces=(contents.piece,))
        key = public_bytes(fakes.signing_key(COORDINATOR))
        outbox = NoDisk(contents, seals, fails_after)
        sender = Sender(self.coordinator, key, Failpoints())
        await sender.send(outbox, fakes.signed_by(self.name, header))

    async def fetch_sum(self, number: int) -> Sum:
        """Fetch a round's sum to its last chunk; return its manifest."""
        size = 0
        async with self.coordinator.sum(number) as (manifest, chunks):
            async for chunk in chunks:
                size += len(chunk)
        said = canonical.decode(manifest.body, Sum)
        assert size == said.length
        return said


@dataclass
class Federation:
    """The coordinator's process, its files, and who is a member of it."""

    folder: Path
    settings: config.Settings
    sites: tuple[str, ...]
    family: Children
    authority: Authority

    @property
    def roster(self):
        """The roster that all members have signed."""
        return fakes.make_roster(sites=self.sites)

    @property
    def pid(self) -> int:
        """The coordinator's process id."""
        return self.family.running[COORDINATOR].pid

    def start(self) -> None:
        """Start the coordinator; it answers a moment later."""
        command = ["veilsum", "coordinator", "serve", "--config"]
        self.family.start(COORDINATOR, [*command, str(self.folder / "coordinator.toml")])

    def kill(self) -> None:
        """End the coordinator as a power cut would."""
        self.family.kill(COORDINATOR)

    def certificate(self, name: str) -> SiteCertificate:
        """Return a member's certificate, with the key that belongs to it."""
        keys = generate_keys(os.urandom)
        certified = certify_participant(
            self.authority,
            certificate_request(keys, fakes.FEDERATION, name),
            name,
            now=datetime.now(UTC),
            life=LIFE,
        )
        return SiteCertificate(self.authority.certificate_pem, certified, keys.tls_pem)

    @asynccontextmanager
    async def members(self, names: Sequence[str] = ()) -> AsyncIterator[Mapping[str, Member]]:
        """Connect these members, or all of them."""
        found = {}
        for name in names or (*self.sites, fakes.AUDITOR):
            shown = self.certificate(name)
            control, bulk = (open_channel(self.settings.listen.address, shown) for _ in range(2))
            found[name] = Member(name, Coordinator(control, _unexplained, bulk))
        try:
            yield found
        finally:
            for each in found.values():
                await each.coordinator.close()

    def log(self) -> str:
        """Return the end of the coordinator's log."""
        return (self.folder / "logs" / f"{COORDINATOR}.log").read_text()[-4000:]


@dataclass
class Rounds:
    """Plays rounds with a coordinator: every member does its part, and no more."""

    federation: Federation
    members: Mapping[str, Member]
    _piece: Piece | None = None

    @property
    def _openers(self) -> tuple[str, ...]:
        return self.federation.settings.rounds.openers

    async def found(self) -> None:
        """Sign the roster for everybody, once the coordinator answers."""
        await self.answered()
        body = canonical.encode(self.federation.roster)
        for name, member in self.members.items():
            signature = sign(fakes.signing_key(name), Purpose.ROSTER, body)
            await member.coordinator.sign_roster(0, signature)

    async def answered(self) -> None:
        """Return once the coordinator answers a call."""
        deadline = time.monotonic() + 60
        while True:
            try:
                await self._any.roster()
                return
            except Unavailable:
                assert time.monotonic() < deadline, self.federation.log()
                await asyncio.sleep(0.05)

    async def play(self, number: int) -> None:
        """Play a round from its key to its release."""
        plan = await self.open(number)
        await self.contribute(plan)
        await self.release(plan)

    async def open(self, number: int) -> Plan:
        """Bring a round to where it takes contributions; return its plan."""
        view = await self.until(number, "keying", "keyed", "open")
        if view.phase == "keying":
            await self._make_key(view)
        await self.until(number, "open")
        arithmetic, terms, _ = await self._any.plan(number)
        return plans.decode(arithmetic, terms)

    async def contribute(self, plan: Plan) -> None:
        """Let every site send its contribution, all of them at once."""
        contents = self.contents(plan)
        sites = self.federation.sites
        await asyncio.gather(*[self.members[name].send(contents) for name in sites])

    async def release(self, plan: Plan) -> None:
        """Let openers fetch the sum, seal a model and agree on it."""
        number = plan.terms.round
        view = await self.until(number, "opening")
        sums = [self.members[name].fetch_sum(number) for name in self._openers]
        total = digest_of((await asyncio.gather(*sums))[0])
        await self._seal(plan, view.turn, total)
        for name in self._openers[: plan.terms.agreement]:
            release = await self.members[name].coordinator.release(number)
            signature = sign(fakes.signing_key(name), Purpose.RELEASE, release.body)
            signed = Signed(release.body, {name: signature})
            await self.members[name].coordinator.sign_release(signed)

    def contents(self, plan: Plan) -> Contents:
        """Return what every contribution is; its chunks are the same in every round."""
        made = Contents(plan)
        made.__dict__["piece"] = self._piece = self._piece or made.piece
        return made

    async def until(self, number: int, *phases: str) -> RoundView:
        """Return a round once it is in one of these phases."""
        seen, deadline = 0, time.monotonic() + STEP_SECONDS
        while True:
            view = await self._any.watch(seen, (number,), 5.0)
            seen = view.revision
            for each in view.rounds:
                if each.number == number and each.phase in phases:
                    return each
                assert each.number != number or each.phase != "aborted", self.federation.log()
            assert time.monotonic() < deadline, self.federation.log()

    @property
    def _any(self) -> Coordinator:
        return next(iter(self.members.values())).coordinator

    async def _make_key(self, view: RoundView) -> None:
        settings, roster = self.federation.settings, self.federation.roster
        offer = fakes.key_offer(settings, roster, view.number, view.turn)
        await self.members[view.turn].coordinator.offer_key(*offer)
        other = next(name for name in self._openers if name != view.turn)
        state = await self.members[other].coordinator.key(view.number)
        assert state.record is not None
        assert canonical.decode(state.record.body, KeyRecord).round == view.number
        signature = sign(fakes.signing_key(other), Purpose.KEY_RECORD, state.record.body)
        await self.members[other].coordinator.sign_key(view.number, signature)

    async def _seal(self, plan: Plan, sealer: str, total: str) -> None:
        envelope = fakes.signed_by(sealer, self._envelope(plan, sealer, total))
        model = _upload(plan.arithmetic.dimension)
        await self.members[sealer].coordinator.put_model(envelope, model)

    def _envelope(self, plan: Plan, sealer: str, total: str) -> SealedModel:
        dimension, roster = plan.arithmetic.dimension, self.federation.roster
        count, length = _model_size(dimension)
        digest = ciphertext_digest(_model(dimension))
        said = {"chunks": count, "length": length, "ciphertext": digest}
        # the coordinator knows no model: a name that differs from round to round is one
        model = hashlib.sha256(f"model of {plan.terms.round}".encode()).hexdigest()
        small = fakes.envelope(plan, roster, total, sealer, model=model)
        return with_fields(small, **said)


@contextmanager
def federation(
    folder: Path,
    names: Sequence[str],
    *,
    wanted: int,
    dimension: int = SMALL_DIMENSION,
    database: str = "",
    per_chunk: int = FULL_CHUNK,
) -> Iterator[Federation]:
    """Write a coordinator's files for a federation of these sites; nothing runs yet.

    Args:
        per_chunk: ciphertexts in a chunk; by default as many as a coordinator chooses.
    """
    names = tuple(names)
    settings = _settings(folder, names, dimension, database, wanted, per_chunk)
    now = datetime.now(UTC)
    authority = make_authority(fakes.FEDERATION, now=now, life=10 * LIFE)
    server = certify_coordinator(authority, ("127.0.0.1",), now=now, life=LIFE)
    roster = fakes.make_roster(sites=names)
    for name, body in (
        ("server.pem", server.certificate_pem),
        ("server.key", server.key_pem),
        ("authority.pem", authority.certificate_pem),
        ("signing.key", pem(fakes.signing_key(COORDINATOR))),
        ("roster.json", canonical.encode(roster)),
        ("coordinator.toml", tomlkit.dumps(_plain(settings)).encode()),
    ):
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(body)
    with children(folder / "logs") as family:
        yield Federation(folder, settings, names, family, authority)


def some_sites(count: int) -> tuple[str, ...]:
    """Return names of so many sites."""
    return tuple(f"site-{at:03d}" for at in range(count))


def dimension_of(mebibytes: int, sites: int) -> int:
    """Return how many values make a contribution of so many MiB, or a chunk more."""
    nowhere = Path("/nowhere")
    parameters = planning.parameters(_settings(nowhere, some_sites(sites), 1, "", 1, FULL_CHUNK))
    full = parameters.values_per_ciphertext * parameters.ciphertexts_per_chunk
    return full * -(-(mebibytes << 20) // parameters.chunk_bytes(full))


def _settings(
    folder: Path, sites: Sequence[str], dimension: int, database: str, wanted: int, per_chunk: int
) -> config.Settings:
    settings = fakes.make_settings(
        folder, wanted=wanted, openers=tuple(sites[:3]), quorum=len(sites), deadline=PATIENT
    )
    return with_fields(
        settings,
        scheme=config.SchemeSettings(20, 24, max(len(sites), 4), per_chunk),
        model=with_fields(settings.model, dimension=dimension),
        listen=with_fields(settings.listen, address=f"127.0.0.1:{own_port()}"),
        database=database or settings.database,
    )


def _plain(settings: config.Settings) -> dict[str, object]:
    """Return settings as a TOML file has them: paths as text, nothing where there is none."""
    return _without_none(msgspec.to_builtins(settings, enc_hook=str))


def _without_none(table: Mapping[str, object]) -> dict[str, object]:
    return {
        key: _without_none(each) if isinstance(each, dict) else each
        for key, each in table.items()
        if each is not None
    }


def _model_size(dimension: int) -> tuple[int, int]:
    count = -(-dimension // _MODEL_VALUES)
    return count, 8 * dimension + CHUNK_OVERHEAD * count


def _upload(dimension: int) -> Whole[bytes]:
    def chunks(first: int) -> Iterator[bytes]:
        return islice(_model(dimension), first, None)

    return Whole(lambda: digests_of(_model(dimension)), chunks)


def _model(dimension: int) -> Iterator[bytes]:
    """Yield what could be the sealed chunks of a model."""
    for first in range(0, dimension, _MODEL_VALUES):
        yield b"\x05" * (8 * min(_MODEL_VALUES, dimension - first) + CHUNK_OVERHEAD)


async def _unexplained() -> str:
    return "the coordinator is not reached"
