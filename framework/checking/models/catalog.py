"""Sequential specifications: the effect and result of each function of an object when nothing runs concurrently.

| model      | state, initially | function (argument) -> result                                                    | |
---------- | ---------------- | -------------------------------------------------------------------------------- | |
`register` | a value, null    | `read` -> the value · `write`(v) · `cas`((old, new)) -> whether it was old        | |
`kv`       | a value, null    | as `register`, and `append`(text): null counts as "" · `delete`: back to null     | |
`counter`  | an integer, 0    | `increment`(n, default 1) -> the sum, or null if unreported · `read`              | |
`queue`    | values, first in first out, none | `enqueue`(v) · `dequeue` -> the first, null if there is none      | |
`stack`    | values, last in first out, none  | `push`(v) · `pop` -> the last, null if there is none              | |
`set`      | values, none     | `add`(v), `remove`(v) -> whether that changed anything, or null if unreported ·
`contains`(v) -> whether it is there · `read` -> all of them | | `set-full` | values, none     | `add`(v) -> the same ·
`read` -> all of them; the verdict counts lost and stale values | | `mutex`    | free or held, free | `acquire`: null or
true if it was free, false if it was not · `release`: the same, if it was held | | `owner-mutex` | the same      | the
same, but only its holder releases it: the process, or the one named by the argument | | `consensus` | a value, null   |
`propose`(v) -> what was decided: the first value proposed                        | | `multi-register` | values by key,
null | `txn`([["r", k, null], ["w", k, v]]) -> the same, with what was read    |

Each key is a separate object; in a set that is never read as a whole, so is each value. An absent key reads as null.
The results of `write`, `append`, `delete`, `enqueue` and `push` carry no information and are ignored. Queues, stacks
and consensus take any value but null. `cas-register` is another name for `register`. A value equals only values of its
own kind (see `values`).
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
"""Selects the model that the protocol or state machine names."""


def built_in_models() -> dict[str, Model]:
    """Returns every sequential model that comes with Synod, by name."""
    every = (
        Register(), KeyValue(), Counter(), Queue(), Stack(), Set(), SetFull(), Mutex(), OwnerMutex(), Consensus(),
        MultiRegister(),
    )  # fmt: skip
    return {model.name: model for model in every}


class Models:
    """The available sequential models. `own` is the model named by a run's protocol or state machine."""

    def __init__(self, known: Mapping[str, Model] | None = None, own: str | None = None) -> None:
        self._known = built_in_models() if known is None else known
        self.own = own

    @property
    def names(self) -> list[str]:
        return [*self._known, *ALIASES]

    def chosen(self, name: str, where: str) -> Model | None:
        """Returns the model of that name; for `auto` the run's own, None if it has none.

        Raises ConfigError that names `where` and suggests the nearest name.
        """
        if name != AUTO:
            return self.named(name, where)
        return None if self.own is None else self.named(self.own, where)

    def named(self, name: str, where: str) -> Model:
        """Returns the model of that name. Raises ConfigError that names `where` and suggests the nearest name."""
        real = ALIASES.get(name, name)
        if real not in self._known:
            raise ConfigError(where, f"unknown model {name!r}", did_you_mean(name, self.names))
        return self._known[real]


def model_named(name: str) -> Model:
    """Returns the built-in model of that name. Raises ConfigError that suggests the nearest name."""
    return Models().named(name, "checker")
