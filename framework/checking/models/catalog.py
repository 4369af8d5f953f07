"""Sequential specifications: what each function of an object does when nothing else is going on.

| model      | state, at first  | function (argument) -> result                                                    |
| ---------- | ---------------- | -------------------------------------------------------------------------------- |
| `register` | a value, null    | `read` -> the value · `write`(v) · `cas`((old, new)) -> whether it was old        |
| `kv`       | a value, null    | as `register`, and `append`(text): null counts as "" · `delete`: back to null     |
| `counter`  | an integer, 0    | `increment`(n, default 1) -> the sum, or null if it does not tell · `read`        |
| `queue`    | values, first in first out, none | `enqueue`(v) · `dequeue` -> the first, null if there is none      |
| `stack`    | values, last in first out, none  | `push`(v) · `pop` -> the last, null if there is none              |
| `set`      | values, none     | `add`(v), `remove`(v) -> whether that changed anything, or null if it does not tell · `contains`(v) -> whether it is there · `read` -> all of them |
| `set-full` | values, none     | `add`(v) -> the same · `read` -> all of them; what is said counts the lost and the stale |
| `mutex`    | free or held, free | `acquire`: null or true if it was free, false if it was not · `release`: the same, if it was held |
| `owner-mutex` | the same      | the same, but only its holder releases it: the process, or whom the argument names |
| `consensus` | a value, null   | `propose`(v) -> what was decided: the first value proposed                        |
| `multi-register` | values by key, null | `txn`([["r", k, null], ["w", k, v]]) -> the same, with what was read    |

Each key is an object of its own; of a set that nobody reads as a whole, each value is. An absent key reads as null.
The results of `write`, `append`, `delete`, `enqueue` and `push` tell nothing and are not looked at. Queues and stacks
hold any value but null, and no other is decided. `cas-register` is another name for `register`. A value is equal only
to a value of its own kind (see `values`).
"""

from __future__ import annotations

from collections.abc import Mapping

from framework.checking.models.consensus import Consensus
from framework.checking.models.containers import Queue, Set, SetFull, Stack
from framework.checking.models.model import Model
from framework.checking.models.multi_register import MultiRegister
from framework.checking.models.registers import Counter, KeyValue, Mutex, OwnerMutex, Register
from framework.core.errors import ConfigError, did_you_mean

ALIASES = {"cas-register": "register"}
AUTO = "auto"
"""The choice of the model that a protocol or state machine names."""


def built_in_models() -> dict[str, Model]:
    """Every sequential model that comes with Synod, by name."""
    every = (
        Register(), KeyValue(), Counter(), Queue(), Stack(), Set(), SetFull(), Mutex(), OwnerMutex(), Consensus(),
        MultiRegister(),
    )  # fmt: skip
    return {model.name: model for model in every}


class Models:
    """The sequential models that can be checked against; `own`: the one that a run's protocol or state machine names."""

    def __init__(self, known: Mapping[str, Model] | None = None, own: str | None = None) -> None:
        self._known = built_in_models() if known is None else known
        self.own = own

    @property
    def names(self) -> list[str]:
        return [*self._known, *ALIASES]

    def chosen(self, name: str, where: str) -> Model | None:
        """The model of that name; of the name `auto` the run's own, None if it has none. ConfigError that names `where`
        and suggests the nearest."""
        if name != AUTO:
            return self.named(name, where)
        return None if self.own is None else self.named(self.own, where)

    def named(self, name: str, where: str) -> Model:
        """The model of that name. ConfigError that names `where` and suggests the nearest."""
        real = ALIASES.get(name, name)
        if real not in self._known:
            raise ConfigError(where, f"unknown model {name!r}", did_you_mean(name, self.names))
        return self._known[real]


def model_named(name: str) -> Model:
    """The model of that name, of those that come with Synod. ConfigError that suggests the nearest."""
    return Models().named(name, "checker")
