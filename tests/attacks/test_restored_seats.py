"""A seat is put back as it was, before others have signed: the coordinator wants it to sign twice.

The coordinator and seat `east` are one. `north` signs a cohort, alone; its machine is restored
from last night's copy, which remembers nothing of it; and it is shown another cohort of the same
round, without the victim. `south` is shown the first cohort only, the trainers the second: each
of them signs once. `recall` finds nobody who remembers. All but the coordinator and `east` is
the product's own.
"""

import asyncio
import os
import shutil

import pytest
from msgspec.structs import replace

from participant.memory import Memory
from participant.seat import recall
from participant.seat.certifying import certify
from participant.seat.judging import judge
from participant.wire.letters import Mailbox
from participant.wire.patience import Patience
from privacy import canonical
from privacy.certificate import check_certificate
from privacy.documents import Signed
from privacy.errors import InvalidSignature, OpeningRefused, WrongContext
from privacy.records import digest_of
from privacy.signing import Purpose, sign
from tests.participant import signed_round as made
from tests.participant.seat import seated as work

PLAN = work.plan()
WITHOUT_VICTIM = work.SITES[:3]
RESTORED = "5e" * 32
"""What the restored process drew."""


def signature_of(name, cohort):
    """What a member signs for a certificate."""
    return sign(made.keys(name).signing, Purpose.CERTIFICATE, canonical.encode(cohort))


def opens(cohort, signatures):
    """Whether an honest opener would open the sum of this cohort."""
    plain = made.by_coordinator(cohort)
    try:
        check_certificate(Signed(plain.body, plain.signatures | signatures), PLAN, work.roster())
    except InvalidSignature:
        return False
    return True


async def remembered(newest):
    """What the others' answers tell a `north` that has just started, over letters."""
    letters, boxes = {}, {}
    for name in (*newest, "north"):
        boxes[name] = Mailbox(work.Letterbox(name, letters), Patience(os.urandom))
    running = [asyncio.create_task(box.run()) for box in boxes.values()]
    for name, of_member in newest.items():
        key = made.keys(name).signing
        answering = recall.serve(boxes[name], work.roster, name, key, of_member)
        running.append(asyncio.create_task(answering))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        floor = await recall.floor(boxes["north"], work.roster(), "north", work.NAMES, os.urandom)
    for each in running:
        each.cancel()
    return floor


class Attack:
    """The coordinator's doings, and what honest members have signed because of them."""

    def __init__(self, folder):
        self.folder, self.desk = folder, work.Desk.of(PLAN)
        self.trainers = {name: Memory(folder / name) for name in work.SITES}
        self.south = work.seat(folder, self.desk, "south")
        self.first = {}

    async def backed_up(self):
        """Let `north` judge, be copied, and sign the first cohort."""
        north = work.seat(self.folder, self.desk)
        await judge(north, await work.sitting(north))
        north.memory.close()
        shutil.copytree(self.folder / "north", self.folder / "copy")
        north = work.seat(self.folder, self.desk)
        await certify(north, await work.sitting(north))
        north.memory.close()
        self.first["north"] = self.desk.certificate["north"]

    async def restored(self, start):
        """Put the copy back, show it the second cohort, and return what it signs."""
        shutil.rmtree(self.folder / "north")
        shutil.copytree(self.folder / "copy", self.folder / "north")
        newest = {name: memory.newest_certified for name, memory in self.trainers.items()}
        floor = await remembered({"south": self.south.memory.newest, "east": lambda: 0, **newest})
        self.desk.names, self.desk.certificate = WITHOUT_VICTIM, {}
        north = work.seat(self.folder, self.desk, floor=floor, start=start)
        try:
            await certify(north, await work.sitting(north))
        finally:
            north.memory.close()
        return self.desk.certificate["north"]

    async def opened(self, second):
        """Let all others sign what they are shown, and return how many cohorts can be opened."""
        shown_second = self.desk.cohort_record()
        for name, memory in self.trainers.items():
            memory.certifies(1, digest_of(shown_second))
            second[name] = signature_of(name, shown_second)
        self.desk.names, self.desk.certificate = None, {}
        await judge(self.south, await work.sitting(self.south))
        await certify(self.south, await work.sitting(self.south))
        shown_first = self.desk.cohort_record()
        self.first |= self.desk.certificate
        self.first["east"] = signature_of("east", shown_first)
        second["east"] = signature_of("east", shown_second)
        assert shown_first != shown_second
        return opens(shown_first, self.first) + opens(shown_second, second)


async def test_a_restored_seat_signs_no_second_cohort_of_a_round_that_was_planned_before(tmp_path):
    """Though nobody remembers the first: the plan names the start of another process."""
    attack = Attack(tmp_path)
    await attack.backed_up()

    with pytest.raises(OpeningRefused, match="started after the round was planned"):
        await attack.restored(RESTORED)
    attack.desk.names = WITHOUT_VICTIM
    assert await attack.opened({}) == 1


async def test_by_what_others_remember_alone_both_cohorts_would_open(tmp_path):
    """The positive control: the same seat, if its process could pass for the one before."""
    attack = Attack(tmp_path)
    await attack.backed_up()

    second = {"north": await attack.restored(work.STARTS[work.NAMES.index("north")])}

    assert await attack.opened(second) == 2


async def test_a_plan_that_names_the_new_start_is_another_that_no_site_contributed_under(tmp_path):
    """The coordinator may plan the round again; a contribution counts under one plan."""
    attack = Attack(tmp_path)
    await attack.backed_up()
    starts = (work.STARTS[0], RESTORED, work.STARTS[2])
    attack.desk.plan = work.plan(scheme=replace(PLAN.terms.scheme, starts=starts))

    with pytest.raises(WrongContext, match="is not what it signed"):
        await attack.restored(RESTORED)
    assert attack.desk.certificate == {}
