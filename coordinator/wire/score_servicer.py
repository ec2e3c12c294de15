"""The gRPC methods of stated products: decode, delegate, encode, as in `servicer.py`."""

import asyncio
from collections.abc import AsyncIterator

from coordinator.scoring.products import Products
from veilsum.v1 import score_pb2, score_pb2_grpc

from . import codec
from .tls import Context, peer_identity


class ScoreServicer(score_pb2_grpc.ScoreServiceServicer):
    """What sites state of their own updates, and who opens it."""

    def __init__(self, products: Products) -> None:
        self._products = products

    async def PutProduct(
        self, request: score_pb2.PutProductRequest, context: Context
    ) -> score_pb2.PutProductResponse:
        """Keep what the caller states of its own update."""
        caller, signed = peer_identity(context).id, codec.signed_from_wire(request.statement)
        await asyncio.to_thread(self._products.put, caller, signed, tuple(request.seals))
        return score_pb2.PutProductResponse()

    async def GetProducts(
        self, request: score_pb2.GetProductsRequest, context: Context
    ) -> AsyncIterator[score_pb2.GetProductsResponse]:
        """Stream what sites have stated, each with what it has sealed to the caller."""
        caller = peer_identity(context).id
        for signed, sealed in await asyncio.to_thread(self._products.of, caller, request.round):
            yield score_pb2.GetProductsResponse(
                statement=codec.signed_to_wire(signed), sealed=sealed
            )
