"""What this member has asked to be, as its own disk has it: nobody else says what it signs."""

from pathlib import Path
from typing import Final

from privacy import canonical
from privacy.enrolment import Asked
from privacy.errors import ConfigError, MalformedMessage, WrongContext
from privacy.roster import Member
from veilsum.files import read_at_most, write_durably

ENTRY: Final = "entry.json"
ASKED: Final = "asked.json"

_LONGEST: Final = 64 << 10


def read_entry(state: Path) -> Member | None:
    """Return the entry that this member has made for itself, or None before it has made one.

    Raises:
        ConfigError: the file is none any more.
    """
    if not (state / ENTRY).exists():
        return None
    try:
        return canonical.decode(read_at_most(state / ENTRY, _LONGEST), Member)
    except MalformedMessage as error:
        raise ConfigError(f"{state / ENTRY}: {error}; put it back, or take a new folder") from None


def require_entry(state: Path) -> Member:
    """Return the entry that this member has made for itself.

    Raises:
        ConfigError: there is none.
    """
    found = read_entry(state)
    if found is None:
        raise ConfigError(
            f"{state / ENTRY} is missing: a roster is signed only if it has this member as it "
            "wrote itself there; put the file back"
        )
    return found


def check_entry(theirs: Member, mine: Member) -> None:
    """Return if a founding roster has this member as it has asked to be, in all.

    Raises:
        WrongContext: not so; the operator must close another version 0.
    """
    if theirs == mine:
        return
    if (theirs.signing_key, theirs.sealing_key) != (mine.signing_key, mine.sealing_key):
        what = "keys"
    elif theirs.payout_address != mine.payout_address:
        what = f"payout address {theirs.payout_address or 'none'}"
    elif theirs.organisation != mine.organisation:
        what = f"organisation {theirs.organisation}"
    else:
        what = f"roles {', '.join(theirs.roles)}"
    raise WrongContext(
        f"the roster has {mine.participant} with other {what} than this site's own {ENTRY}; sign "
        "nothing, and call the operator and the other members"
    )


def keep_asked(state: Path, asked: Asked) -> None:
    """Keep what was approved: its words are read to trainers too, when they admit this member.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    write_durably(state / ASKED, asked.body())


def own_words(state: Path) -> str:
    """Return the words of what this member has asked, or "" if it was not enrolled by a link; slow.

    Raises:
        ConfigError: the file is none any more.
    """
    if not (state / ASKED).exists():
        return ""
    try:
        return canonical.decode(read_at_most(state / ASKED, _LONGEST), Asked).words()
    except MalformedMessage as error:
        raise ConfigError(f"{state / ASKED}: {error}; join again with the same link") from None
