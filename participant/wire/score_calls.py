"""The coordinator, as those talk to it who state products of their updates, or judge them."""

from dataclasses import dataclass

from privacy import canonical
from privacy.documents import Signed
from privacy.errors import MalformedMessage
from privacy.records import StatedProduct
from veilsum.v1 import score_pb2, score_pb2_grpc

from .coordinator import Coordinator, signed_from_wire, signed_to_wire


@dataclass
class ScoreCalls:
    """What a coordinator answers about stated products, over the channel of `coordinator`."""

    coordinator: Coordinator

    def __post_init__(self) -> None:
        self._scores = score_pb2_grpc.ScoreServiceStub(self.coordinator.channel)

    async def put_product(self, statement: Signed, seals: tuple[bytes, ...]) -> None:
        """Hand in what this site states of its own update, and what it has sealed to openers."""
        request = score_pb2.PutProductRequest(statement=signed_to_wire(statement), seals=seals)
        await self.coordinator.call(self._scores.PutProduct(request))

    async def products(self, number: int, cohort: int) -> dict[str, tuple[Signed, bytes]]:
        """Return what sites have stated, by site, each with the seal for this opener; unchecked.

        Raises:
            MalformedMessage: one site states two, or there are more than the cohort has.
        """
        call = self._scores.GetProducts(score_pb2.GetProductsRequest(round=number))
        found: dict[str, tuple[Signed, bytes]] = {}
        try:
            async for part in self.coordinator.stream(call):
                signed = signed_from_wire(part.statement)
                site = canonical.decode(signed.body, StatedProduct).participant
                if site in found or len(found) == cohort:
                    raise MalformedMessage(
                        f"round {number}: more products than one of each in a cohort of {cohort}"
                    )
                found[site] = (signed, part.sealed)
        finally:
            call.cancel()
        return found
