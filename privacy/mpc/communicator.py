"""CrypTen's messages between its two parties, seats 0 and 1, as frames on a channel of ours.

CrypTen's own communicator opens ports for whoever finds them, without TLS, and sends objects
as pickle. This one opens nothing: it has one channel to the other seat, on it go words, and
objects are refused (`tests/attacks/test_crypten_transport.py`).
"""

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import ClassVar, Final, NoReturn

import numpy as np

from privacy.errors import InternalError

from .foreign import CrypTen, Operation, Tensor
from .messages import Channel, Shape, Words
from .randomness import refuse

WORLD: Final = 2
"""Parties of CrypTen: seats 0 and 1. The dealer is none of them."""


class TwoSeats:
    """What CrypTen calls to talk, between two seats; each call is the same at both.

    It is mixed into CrypTen's own base class, which is known only once CrypTen has loaded;
    CrypTen finds it as `instance`.
    """

    BYTES_PER_ELEMENT: ClassVar = 8
    instance: ClassVar[CrypTen] = None

    def __init__(self, torch: ModuleType, channel: Channel, seat: int) -> None:
        self._torch, self._channel, self._seat = torch, channel, seat

    @classmethod
    def is_initialized(cls) -> bool:
        """Return whether CrypTen may compute."""
        return cls.instance is not None

    @classmethod
    def get(cls) -> CrypTen:
        """Return the one there is."""
        return cls.instance

    initialize = shutdown = staticmethod(refuse)

    def get_world_size(self) -> int:
        """Return 2."""
        return WORLD

    def get_rank(self) -> int:
        """Return this seat's number, 0 or 1."""
        return self._seat

    def get_name(self) -> str:
        """Return a name for CrypTen's log."""
        return f"seat {self._seat}"

    def send(self, tensor: Tensor, dst: int) -> None:
        """Send a tensor to the other seat."""
        self._require_other(dst)
        self._channel.send(_words(tensor))

    def recv(self, tensor: Tensor, src: int | None = None) -> Tensor:
        """Return the other seat's next tensor, of this one's shape."""
        self._require_other(self._other if src is None else src)
        return self._receive(tuple(tensor.shape))

    def isend(self, tensor: Tensor, dst: int) -> "Request":
        """Send a tensor; nothing is left to wait for."""
        self.send(tensor, dst)
        return Request(lambda: None)

    def irecv(self, tensor: Tensor, src: int | None = None) -> "Request":
        """Receive into a tensor when it is waited for."""
        return Request(lambda: tensor.copy_(self.recv(tensor, src)))

    def broadcast(self, tensor: Tensor, src: int, batched: bool = False) -> Tensor:
        """Return the tensors of seat `src`, at both; one, or if `batched` a list."""
        for each in tensor if batched else [tensor]:
            if src == self._seat:
                self.send(each, self._other)
            else:
                each.copy_(self.recv(each, src))
        return tensor

    def scatter(
        self,
        tensors: Sequence[Tensor],
        src: int,
        size: Iterable[int] | None = None,
    ) -> Tensor:
        """Return the tensor that seat `src` has for this seat."""
        if src == self._seat:
            self.send(tensors[self._other], self._other)
            return tensors[self._seat]
        self._require_other(src)
        return self._receive(tuple(tensors[self._seat].shape if size is None else size))

    def gather(self, tensor: Tensor, dst: int) -> list[Tensor]:
        """Return both seats' tensors at seat `dst`, and `[None]` at the other."""
        if dst != self._seat:
            self.send(tensor, dst)
            return [None]
        return self._in_order(tensor, self.recv(tensor))

    def all_gather(self, tensor: Tensor) -> list[Tensor]:
        """Return both seats' tensors, in the order of the seats."""
        return self._in_order(tensor, self._exchange(tensor))

    def reduce(
        self, tensor: Tensor, dst: int, op: Operation = None, batched: bool = False
    ) -> Tensor:
        """Return what `all_reduce` does at seat `dst`, and `None` at the other."""
        if dst == self._seat:
            return self._joined(tensor, self._receive_flat, op, batched)
        self._channel.send(_flat(tensor if batched else [tensor]))
        return None

    def all_reduce(self, tensor: Tensor, op: Operation = None, batched: bool = False) -> Tensor:
        """Return the sum (or with `op` BXOR the XOR) of both seats' tensors, at both."""
        return self._joined(tensor, self._exchange_flat, op, batched)

    def barrier(self) -> None:
        """Wait for the other seat."""
        self._exchange_flat(np.empty(0, np.uint64))

    send_obj = recv_obj = broadcast_obj = refuse
    set_name = get_ttp_rank = get_distributed_backend = refuse

    @property
    def _other(self) -> int:
        return 1 - self._seat

    def _joined(
        self, tensor: Tensor, theirs: Callable[[Words], Words], op: Operation, batched: bool
    ) -> Tensor:
        tensors = tensor if batched else [tensor]
        own = _flat(tensors)
        # One message for all of them, however many there are.
        joined = self._operation(op)(own, theirs(own))
        ends = np.cumsum([each.numel() for each in tensors])
        parts = np.split(joined, ends[:-1])
        results = [
            self._tensor(part).reshape(each.shape)
            for part, each in zip(parts, tensors, strict=True)
        ]
        return results if batched else results[0]

    def _operation(self, op: Operation) -> Callable[[Words, Words], Words]:
        known = self._torch.distributed.ReduceOp
        if op is None or op == known.SUM:
            return np.add
        if op == known.BXOR:
            return np.bitwise_xor
        raise InternalError(f"CrypTen asked two seats to join words by {op}")

    def _exchange(self, tensor: Tensor) -> Tensor:
        self._channel.send(_words(tensor))
        return self._receive(tuple(tensor.shape))

    def _exchange_flat(self, own: Words) -> Words:
        self._channel.send(own)
        return self._channel.receive(own.shape)

    def _receive_flat(self, own: Words) -> Words:
        return self._channel.receive(own.shape)

    def _receive(self, shape: Shape) -> Tensor:
        return self._tensor(self._channel.receive(shape))

    def _tensor(self, words: Words) -> Tensor:
        return self._torch.from_numpy(words.view(np.int64))

    def _in_order(self, own: Tensor, other: Tensor) -> list[Tensor]:
        return [own, other] if self._seat == 0 else [other, own]

    def _require_other(self, seat: int) -> None:
        if seat != self._other:
            _refuse_seat(seat)


class Request:
    """What CrypTen waits for after it has begun to send or to receive."""

    def __init__(self, finish: Callable[[], object]) -> None:
        self._finish: Callable[[], object] | None = finish

    def is_completed(self) -> bool:
        """Return whether it has been waited for."""
        return self._finish is None

    def wait(self) -> None:
        """Finish it, once."""
        if self._finish is not None:
            self._finish()
        self._finish = None


def _refuse_seat(seat: int) -> NoReturn:
    raise InternalError(f"CrypTen meant to talk to seat {seat}, which takes no part in it")


def _words(tensor: Tensor) -> Words:
    """Return a tensor's words.

    Raises:
        InternalError: it has others than whole words, or lies elsewhere than in memory.
    """
    if str(tensor.dtype) != "torch.int64" or tensor.device.type != "cpu":
        raise InternalError(f"CrypTen meant to send {tensor.dtype} from {tensor.device}")
    words: Words = np.ascontiguousarray(tensor.detach().numpy()).view(np.uint64)
    # A tensor without axes is one word.
    return words.reshape(tuple(tensor.shape))


def _flat(tensors: Sequence[Tensor]) -> Words:
    return np.concatenate([_words(each).reshape(-1) for each in tensors])
