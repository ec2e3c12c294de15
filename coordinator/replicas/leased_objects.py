"""The object store of a coordinator that leads only as long as its lease lasts."""

from dataclasses import dataclass

from coordinator.ports import ObjectStore

from .lease import Lease


@dataclass(frozen=True)
class LeasedObjects:
    """An `ObjectStore` in which a process that may not lead any more keeps and deletes nothing.

    An object store cannot look at a lease, so a process that is stopped between the look and
    the act still acts when it goes on. So nothing that is needed is ever deleted: what is put
    replaces nothing, what is mended is replaced by the only bytes that fit its digest, and what
    is deleted is of a round that is over, or of an upload that counts nowhere.
    """

    objects: ObjectStore
    lease: Lease

    @property
    def address(self) -> str:
        """Return where it is."""
        return self.objects.address

    def put(self, name: str, data: bytes) -> None:
        """Keep `data` under `name`, as the leader.

        Raises:
            LeaseLost: this process may not lead any more.
        """
        self.lease.require()
        self.objects.put(name, data)

    def mend(self, name: str, data: bytes) -> None:
        """Keep `data` in the place of what is damaged, as the leader.

        Raises:
            LeaseLost: this process may not lead any more.
        """
        self.lease.require()
        self.objects.mend(name, data)

    def get(self, name: str) -> bytes:
        """Return the bytes kept under `name`."""
        return self.objects.get(name)

    def exists(self, name: str) -> bool:
        """Return whether bytes are kept under `name`."""
        return self.objects.exists(name)

    def lengths(self, prefix: str) -> dict[str, int]:
        """Return how many bytes are kept under each name below `prefix`."""
        return self.objects.lengths(prefix)

    def names(self, prefix: str = "") -> list[str]:
        """Return the names below `prefix`, or all of them, sorted."""
        return self.objects.names(prefix)

    def delete_prefix(self, prefix: str) -> None:
        """Forget all that is kept below `prefix`, as the leader.

        Raises:
            LeaseLost: this process may not lead any more.
        """
        self.lease.require()
        self.objects.delete_prefix(prefix)

    def clear_parts(self, prefix: str = "") -> None:
        """Remove what was left half written below `prefix`, as the leader.

        Raises:
            LeaseLost: this process may not lead any more.
        """
        self.lease.require()
        self.objects.clear_parts(prefix)
