"""The cohort key of a round, at an opener: make it, check it, vouch for it, unseal it.

The secret travels from its maker to each opener, the maker included, only sealed
to that opener's own key; it is unsealed when it is needed and kept nowhere.
"""

from collections.abc import Sequence

from privacy import canonical
from privacy.documents import Signed, check_agreement, check_signer
from privacy.errors import MalformedMessage, WrongContext
from privacy.identifiers import Digest, sha256_hex
from privacy.plan import Plan
from privacy.records import KeyRecord, KeySpecification, SealedSecret, digest_of
from privacy.roster import Roster
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.sealing import HpkeKeyPair, Sealed, open_sealed, seal, seal_context
from privacy.signing import Purpose


def parameters_of(specification: KeySpecification) -> CkksParameters:
    """Return the parameters a key is made for.

    Raises:
        UnsafeParameters: they would not keep what they promise.
    """
    return CkksParameters(
        degree=specification.degree,
        modulus=int(specification.modulus),
        scale_log2=specification.scale_log2,
        value_bits=specification.value_bits,
        cohort_max=specification.cohort_max,
        values_per_half=specification.values_per_half,
        ciphertexts_per_chunk=specification.ciphertexts_per_chunk,
    )


def seal_key(
    number: int,
    maker: str,
    specification: KeySpecification,
    roster: Roster,
    public_key: bytes,
    secret: bytes,
) -> tuple[KeyRecord, tuple[bytes, ...]]:
    """Return the record of a new key, and its secret sealed to each opener in order."""
    key = sha256_hex(public_key)
    sealed = tuple(
        seal(roster.member(opener).sealing_key, _info(roster, number, key, opener), secret)
        for opener in specification.openers
    )
    secrets = tuple(
        SealedSecret(opener, sha256_hex(each))
        for opener, each in zip(specification.openers, sealed, strict=True)
    )
    record = KeyRecord(
        federation=roster.federation,
        round=number,
        specification=specification,
        maker=maker,
        public_key=key,
        secrets=secrets,
    )
    return record, sealed


def check_record(signed: Signed, number: int, public_key: bytes, roster: Roster) -> KeyRecord:
    """Return the key record of a round, if its maker has signed it and the key is its own.

    Raises:
        InvalidSignature, WrongContext, MalformedMessage: it is not.
    """
    record = canonical.decode(signed.body, KeyRecord)
    if (record.federation, record.round) != (roster.federation, number):
        raise WrongContext(f"round {number}: a key record of another round")
    if record.specification.roster != roster.digest():
        raise WrongContext(f"round {number}: a key record under another roster")
    if record.maker not in record.specification.openers:
        raise WrongContext(f"round {number}: {record.maker} makes a key and is no opener")
    maker = roster.member(record.maker)
    check_signer(signed, Purpose.KEY_RECORD, record.maker, maker.signing_key)
    if record.public_key != sha256_hex(public_key):
        raise MalformedMessage(f"round {number}: not the public key that the record names")
    return record


def check_vouched(signed: Signed, plan: Plan, public_key: bytes, roster: Roster) -> KeyRecord:
    """Return the record of a key under which a site may encrypt.

    Raises:
        InvalidSignature: not more than half of the openers vouch for it.
        WrongContext: it is not the record the plan names, or not made for the plan.
    """
    record = check_record(signed, plan.terms.round, public_key, roster)
    openers = plan.terms.openers
    check_agreement(signed, Purpose.KEY_RECORD, openers, len(openers) // 2 + 1, roster)
    check_planned(record, plan)
    return record


def check_planned(record: KeyRecord, plan: Plan) -> None:
    """Return if a record is the one that a plan names, and made for it.

    Raises:
        WrongContext: it is not.
    """
    terms, specification = plan.terms, record.specification
    if digest_of(record) != terms.key_record or specification.openers != terms.openers:
        raise WrongContext(f"round {terms.round}: the plan names another key record")
    if parameters_of(specification) != plan.parameters():
        raise WrongContext(f"round {terms.round}: the key was made for other parameters")


def unseal(
    record: KeyRecord, sealed: bytes, opener: str, pair: HpkeKeyPair, roster: Roster
) -> bytes:
    """Return the round's secret, unsealed with the opener's own key.

    Raises:
        WrongContext: the record seals nothing to this opener.
        MalformedMessage: the sealed bytes are not those of the record, or do not open.
    """
    named = [each.sealed for each in record.secrets if each.opener == opener]
    if not named:
        raise WrongContext(f"round {record.round}: no secret is sealed to {opener}")
    if named != [sha256_hex(sealed)]:
        raise MalformedMessage(f"round {record.round}: not the sealed secret the record names")
    return open_sealed(pair, _info(roster, record.round, record.public_key, opener), sealed)


def check_recipients(record: KeyRecord) -> None:
    """Return if the secret went to the openers of the specification, and to nobody else.

    Raises:
        WrongContext: it did not.
    """
    named: Sequence[str] = [each.opener for each in record.secrets]
    if named != list(record.specification.openers):
        raise WrongContext(f"round {record.round}: the secret is not sealed to the openers alone")


def _info(roster: Roster, number: int, key: Digest, opener: str) -> bytes:
    fields = (roster.federation, str(number), key, opener)
    return seal_context(Sealed.COHORT_KEY, *(field.encode() for field in fields))
