"""CrypTen opens ports for whoever comes and unpickles what arrives; a seat does neither.

Its parties find each other through PyTorch's gloo, which has neither TLS nor names for peers,
and send objects as pickle. A seat computes over a link that it is handed, on which numbered
frames of words travel.

Source: crypten 0.4.1, communicator/distributed_communicator.py and common/serial.py.
"""

import pickle
import pickletools
import sys

import numpy as np
import pytest

from privacy.errors import InternalError, MalformedMessage
from privacy.mpc.compare import Within, within
from privacy.mpc.messages import Channel
from tests.attacks.crypten_programs import run
from tests.privacy.mpc.sockets import listening
from tests.privacy.mpc.trio import three_links, three_processes

pytest.importorskip("torch")

VALUES = np.array([[5, 77], [2**40, 1]], np.uint64)
BOUNDS = np.full(2, 2**30, np.uint64)
OBJECT_METHODS = ("send_obj", "recv_obj", "broadcast_obj")


@pytest.fixture(scope="module")
def trio():
    with three_processes() as three:
        yield three


def test_anybody_connects_to_a_party_of_crypten_and_it_unpickles():
    """The control: ports of its own, a stranger who says hello, and an object that is no tensor."""
    sender, receiver = run("transport")

    assert sender["ports"]
    assert receiver["ports"]
    assert all(sender["connected"] + receiver["connected"])
    assert receiver["received"] == {"weights": [1, 2], "note": "no tensor"}
    (body,) = map(bytes.fromhex, receiver["bytes"])
    opcodes = [opcode.name for opcode, _, _ in pickletools.genops(body)]
    assert opcodes[0] == "PROTO"
    assert opcodes[-1] == "STOP"


def _looking(seat, shares):
    """Answer; on the way, look at the process and try to send objects."""
    seen = {}
    compute = Within.compute

    def looking(self, crypten, number, rows):
        communicator = crypten.communicator.get()
        seen["ports"] = listening()
        seen["group"] = crypten.torch.distributed.is_initialized()
        seen["refused"] = [_refused(getattr(communicator, name)) for name in OBJECT_METHODS]
        return compute(self, crypten, number, rows)

    before = listening()
    Within.compute = looking
    try:
        answers = within(seat, b"q", shares, BOUNDS).tolist()
    finally:
        Within.compute = compute
    return answers, seen, before, listening()


def _refused(call):
    try:
        call({"weights": [1, 2]}, 1)
    except InternalError:
        return True
    return False


def test_a_seat_that_computes_listens_nowhere_and_sends_no_object(trio):
    """Before, while and after it does; in no process group of PyTorch's."""
    reports = trio.shares(_looking, VALUES)

    for report in reports[:2]:
        answers, seen, before, after = report.result
        assert answers == [True, False]
        assert seen == {"ports": set(), "group": False, "refused": [True] * 3}
        assert before == after == set()
    assert reports[2].result[2:] == (set(), set())


def test_all_that_seats_send_is_frames(trio):
    """Every message has the header, and none reads as pickle."""
    reports = trio.shares(_looking, VALUES)

    bodies = [body for report in reports for _, body in report.sent]
    assert len(bodies) > 20
    assert all(body.startswith(b"VSMP\0\1") for body in bodies)


class Evil:
    """What runs a function of the sender's choice where it is unpickled."""

    def __reduce__(self):
        return (exec, ("import sys; sys.veilsum_was_here = True",))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_arrives_is_not_read(protocol):
    """It is no frame, whatever is in it."""
    links = three_links()
    body = pickle.dumps(Evil(), protocol)
    pickle.loads(body)
    assert sys.veilsum_was_here, "the control: reading it runs it"
    del sys.veilsum_was_here
    links[1].send(0, body)

    with pytest.raises(MalformedMessage):
        Channel(links[0], 0, 1, bytes(32)).receive((4,))

    assert not hasattr(sys, "veilsum_was_here")
