"""A member's own file as joining leaves it: filled in where it is known, the rest commented.

Nobody's policy is written here: what a site accepts is for its own people to say. The lines that
are missing are named, one by one, when a process is started with them still missing.
"""

import json
from pathlib import Path
from typing import Final

from privacy.roster import Role
from veilsum.files import write_new

from .enrol import AUTHORITY, CERTIFICATE, Enrolled

SITE: Final = "site.toml"
AUDITOR: Final = "auditor.toml"
AGGREGATOR: Final = "aggregator.toml"
OPERATOR: Final = "operator.toml"

_NAMES: Final = {Role.AUDITOR: AUDITOR, Role.AGGREGATOR: AGGREGATOR, Role.OPERATOR: OPERATOR}

_WHERE: Final = """\
# {participant}, of {organisation}, in the federation {federation}.
# Written once, by joining; it is yours from now on, and no command{but_confirm} changes it.
# Every setting stands in docs/configuration.md.
federation = {federation_text}
participant = {participant_text}
state = {state}

[coordinator]
address = {address}
{others}authority = {authority}
certificate = {certificate}
joining = {joining}        # where a certificate that has ended is renewed
{proxy}"""

_ROSTER: Final = """\
[policy]
# `veilsum {command} confirm` writes the next line, once you have compared the members by phone.
# roster = ""
"""

_SITE: Final = """\

# ---- for whoever knows the data: take away the `#`, and say what is true of it ----------------

[dataset]
# id = "ward-7"                   # the name of this data; never given to other data
# site = "hospital:Site"          # package.module:Class that brings data and model
# records = 12000                 # how many there are

{roster}
# The rest of the policy has the last word: a plan that asks for more is refused, whoever signed it.
# openers = ["site-a", "site-b", "site-c"]   # who may open sums; ask each by phone
# first_model = "zeros"           # text of the first model, as the federation has agreed
# schemes = ["ckks/1"]            # or "shares/1"
# smallest_cohort = 3             # organisations whose updates are added up, at least
# epsilon_per_round = "0.5"
# epsilon_for_life = "3"
# delta = "0.000001"              # below one over the number of records
# unit = "patient"                # what one person is in the data: "patient" or "record"
# neighbouring = "add_remove"
# releases = ["participation"]    # what may be known of this site beside the sum
"""

_OUTSIDER: Final = """\

{roster}# schemes = ["{scheme}"]{comment}
# smallest_cohort = 3             # organisations whose updates are added up, at least
"""


def write_skeleton(path: Path, enrolled: Enrolled, joining: str, proxy: str | None = None) -> bool:
    """Write a member's file, unless there is one; return whether there was none.

    Args:
        joining: host:port where those are answered who have no certificate.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    return write_new(path, text_of(enrolled, joining, proxy).encode())


def name_of(role: Role) -> str:
    """Return what a member's file is called."""
    return _NAMES.get(role, SITE)


def command_of(role: Role) -> str:
    """Return the word after `veilsum` by which a member of this role is run."""
    return {Role.AUDITOR: "auditor", Role.AGGREGATOR: "aggregator"}.get(role, "participant")


def text_of(enrolled: Enrolled, joining: str, proxy: str | None = None) -> str:
    """Return the text of a member's file."""
    member, state = enrolled.member, enrolled.state.absolute()
    role = member.roles[0]
    address, *others = enrolled.addresses or (joining,)
    alternatives = f"alternatives = [{', '.join(map(_text, others))}]\n" if others else ""
    where = _WHERE.format(
        but_confirm="" if role is Role.OPERATOR else " but `confirm`",
        participant=member.participant,
        organisation=_text(member.organisation),
        federation=enrolled.federation,
        federation_text=_text(enrolled.federation),
        participant_text=_text(member.participant),
        state=_text(state),
        address=_text(address),
        others=alternatives,
        authority=_text(state / AUTHORITY),
        certificate=_text(state / CERTIFICATE),
        joining=_text(joining),
        proxy=f"proxy = {_text(proxy)}\n" if proxy else "",
    )
    return where + _rest(role)


def _rest(role: Role) -> str:
    if role is Role.OPERATOR:
        return ""  # it trains nothing and opens nothing: there is nothing to accept
    roster = _ROSTER.format(command=command_of(role))
    if role is Role.AUDITOR:
        return _OUTSIDER.format(
            roster=roster, scheme="ckks/1", comment='            # or "shares/1"'
        )
    if role is Role.AGGREGATOR:
        return _OUTSIDER.format(roster=roster, scheme="shares/1", comment="")
    return _SITE.format(roster=roster)


def _text(value: object) -> str:
    """Return a string as TOML has it."""
    # JSON's form is TOML's, but for one control character that JSON leaves as it is.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
