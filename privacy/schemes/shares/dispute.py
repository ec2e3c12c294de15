"""Who is wrong where the two holders of one component state different sums of it.

An auditor that runs no seat knows, signed, the root of each holder's sum and the root of this
component of each site in the cohort. It finds the first leaf in which the holders differ
(`evidence`); each of them shows its leaf of the sum and the leaf of every site, with paths to
the signed roots. The auditor adds the leaves of the sites modulo 2^64: a holder whose leaf is
another one has signed a false sum.

An honest seat cannot be named. What it has added, it has checked against the roots that the
sites have signed, so it can show all it is asked for, and its leaf is their sum. Another's
leaf of a site either leads to the root which that site has signed, and then has the same
words, or is refused. All of it stands on SHA-256 having no collisions.

What a holder shows must reach the auditor unchanged and under its name, over a connection of
its own; nothing here is signed by it but its root.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from privacy.errors import MalformedMessage, NotYet, RootMismatch

from .evidence import ChunkRoots, LeafHashes, Place, ShownLeaf, check_shown
from .layout import COMPONENTS, SEATS, WORDS_PER_LEAF, SharesParameters, Words, held_by

_ROOT_BYTES = 32


def holders_of(component: int) -> tuple[int, int]:
    """Return the two seats that hold one component, the lower first.

    Raises:
        MalformedMessage: there is no such component.
    """
    if not 0 <= component < COMPONENTS:
        raise MalformedMessage(f"there is no component {component} among {COMPONENTS}")
    first, second = (seat for seat in range(SEATS) if component in held_by(seat))
    return first, second


@dataclass(frozen=True, slots=True)
class Dispute:
    """Two different sums of one component; all of it signed, and checked by the auditor.

    Attributes:
        parameters, dimension: of the plan.
        component: which one.
        sums: the root over all chunks that each of its two holders has signed, for one cohort.
        sites: by site of that cohort, the root of this component that the site has signed.

    Raises:
        MalformedMessage: other seats than the holders, the same sum twice, or no roots.
        UnsafeParameters: a cohort that the parameters do not hold for.
    """

    parameters: SharesParameters
    dimension: int
    component: int
    sums: Mapping[int, bytes]
    sites: Mapping[str, bytes]

    def __post_init__(self) -> None:
        if tuple(sorted(self.sums)) != holders_of(self.component):
            raise MalformedMessage(
                f"component {self.component} is held by seats {holders_of(self.component)}, "
                f"sums are those of {tuple(sorted(self.sums))}"
            )
        if len(set(self.sums.values())) == 1:
            raise MalformedMessage(f"both holders state the same sum of component {self.component}")
        if {len(root) for root in (*self.sums.values(), *self.sites.values())} != {_ROOT_BYTES}:
            raise MalformedMessage(f"a root has {_ROOT_BYTES} bytes")
        self.parameters.require_cohort(len(self.sites))

    def check_roots(self, seat: int, roots: ChunkRoots) -> None:
        """Refuse roots of chunks that are not those of the sum that a holder has signed.

        Raises:
            RootMismatch: names the seat; like a seat that shows none, it withholds its evidence.
        """
        roots.require(self._chunks, self.sums[seat], f"seat {seat}")

    def check_hashes(self, seat: int, chunk: int, roots: ChunkRoots, hashes: LeafHashes) -> None:
        """Refuse hashes of leaves that are not those of one chunk of a holder's sum.

        Args:
            roots: what the same holder showed, checked.

        Raises:
            RootMismatch: as for `check_roots`.
        """
        hashes.require(self._leaves(chunk), roots.roots[chunk], f"seat {seat}")

    def place(self, chunk: int, leaf: int) -> Place:
        """Return where a leaf stands.

        Raises:
            MalformedMessage: there is no such chunk or leaf.
        """
        return Place(chunk, self._chunks, leaf, self._leaves(chunk))

    @property
    def _chunks(self) -> int:
        return self.parameters.geometry(self.dimension).chunks

    def _leaves(self, chunk: int) -> int:
        geometry = self.parameters.geometry(self.dimension)
        return self.parameters.leaves_in(geometry.values_in(chunk))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one holder shows of the leaf in dispute: that of its sum, and that of each site."""

    total: ShownLeaf | None
    sites: Mapping[str, ShownLeaf] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ruling:
    """Who is wrong about one leaf; names one seat at least, and no honest one that answers.

    Attributes:
        liars: seats that have signed a sum that is not that of the sites.
        withheld: seats that have not shown all they must, or something else in its place.
    """

    component: int
    place: Place
    liars: tuple[int, ...]
    withheld: tuple[int, ...]

    @property
    def named(self) -> tuple[int, ...]:
        """All of them, in order."""
        return tuple(sorted({*self.liars, *self.withheld}))


def judge(dispute: Dispute, place: Place, shown: Mapping[int, Evidence | None]) -> Ruling:
    """Return who is wrong about the first leaf in which the two holders differ.

    Args:
        place: found from lists that `check_roots` and `check_hashes` have passed.
        shown: by holder, its evidence; None if it refuses.

    Raises:
        NotYet: no holder has shown its sum, or none the leaf of some site.
        MalformedMessage: both sums are right here, so this is not where they differ; or
            a place that is not one of the dispute.
    """
    if place != dispute.place(place.chunk, place.leaf):
        raise MalformedMessage(f"{place} is not a place of this dispute")
    seats = holders_of(dispute.component)
    checked = [_checked(dispute, place, seat, shown.get(seat)) for seat in seats]
    expected = _sum_of_sites(dispute, checked)
    return _ruling(dispute, place, dict(zip(seats, checked, strict=True)), expected)


@dataclass(frozen=True, slots=True)
class _Checked:
    # What of a holder's evidence leads to signed roots.
    total: bytes | None
    sites: Mapping[str, bytes]
    whole: bool


def _checked(dispute: Dispute, place: Place, seat: int, evidence: Evidence | None) -> _Checked:
    if evidence is None:
        return _Checked(None, {}, whole=False)
    own = _led(evidence.total, place, dispute.sums[seat], f"seat {seat}")
    led = {
        site: _led(evidence.sites.get(site), place, root, f"seat {seat}")
        for site, root in dispute.sites.items()
    }
    sites = {site: words for site, words in led.items() if words is not None}
    return _Checked(own, sites, own is not None and len(sites) == len(led))


def _led(shown: ShownLeaf | None, place: Place, signed: bytes, whose: str) -> bytes | None:
    if shown is None:
        return None
    try:
        check_shown(shown, place, signed, whose)
    except RootMismatch:
        return None  # as good as nothing, whoever is right
    return shown.words


def _sum_of_sites(dispute: Dispute, checked: Iterable[_Checked]) -> bytes:
    # What leads to a site's signed root is that site's, whoever shows it.
    found: dict[str, bytes] = {}
    for each in checked:
        found.update(each.sites)
    total: Words = np.zeros(WORDS_PER_LEAF, np.uint64)
    for site in dispute.sites:
        if site not in found:
            raise NotYet(f"no holder of component {dispute.component} has shown the leaf of {site}")
        total += np.frombuffer(found[site], "<u8")
    return total.astype("<u8", copy=False).tobytes()


def _ruling(
    dispute: Dispute, place: Place, checked: Mapping[int, _Checked], expected: bytes
) -> Ruling:
    totals = {seat: each.total for seat, each in checked.items() if each.total is not None}
    if not totals:
        raise NotYet(f"no holder of component {dispute.component} has shown its sum")
    liars = tuple(seat for seat, words in totals.items() if words != expected)
    withheld = tuple(seat for seat, each in checked.items() if not each.whole)
    if not (liars or withheld):
        raise MalformedMessage(
            f"seats {tuple(checked)} are both right about leaf {place.leaf} of chunk "
            f"{place.chunk}; they differ elsewhere"
        )
    return Ruling(dispute.component, place, liars, withheld)
