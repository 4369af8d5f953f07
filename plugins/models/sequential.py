"""The sequential models that come with Synod."""

from framework import ModelSpec, built_in_models, hookimpl

SUMMARIES = {
    "register": "One value: read, write, compare-and-set.",
    "kv": "A register by key, with append and delete.",
    "counter": "An integer that clients add to.",
    "queue": "First in, first out.",
    "stack": "Last in, first out.",
    "set": "Values, added and removed.",
    "set-full": "A set that only grows: what was lost, stale or doubled.",
    "mutex": "A lock that any client may release.",
    "owner-mutex": "A lock that only its holder may release.",
    "consensus": "Decides the first value proposed.",
    "multi-register": "Transactions of reads and writes on several registers.",
}


@hookimpl
def register_models() -> list[ModelSpec]:
    return [
        ModelSpec(name=name, model=type(model), summary=SUMMARIES[name]) for name, model in built_in_models().items()
    ]
