"""The first wrong word of a false sum, over connections that break."""

import pytest

from participant.auditing.locate import locate
from privacy.errors import IllegalEvent, NotYet, PeerUnreachable
from privacy.records import Fault
from tests.participant import auditor_at_work as work
from tests.participant.auditing.test_audit import audit, fed
from tests.participant.auditing.test_auditor import ROUND, false_chunks


class Breaking(work.Audited):
    """A coordinator whose streams of the sum break: at the given chunks, once each."""

    def __init__(self, *at, error=None):
        super().__init__()
        self.audits(ROUND)
        chunks = false_chunks()
        self.sums[1] = (work.with_sum(ROUND, chunks), chunks)
        self.at, self.error, self.sums_asked = list(at), error or PeerUnreachable("away"), []

    def sum(self, number, from_chunk=0):
        self.sums_asked.append(from_chunk)
        return super().sum(number, from_chunk)

    async def _stream(self, what, chunks, start):
        for at, chunk in enumerate(chunks[start:], start):
            if at in self.at:
                self.at.remove(at)
                raise self.error
            yield chunk


async def found(shown):
    return await locate(shown, 1, fed(audit()), work.NoPatience())


async def test_a_stream_that_breaks_goes_on():
    """The chunk that was compared is not asked for again."""
    shown = Breaking(1)

    fault = await found(shown)

    assert (fault.chunk, fault.word) == (1, 99)
    assert shown.sums_asked == [0, 1]


async def test_contributions_that_break_the_second_time_come_again():
    """The same word, from the whole chunk."""
    shown = Breaking()
    shown.breaks = [2]

    fault = await found(shown)

    assert (fault.chunk, fault.word) == (1, 99)
    assert shown.streams == [(1, 1), (1, 1)]


@pytest.mark.parametrize("error", [NotYet("erased"), IllegalEvent("aborted")])
async def test_a_round_that_ends_meanwhile_has_had_a_false_sum_all_the_same(error):
    """As far as it was shown: the auditor says that, and not where."""
    assert await found(Breaking(0, error=error)) == Fault("")
