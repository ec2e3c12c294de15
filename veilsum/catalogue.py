"""Every code of an error: what it means, and how to mend it; and what each exit status means.

Who must act is said by the class (privacy/errors.py). docs/errors.md shows the same words, and
`veilsum explain` prints them where there is no network. Links are as in docs/.
"""

from typing import Final, NamedTuple


class Entry(NamedTuple):
    """What is known of one code.

    Attributes:
        means: what has happened, and what has not.
        fix: what to do, by whom the error names.
        who_acts: only for a code that no class has.
    """

    means: str
    fix: str
    who_acts: str = ""


class Status(NamedTuple):
    """What an exit status says, for every command that has no verdicts of its own."""

    number: int
    means: str


ENTRIES: Final[dict[str, Entry]] = {
    "unexpected": Entry(
        "Something failed in the site's worker that nobody raised on purpose: the site's own "
        "model, loss or data, or a library. The round is declined, and counts as spent if the "
        "data had been touched.",
        "Run the site's class by itself, on a few records. The worker's log says where it "
        "failed; if that is in none of your own code, report it.",
    ),
    "internal": Entry(
        "Veilsum failed in a way that nobody has foreseen. Rounds and uploads resume.",
        "Start the process again, which is safe. Report it to the developers with the log of "
        "that process.",
    ),
    "invariant_broken": Entry(
        "What must hold after every step of a round does not: a contribution counted twice, a "
        "state that goes backwards, a sum that is not the whole cohort's. Nothing of that step "
        "was saved or answered, and the coordinator has stopped with status 70.",
        "**Do not start it again.** Copy the database and the object store, and report the line "
        "`invariant_broken` of its log. The number in it is that of "
        "[an invariant](threat-model.md#invariants-of-a-round).",
    ),
    "config": Entry(
        "A setting, a file or the command line is not what it must be, and nothing was begun.",
        "The message names the file, the setting and what was expected. Correct it and start "
        "again; `veilsum config show --origin` says where each value came from.",
    ),
    "insecure_key_file": Entry(
        "Others than its owner can read a private key.",
        "Run the `chmod` or `chown` in the message. If somebody else may have read the key, make "
        "new keys and have members admit them.",
    ),
    "ledger_rolled_back": Entry(
        "The privacy ledger is shorter than what this site has seen of it, or has another past: "
        "an older copy was put back. What was spent since then counts.",
        "Put the newest copy back. If it is lost for good, the data's budget cannot be known: ask "
        "the officer, and begin no new ledger for the same data without recording there, with "
        "`veilsum budget adjust`, all that may have been spent.",
    ),
    "missing_dependency": Entry(
        "An optional part was asked for, and its packages are not installed.",
        "Install the extra that the message names. Nothing else has to change.",
    ),
    "schema_mismatch": Entry(
        "Another version of Veilsum wrote this database, or planned the round in it. The message "
        "names both.",
        "Start that version, or restore the database that belongs to this one. To go to a newer "
        "version, upgrade as [operations](operations.md#upgrades-and-versions) says.",
    ),
    "protocol": Entry(
        "The other side broke the protocol. The same bytes will never be accepted.",
        "Compare the versions on both sides. Then look at the narrower code, in the log of "
        "either side.",
    ),
    "malformed_message": Entry(
        "Bytes are not what their marker says: not canonical, cut, out of range, not the next "
        "chunk.",
        "It is almost always another version or a damaged disk at the sender. Compare versions, "
        "then look at that disk.",
    ),
    "invalid_signature": Entry(
        "A signature is missing, or was made by another key than the roster's.",
        "Compare the roster's fingerprint. Check that the site uses the keys it was enrolled with.",
    ),
    "wrong_identity": Entry(
        "The certificate's name is not the one in the message, is not in the roster, or lacks the "
        "role for this call.",
        "Use the certificate issued for this participant. If it is the right one, ask the "
        "operator which roles the roster gives it.",
    ),
    "certificate_ended": Entry(
        "A call, or the next message of a stream, came after the end of the certificate of its "
        "connection.",
        "A running process renews at half of a certificate's life and never comes here. If one "
        "does, look at its log for why it could not renew, and at the clocks of both machines. "
        "Within a week of the end, starting it renews; later an operator invites it again, and an "
        "operator is certified with `veilsum coordinator recertify` on the coordinator's machine.",
    ),
    "certificate_revoked": Entry(
        "An operator has shut out every certificate that this member had: each of its calls is "
        "refused, and its open streams end. The message has the reason.",
        "Ask that operator, by telephone. Once the cause is mended, another invitation and "
        "another certificate let the member in again; one that was revoked stays so. An operator "
        "is certified again with `veilsum coordinator recertify` on the coordinator's machine.",
    ),
    "invitation_refused": Entry(
        "A link is not one that was made here, has ended, or was used with other keys; or a "
        "decision is about an enrolment that does not wait for one. Nothing is said of who else "
        "was invited.",
        "The operator makes another link: `veilsum coordinator invite NAME`. If the first one was "
        "used by somebody else, ask who had it before you send another.",
    ),
    "roster_refused": Entry(
        "A roster is not closed, put before the trainers, or signed: with it, rounds could not "
        "run, or an operator would open, audit or add as well. The message says what is wrong. "
        "Nothing has changed.",
        "Invite and approve whom it lacks, or give members other roles: `veilsum coordinator "
        "members` lists what there is. Whoever operates is a member of its own, and no opener or "
        "auditor is of its organisation. Then close or propose it again. A version 0 that somebody "
        "cannot sign is opened again by `veilsum coordinator reopen`, until all have signed it.",
    ),
    "wrong_context": Entry(
        "Something was made for another federation, round, plan, key record or roster.",
        "If it names the roster or a key, compare fingerprints by telephone before anything else. "
        "Otherwise look for a process that runs with another federation's files.",
    ),
    "root_mismatch": Entry(
        "Bytes do not hash to the root that was signed: damaged on the way or on a disk.",
        "Send what was signed. If it persists, look at the sender's disk.",
    ),
    "false_sum": Entry(
        "An auditor has added a round's contributions again, and what the coordinator signed as "
        "their sum is something else. The round ends unopened.",
        "The auditor's log and `reports/` in its state folder name the first wrong chunk and "
        "word, and hold the coordinator's signature. If the disk is sound, treat it as an "
        "incident.",
    ),
    "false_product": Entry(
        "Sites have stated products of their updates that do not add up to that of the sum that "
        "was opened, or one that is too large for a clipped update. The round's scores are "
        "void, and nobody earns by them; its sum and its model are not touched.",
        "Where the message names a site, its operator looks at its disk and memory. Where it "
        "names none, nobody can tell who it was; if rounds go on like this, leave sites out one "
        "after the other, or pay by `participation/1` ([contribution](contribution.md)).",
    ),
    "false_payout": Entry(
        "What the coordinator has committed to on the chain says that this site earned something "
        "else than the formula makes of its score, or less in all than before. Nothing is claimed.",
        "While the round is open, challenge it: if there is a file `proof-ROUND.json` in the state "
        "folder, run `veilsum settle challenge --proof` with it. Else show the coordinator's "
        "operator `offer.json` of that folder ([settlement](settlement.md)).",
    ),
    "false_commit": Entry(
        "What the coordinator has committed to on the chain for a round is not what this site "
        "sent, or leaves it out though it has a receipt. Nothing is claimed.",
        "While the round is open, run `veilsum settle challenge --proof` with the file that the "
        "message names. Where there is none, show the coordinator's operator the round's file in "
        "`dossiers/` of the state folder ([settlement](settlement.md#what-a-site-looks-at)).",
    ),
    "seats_disagree": Entry(
        "Two seats hold the same component and show different sums of it: one lies, or its disk "
        "is damaged. The message names the pair. Nothing opens. In a report of a dispute: a seat "
        "did not show what it must, or it cannot be told which is wrong.",
        "An auditor that the plan names finds out which of the two is wrong; without one the "
        "round ends here. Both seats' operators look at their disks.",
    ),
    "seat_lied": Entry(
        "The auditor has added one leaf again in which two seats differ: the sum that the named "
        "seat has signed is not that of what the sites have signed. The round goes on with the "
        "two other seats.",
        "The report in `disputes/` of the auditor's state folder holds both seats' signed "
        "statements. If the seat's disk and memory are sound, treat it as an incident.",
    ),
    "conflicting_contribution": Entry(
        "One site began two different contributions, or two different chunks at one place. The "
        "first stands and the attempt is recorded.",
        "Look for two processes with one identity, or a restored outbox. Stop the second one.",
    ),
    "peer_ledger_rolled_back": Entry(
        "A site's header was signed with a privacy ledger that is not longer than in an earlier "
        "header of it: an older copy was put back there. The coordinator refuses it; under "
        "`shares` seats leave it out; openers, certifiers and auditors that have seen the earlier "
        "one sign and open nothing with it.",
        "That site's operator stops it and puts its newest ledger back. `ledger_rolled_back` says "
        "what to do where that one is lost.",
    ),
    "release_mismatch": Entry(
        "A member and the coordinator run releases with more than one minor release between them, "
        "or one of them does not say which it runs. The member's process ends; nothing is spent.",
        "Upgrade in steps of one minor release: see "
        "[operations](operations.md#upgrades-and-versions).",
    ),
    "endpoints_differ": Entry(
        "Two endpoints of the chain have different chain ids, first blocks or final blocks, or "
        "answer differently about what is final. One of them is wrong, or lies. The message names "
        "both, and what differs. Nothing is counted as paid or committed on the word of either.",
        "Ask a third node that you trust, or one of your own. Then replace `settlement.rpc` or "
        "`settlement.second_rpc`, whichever is wrong.",
    ),
    "illegal_event": Entry(
        "Too early or too late for the round's phase. Nothing has changed.",
        "Nothing is to be done: a site waits for the next round by itself. If it happens in every "
        "round, compare the deadlines with the time that a site needs.",
    ),
    "privacy": Entry(
        "A promise to a patient would break. The guarantee comes first.",
        "Change the plan or the policy, not the check. The narrower code says which.",
    ),
    "budget_exhausted": Entry(
        "The round would pass the site's limit. The site takes no part.",
        "A higher `policy.epsilon_for_life` is a decision about patients, not about software. "
        "`veilsum budget forecast` says what still fits; a plan with more noise costs less.",
    ),
    "cohort_too_small": Entry(
        "Fewer organisations than the plan or the site's policy asks for. The round ends without "
        "a sum.",
        "Find out why sites were missing: their logs say what they declined. A smaller cohort "
        "protects each site less, so do not lower the minimum for one round.",
    ),
    "policy_refusal": Entry(
        "The site's own policy does not accept what the plan asks for. The message names the line "
        "of `site.toml` that refused, and what the plan says.",
        "The operator changes the plan, or the site its policy. Neither can do it for the other.",
    ),
    "unsafe_parameters": Entry(
        "Numbers that would not keep what they promise: a sum that could wrap, too much noise for "
        "exact sums, a model that mixes records.",
        "The message has the numbers, and which of them is too large or too small. Change the "
        "plan or the site's class.",
    ),
    "accounting_mismatch": Entry(
        "Two accountants disagree about what an event costs, or the second one has no answer; an "
        "epsilon that only one of them stands for is not reported. The message holds both numbers.",
        "Compare the versions in the evidence with those installed. If they are the same, ask the "
        "developers.",
    ),
    "update_out_of_range": Entry(
        "The update has NaN or infinity, or leaves the grid. Nothing has left the site.",
        "Repair the training: a smaller step, or data without gaps. Or plan more value bits.",
    ),
    "norm_over_bound": Entry(
        "The seats found, without opening it, that an update's norm is over the plan's bound; it "
        "is left out of the sum, and the round goes on.",
        "The site's operator looks at its training and clipping. The next round takes it again if "
        "the norm is within the bound.",
    ),
    "norm_not_asked": Entry(
        "Not all three seats said that they had taken this contribution, so its norm was not held "
        "against the plan's bound; it is left out of the sum, and the round goes on.",
        "The verdicts of the seats say which of them refused it, and why; if none did, one seat "
        "left it out without a word, and members ask the three seats' operators. The site has "
        "nothing to mend.",
    ),
    "opening_refused": Entry(
        "An opener is asked to open a second cohort of one round, or without what its policy "
        "needs, or openers made different models; or an auditor is shown a second sum of one "
        "round; or seats are asked about a second list of candidates, or more often than three "
        "times.",
        "Treat it as an incident: somebody may be cheating. A seat that says that it sits a round "
        "out was started in the middle of it: nothing is to be done.",
    ),
    "sum_off_grid": Entry(
        "The sum is not one of grid values, or longer than clipped updates can be. Some "
        "contribution was made under another key or not clipped; a sum cannot say whose. The "
        "round ends without a model.",
        "Ask each site which release and which class it runs. If it comes again, leave sites out "
        "in turn: the rounds without the one that does it succeed.",
    ),
    "unavailable": Entry(
        "Not now; the same request may succeed later.",
        "Wait. If it lasts, look at the narrower code.",
    ),
    "not_yet": Entry(
        "What was asked for does not exist yet: a key, a plan, a chunk.",
        "Wait; it is asked for again by itself. If it lasts, look at whoever must make it: the "
        "coordinator's log names the phase of the round.",
    ),
    "awaiting_approval": Entry(
        "This site's policy lets no plan through that nobody here has approved, and nobody has.",
        "Whoever answers for the data reads the plan and approves it with `veilsum participant "
        "approve-plan`. Or let it pass: the round goes on without this site.",
    ),
    "outside_hours": Entry(
        "This site's policy does not contribute at this hour.",
        "Nothing is to be done: it goes on by itself at the hour that the message names. To "
        "change it, edit `policy.hours` in `site.toml`.",
    ),
    "too_many_requests": Entry(
        "One address asks to join more often than a member would: once a second, and five times "
        "at once; or all addresses together do.",
        "Nothing is to be done: the request is repeated more slowly. If many members join behind "
        "one address, let them join one after another.",
    ),
    "address_taken": Entry(
        "Another process listens where this one is to, or the address is not one of this "
        "machine, or not yet.",
        "Nothing is to be done where the one before is still ending: a service is started "
        "again. Else stop what listens there, or choose another address.",
    ),
    "folder_held": Entry(
        "Another process runs from this folder; two would undo each other's work.",
        "Nothing is to be done where the one before is still ending: a service is started "
        "again. Else stop the other process, or give this one a folder of its own.",
    ),
    "peer_unreachable": Entry(
        "The other side does not answer or refuses the connection. The message has the reason "
        "that a TLS handshake found: expired, another authority, another name, a firewall.",
        "Run `veilsum doctor` on this machine: it names what is in the way. Then look at the "
        "address, at the proxy, and at whether the other side runs.",
    ),
    "store_unavailable": Entry(
        "Database or disk failed: usually full, locked by another process, or not reached. "
        "Nothing half-written stays; where the message says that nobody knows, saying it again "
        "saves it once.",
        "Make room, or start the database. The process goes on by itself.",
    ),
    "fold_interrupted": Entry(
        "The coordinator was told to stop while it added up, or a process that adds died, most "
        "often for want of memory. What is added is kept and the fold goes on.",
        "Nothing is to be done once. If it lasts, give the machine memory.",
    ),
    "distrusted_sum": Entry(
        "The coordinator added a chunk again that a cluster had added, and got another sum. All "
        "that the cluster added to the round is thrown away, and this machine adds alone until "
        "the coordinator starts again.",
        "Before you start it again, find the machine that did it, or who got into the cluster. "
        "The log names the chunk.",
    ),
    "standby": Entry(
        "This coordinator stands by for another one.",
        "List every coordinator of the federation in `coordinator.alternatives`. If all of them "
        "stand by for longer than `replica.lease_seconds`, look at their database.",
    ),
    "lease_lost": Entry(
        "This coordinator was stopped, or cut off from its database, for longer than its lease. "
        "It has saved nothing since, and begins no answer; it drops what it had in memory and "
        "stands by.",
        "Nothing is to be done once. If it happens often, raise `replica.lease_seconds`, or look "
        "at the network between it and the database.",
    ),
    "chain_unavailable": Entry(
        "The chain's endpoint does not answer, or a transaction is not final. Rounds go on "
        "without it.",
        "Look at `settlement.rpc` and at the node behind it. What is owed is claimed later.",
    ),
    "fee_above_ceiling": Entry(
        "The chain's base fee and tip are above `settlement.fee_ceiling_gwei`. What was sent stays "
        "as it is, nothing is sent at a higher fee, and it is tried again by itself.",
        "Wait until fees fall. If the window of a round or of a claim would end before, raise "
        "`settlement.fee_ceiling_gwei` and start again.",
    ),
    "usage": Entry(
        "The command line cannot be understood: a command, an option or a value that there is "
        "not, or one that is missing.",
        "The message names it. `--help` after the same words lists what there is.",
        "who typed the command",
    ),
    "aborted": Entry(
        "The command asked a question, and had no answer. Nothing was done.",
        "Run it again on a terminal. Where nobody can be asked, give the answer by the option "
        "that the question names.",
        "who typed the command",
    ),
    "interrupted": Entry(
        "The command was stopped from the keyboard. What it had half made is undone, or is taken "
        "up again.",
        "Run it again when you like. A service goes on where it was.",
        "who stopped it",
    ),
}
"""By code. `tests/test_catalogue.py` holds it against the classes and against docs/errors.md."""

STATUSES: Final[tuple[Status, ...]] = (
    Status(0, "Done; or `--help`."),
    Status(
        1, "`internal`, `unexpected`, `aborted`; or what the command was to find out does not hold."
    ),
    Status(2, "A configuration error, or a command line that cannot be understood (`usage`)."),
    Status(3, "A protocol error."),
    Status(4, "A privacy error."),
    Status(5, "Something was unavailable and the command does not wait for it."),
    Status(
        64, "A command line that cannot be understood, of a command whose 2 means something else."
    ),
    Status(
        70,
        "`invariant_broken`: the coordinator stopped itself. Not to be started again before "
        "somebody has looked; under systemd, `RestartPreventExitStatus=70`. Of a command whose 1 "
        "means something else: `internal`.",
    ),
    Status(130, "`interrupted`: stopped from the keyboard."),
    Status(
        137,
        "Killed (SIGKILL; −9 to a program that waits for it): by the kernel for memory, by an "
        "operator, or by a failpoint. Start it again.",
    ),
    Status(143, "Ended by SIGTERM in the middle of what it did, and put away what it had."),
)
"""What a status means where a command has no verdict of its own under that number."""

_UNKNOWN: Final = Entry("", "See docs/errors.md.", "the operator of this process")


def entry_of(code: str) -> Entry:
    """Return what is known of a code; of one that is not in the catalogue, where to look."""
    return ENTRIES.get(code, _UNKNOWN)
