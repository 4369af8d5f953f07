"""Linearizability: each operation takes effect at one instant between its invocation and its completion."""

from framework import (
    AUTO,
    Bounds,
    CheckerSpec,
    CheckResult,
    Config,
    ConfigError,
    FinishedRun,
    Model,
    Models,
    check_linearizable,
    hookimpl,
)

DEFAULT = Bounds()


class LinearizabilityConfig(Config):
    """What to check against, and how long to search."""

    model: str = AUTO
    """The sequential model, by name; `auto` is the protocol's or state machine's."""
    budget: int = DEFAULT.steps
    """Steps of the search; when they are spent the verdict is unknown."""
    memory_mib: int = DEFAULT.memory_mib
    """What the search may keep in memory, by its own estimate; when that is not enough the verdict is unknown."""
    evidence_budget: int = DEFAULT.evidence_steps
    """Steps of the search for few operations that show what is wrong; when they are spent more of them are shown."""

    def __post_init__(self) -> None:
        for name in ("budget", "memory_mib", "evidence_budget"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} checks nothing: write a number above 0")


def validate(models: Models, config: LinearizabilityConfig) -> None:
    """ConfigError if there is no model to check against."""
    _chosen(models, config)


def check(run: FinishedRun, config: LinearizabilityConfig) -> CheckResult:
    """The verdict of `check_linearizable`. ConfigError if there is no model to check against."""
    bounds = Bounds(steps=config.budget, memory_mib=config.memory_mib, evidence_steps=config.evidence_budget)
    return check_linearizable(run.history, _chosen(run.models, config), bounds)


def _chosen(models: Models, config: LinearizabilityConfig) -> Model:
    chosen = models.chosen(config.model, "checker.linearizability.model")
    if chosen is None:
        raise ConfigError(
            "checker=linearizability",
            "neither the protocol nor a state machine names a sequential model",
            "Choose one with checker.linearizability.model=register, or another checker.",
        )
    return chosen


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [
        CheckerSpec(
            name="linearizability",
            check=check,
            validate=validate,
            config=LinearizabilityConfig,
            summary="Each operation takes effect at one instant between its invocation and its completion.",
        )
    ]
