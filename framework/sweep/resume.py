"""What a sweep has still to do: the points without a row, and those that are to run again."""

from __future__ import annotations

from array import array
from collections.abc import Sequence, Set

import pyarrow.compute as pc

from framework.sweep.identity import Identity
from framework.sweep.plan import SweepPlan
from framework.sweep.rows import CODE_DIGITS, POINT_DIGITS
from framework.sweep.store import Store
from framework.sweep.sweep_run import SweepRun


def planned_run(
    plan: SweepPlan, identity: Identity, store: Store, *, rerun: Sequence[str] = (), any_code: bool = False
) -> SweepRun:
    """Returns the launch that runs the missing points of a sweep.

    Points whose verdict is in `rerun` (`invalid`, `unknown`; `failed` for runs without a verdict) run again. With
    `any_code`, points with rows of other code count as done.
    """
    rows = _Standings(store, identity)
    again = rows.to_rerun(rerun)
    store.forget({key: digest for key, digest in again.items() if key.endswith(identity.code)})
    unwanted = {bytes.fromhex(key[:POINT_DIGITS]) for key in again}
    own = bytes.fromhex(identity.code)
    others = {key[: POINT_DIGITS // 2] for key in store.keys if key[-(CODE_DIGITS // 2) :] != own}
    missing, seen = array("Q"), set[bytes]()
    done = known = twice = 0
    for number, key in enumerate(map(bytes.fromhex, identity.keys_of(plan.points))):
        point = key[: POINT_DIGITS // 2]
        if plan.points.sampler != "grid":
            twice += key in seen
            if key in seen:
                continue
            seen.add(key)
        if key in store.keys or (any_code and point in others and point not in unwanted):
            done += 1
        else:
            known += point in others
            missing.append(number)
    kept = rows.kept(set(again))
    return SweepRun(
        plan, identity, store, missing, any_code=any_code, done=done, others=known, twice=twice, kept=kept
    )  # fmt: skip


class _Standings:
    """The verdicts of a store's rows."""

    def __init__(self, store: Store, identity: Identity) -> None:
        self._table = store.rows(["key", "code", "status", "verdict", "digest", "kept"])
        self._code = identity.code

    def to_rerun(self, kinds: Sequence[str]) -> dict[str, str | None]:
        """Returns the keys of rows of these kinds, of any code, with their digests."""
        if not kinds:
            return {}
        columns = [self._table[name].to_pylist() for name in ("key", "status", "verdict", "digest")]
        return {
            key: digest for key, status, verdict, digest in zip(*columns, strict=True)
            if (verdict if status == "ok" else "failed") in kinds
        }  # fmt: skip

    def kept(self, but: Set[str]) -> int:
        """Returns the number of invalid runs of this code that are kept, except those with the keys `but`."""
        invalid = pc.and_(pc.equal(self._table["verdict"], "invalid"), pc.not_equal(self._table["kept"], ""))
        rows = self._table.filter(pc.and_(invalid, pc.equal(self._table["code"], self._code)))
        return sum(key not in but for key in rows["key"].to_pylist())
