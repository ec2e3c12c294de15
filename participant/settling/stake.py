"""Stake: bond what answers for a programme, let it thaw, and take it back."""

from dataclasses import dataclass
from itertools import count

from privacy.errors import IllegalEvent, NotYet
from veilsum.chain.endpoint import Call, Receipt, checksummed
from veilsum.chain.journal import Journal
from veilsum.chain.signing import Signer

from .programme import Programme, Stake


@dataclass(frozen=True)
class Staking:
    """The stake of one key in one programme; each act says what is to be, so it can be repeated."""

    programme: Programme
    key: Signer
    journal: Journal

    def stake(self) -> Stake:
        """Return what this key has in the vault."""
        return self.programme.stake_of(self.key.address)

    def bond_up_to(self, amount: int) -> tuple[Receipt, ...]:
        """Bring the bond up to `amount` token units; return what was sent, the newest last.

        Raises:
            IllegalEvent: the token or the vault refuses: the key has too few tokens.
            ChainUnavailable: no answer, or not mined in time; run this again.
        """
        sent: list[Receipt] = []
        while (missing := amount - self.stake().bonded) > 0:
            sent += self.allow(missing)
            call = self.programme.vault.functions.bond(self.programme.word, missing)
            sent.append(self._send("bond", call))
        return tuple(sent)

    def thaw_down_to(self, amount: int) -> tuple[Receipt, ...]:
        """Let all of the bond thaw but `amount` token units; return what was sent.

        Raises:
            ChainUnavailable: no answer, or not mined in time; run this again.
        """
        sent: list[Receipt] = []
        while (above := self.stake().bonded - amount) > 0:
            call = self.programme.vault.functions.thaw(self.programme.word, above)
            sent.append(self._send("thaw", call))
        return tuple(sent)

    def withdraw(self) -> tuple[Receipt, ...]:
        """Take back what has thawed; return what was sent, which is nothing if nothing thaws.

        Raises:
            NotYet: it has not thawed.
            ChainUnavailable: no answer, or not mined in time; run this again.
        """
        stake = self.stake()
        if not stake.thawing:
            return ()
        if self.programme.time() < stake.thaws_at:
            raise NotYet(
                f"{stake.thawing} token units thaw until Unix time {stake.thaws_at}; run this "
                "again then"
            )
        call = self.programme.vault.functions.withdraw(self.programme.word)
        return (self._send("withdraw", call),)

    def collect(self) -> tuple[Receipt, ...]:
        """Have paid out what the vault owes to this key; return what was sent.

        Raises:
            ChainUnavailable: no answer, or not mined in time; run this again.
        """
        me = checksummed(self.key.address)
        if not self.programme.credit_of(me):
            return ()
        token = checksummed(self.programme.terms().token)
        return (self._send("collect", self.programme.vault.functions.collect(token, me)),)

    def allow(self, amount: int) -> tuple[Receipt, ...]:
        """Let the vault take `amount` token units, unless it may; return what was sent."""
        token, vault = self.programme.token(), self.programme.vault.address
        allowance = token.functions.allowance(checksummed(self.key.address), vault)
        if int(self.programme.endpoint.read(allowance)) >= amount:
            return ()
        return (self._send("approve-vault", token.functions.approve(vault, amount)),)

    def _send(self, act: str, call: Call) -> Receipt:
        """Send what may be wanted more than once: what is not mined yet is finished first."""
        endpoint = self.programme.endpoint
        for number in count():
            purpose = f"{act}-{self.programme.word.hex()}-{number}"
            try:
                if endpoint.recall(self.journal, purpose) is None:
                    break
            except IllegalEvent:
                continue  # it was mined, and failed: this is another one
        return endpoint.send(self.key, self.journal, purpose, call)
