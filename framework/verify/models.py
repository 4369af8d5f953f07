"""Sequential specifications: what each function of an object does when nothing else is going on.

| model      | state, at first  | function (argument) -> result                                                    |
| ---------- | ---------------- | -------------------------------------------------------------------------------- |
| `register` | a value, null    | `read` -> the value · `write`(v) · `cas`((old, new)) -> whether it was old        |
| `kv`       | a value, null    | as `register`, and `append`(text): null counts as "" · `delete`: back to null     |
| `counter`  | an integer, 0    | `increment`(n, default 1) -> the sum, or null if it does not tell · `read`        |
| `queue`    | values, first in first out, none | `enqueue`(v) · `dequeue` -> the first, null if there is none      |
| `stack`    | values, last in first out, none  | `push`(v) · `pop` -> the last, null if there is none              |
| `set`      | values, none     | `add`(v), `remove`(v) -> whether that changed anything, or null if it does not tell · `contains`(v) -> whether it is there · `read` -> all of them |
| `mutex`    | free or held, free | `acquire`: null or true if it was free, false if it was not · `release`: the same, if it was held |
| `consensus` | a value, null   | `propose`(v) -> what was decided: the first value proposed                        |

Each key is an object of its own; of a set that nobody reads as a whole, each value is. An absent key reads as null.
The results of `write`, `append`, `delete`, `enqueue` and `push` tell nothing and are not looked at. Queues and stacks
hold any value but null, and no other is decided. `cas-register` is another name for `register`. A value is equal only
to a value of its own kind (see `values`).
"""

from __future__ import annotations

from framework.core.errors import ConfigError, did_you_mean
from framework.verify.consensus import Consensus
from framework.verify.containers import Queue, Set, Stack
from framework.verify.model import (
    ANY,
    ILLEGAL,
    NO_RESULT,
    UNOBSERVED,
    Entry,
    Model,
    Outlook,
    Part,
    State,
    Step,
)
from framework.verify.registers import Counter, KeyValue, Mutex, Register

__all__ = [
    "ANY",
    "ILLEGAL",
    "NO_RESULT",
    "UNOBSERVED",
    "Consensus",
    "Counter",
    "Entry",
    "KeyValue",
    "Model",
    "Mutex",
    "Outlook",
    "Part",
    "Queue",
    "Register",
    "Set",
    "Stack",
    "State",
    "Step",
    "model_named",
    "models",
]

ALIASES = {"cas-register": "register"}


def models() -> dict[str, Model]:
    """Every sequential model, by name."""
    every = (Register(), KeyValue(), Counter(), Queue(), Stack(), Set(), Mutex(), Consensus())
    return {model.name: model for model in every}


def model_named(name: str) -> Model:
    """The model of that name, else a ConfigError that suggests the nearest."""
    known = models()
    if (name := ALIASES.get(name, name)) not in known:
        raise ConfigError("checker", f"unknown model {name!r}", did_you_mean(name, [*known, *ALIASES]))
    return known[name]
