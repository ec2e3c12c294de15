"""Where each thing lies in the object store."""


def of_round(number: int) -> str:
    """Return the folder of all that lies there of a round."""
    return f"rounds/{number:06d}"


def contribution(number: int, participant: str) -> str:
    """Return the folder of one participant's contribution to a round."""
    return f"rounds/{number:06d}/contributions/{participant}"


def contributions(number: int) -> str:
    """Return the folder of all contributions to a round."""
    return f"rounds/{number:06d}/contributions"


def contribution_chunk(number: int, participant: str, piece: int, chunk: int) -> str:
    """Return the name of one chunk of a contribution."""
    return f"{contribution(number, participant)}/{piece}/{chunk:08d}"


def sums(number: int) -> str:
    """Return the folder of a round's protected sum."""
    return f"rounds/{number:06d}/sum"


def sealed_mask(number: int, participant: str, opener: str) -> str:
    """Return the name of the secret of a contribution's mask, sealed to one opener."""
    return f"{contribution(number, participant)}/masks/{opener}"


def sealed_part(number: int, participant: str, seat: str) -> str:
    """Return the name of the secrets of a contribution's components, sealed to one seat."""
    return f"{contribution(number, participant)}/parts/{seat}"


def is_secret_of(number: int, name: str) -> bool:
    """Return whether a name is that of a secret that came with a contribution to a round."""
    segments = name.removeprefix(f"{contributions(number)}/").split("/")
    return name.startswith(f"{contributions(number)}/") and segments[1] in ("masks", "parts")


def sum_chunk(number: int, chunk: int) -> str:
    """Return the name of one chunk of a round's protected sum."""
    return f"{sums(number)}/{chunk:08d}"


def seat_sums(number: int) -> str:
    """Return the folder of what seats sealed of their sums in a round."""
    return f"rounds/{number:06d}/seats"


def seat_sum(number: int, statement: str) -> str:
    """Return the folder of the sealed sums that one seat's statement names."""
    return f"{seat_sums(number)}/{statement}"


def seat_sum_chunk(number: int, statement: str, position: int, chunk: int) -> str:
    """Return the name of one sealed chunk of the first or second sum of a statement."""
    return f"{seat_sum(number, statement)}/{position}/{chunk:08d}"


def keys(number: int) -> str:
    """Return the folder of the keys made for a round, and of their sealed secrets."""
    return f"rounds/{number:06d}/key"


def public_key(number: int, record: str) -> str:
    """Return the name of the public key that a key record of a round names."""
    return f"{keys(number)}/{record}/public"


def sealed_secret(number: int, record: str, opener: str) -> str:
    """Return the name of the secret sealed to one opener."""
    return f"{keys(number)}/{record}/sealed/{opener}"


def models(number: int) -> str:
    """Return the folder of every sealed model that was sent for a round."""
    return f"rounds/{number:06d}/model"


def model(number: int, envelope: str) -> str:
    """Return the folder of the sealed model that an envelope names."""
    return f"{models(number)}/{envelope}"


def model_chunk(number: int, envelope: str, chunk: int) -> str:
    """Return the name of one chunk of a sealed model."""
    return f"{model(number, envelope)}/{chunk:08d}"
