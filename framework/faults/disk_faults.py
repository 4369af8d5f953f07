"""Disk faults: a storage that fails as a fault's actions demand."""

from __future__ import annotations

from collections.abc import Sequence

from framework.core.durable import Change, Stored
from framework.core.storage import Storage, StorageDamaged, StorageFailure
from framework.faults.actions import DiskTrouble


class FaultyStorage:
    """A storage on a faulty disk: the next fsync fails (that one alone), there is no room, or a record is damaged."""

    def __init__(self, storage: Storage, trouble: DiskTrouble) -> None:
        self.storage, self.trouble = storage, trouble
        self.typed = storage.typed

    def load(self) -> Stored:
        if self.trouble == "damage":
            raise StorageDamaged("storage damaged: an acknowledged record does not fit its checksum", asked=True)
        return self.storage.load()

    def commit(self, changes: Sequence[Change]) -> None:
        if self.trouble == "failed_fsync":
            self.trouble = "none"
            raise StorageFailure("fsync failed: the commit may be lost, and is not tried again", asked=True)
        if self.trouble == "full":
            raise StorageFailure("no space left on the disk", asked=True)
        self.storage.commit(changes)
