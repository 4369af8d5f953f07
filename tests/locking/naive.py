"""The naive twin of a lock table: a list of requests, looked through from the beginning each time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Asked:
    """A session's request for a lock, from the request until the release."""

    lock: str
    session: int
    shared: bool
    until: int | None
    is_granted: bool = False


class NaiveTable:
    """Requests, in order. One is granted if there is none before it for its lock, or if all share it and are granted."""

    def __init__(self, lease: int) -> None:
        self.lease, self.asked, self.ends = lease, list[Asked](), dict[int, int]()

    def wants(self, lock: str, session: int) -> Asked | None:
        return next((one for one in self.asked if (one.lock, one.session) == (lock, session)), None)

    def is_grantable(self, asked: Asked) -> bool:
        before = [one for one in self.asked[: self.asked.index(asked)] if one.lock == asked.lock]
        return not before or all(one.is_granted and one.shared and asked.shared for one in before)

    def grant(self) -> None:
        for asked in self.asked:
            asked.is_granted = asked.is_granted or self.is_grantable(asked)

    def request(self, lock: str, session: int, shared: bool, patience: int | None, now: int) -> bool:
        """Returns whether the request is accepted."""
        if session not in self.ends or self.wants(lock, session):
            return False
        asked = Asked(lock, session, shared, None if patience is None else now + patience)
        self.asked.append(asked)
        if patience == 0 and not self.is_grantable(asked):
            self.asked.remove(asked)
            return False
        self.grant()
        return True

    def release(self, lock: str, session: int) -> bool:
        """Returns whether the session held the lock."""
        asked = self.wants(lock, session)
        if session not in self.ends or asked is None or not asked.is_granted:
            return False
        self.asked.remove(asked)
        self.grant()
        return True

    def close(self, *sessions: int) -> None:
        self.ends = {session: end for session, end in self.ends.items() if session not in sessions}
        self.asked = [one for one in self.asked if one.session not in sessions]
        self.grant()

    def pass_time(self, now: int) -> None:
        """Leases end first, then tickets give up."""
        self.close(*(session for session, end in self.ends.items() if end <= now))
        self.asked = [one for one in self.asked if one.is_granted or one.until is None or one.until > now]
        self.grant()

    def holders(self, lock: str) -> set[int]:
        return {one.session for one in self.asked if one.lock == lock and one.is_granted}

    def waiting(self, lock: str) -> list[int]:
        return [one.session for one in self.asked if one.lock == lock and not one.is_granted]
