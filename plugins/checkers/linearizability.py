"""Linearizability: each operation takes effect at one instant between its invocation and its completion."""

from framework import CheckerSpec, CheckResult, Config, ConfigError, hookimpl
from framework.verify.history import Calls
from framework.verify.linearizability import DEFAULT_BUDGET_STEPS, check_linearizable
from framework.verify.models import Model, model_named


class LinearizabilityConfig(Config):
    """What to check against, and how long to search."""

    model: str = "auto"
    """The sequential model: register, kv, counter, queue, stack, set, mutex, consensus; `auto` is the protocol's or state machine's."""
    budget: int = DEFAULT_BUDGET_STEPS
    """Steps of the search; when they are spent the verdict is unknown."""

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise ValueError(f"a budget of {self.budget} steps checks nothing: write a number above 0")
        if self.model != "auto":
            model_named(self.model)


def ready(model: str | None, config: LinearizabilityConfig) -> None:
    """ConfigError if there is no model to check against."""
    _chosen(model, config)


def check(calls: Calls, model: str | None, config: LinearizabilityConfig) -> CheckResult:
    """The verdict of `check_linearizable`. ConfigError if there is no model to check against."""
    return check_linearizable(calls, _chosen(model, config), config.budget)


def _chosen(model: str | None, config: LinearizabilityConfig) -> Model:
    chosen = model if config.model == "auto" else config.model
    if chosen is None:
        raise ConfigError(
            "checker=linearizability",
            "neither the protocol nor a state machine names a sequential model",
            "Choose one with checker.linearizability.model=register, or another checker.",
        )
    return model_named(chosen)


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [
        CheckerSpec(
            name="linearizability",
            check=check,
            ready=ready,
            config=LinearizabilityConfig,
            summary="Each operation takes effect at one instant between its invocation and its completion.",
        )
    ]
