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
    """The sequential model, and the limits of the search."""

    model: str = AUTO
    """The name of the sequential model; `auto` uses the protocol's or the state machine's."""
    budget: int = DEFAULT.steps
    """Maximum number of search steps; the verdict is unknown if they run out."""
    memory_mib: int = DEFAULT.memory_mib
    """Maximum memory of the search in MiB, by its own estimate; the verdict is unknown if it is not enough."""
    evidence_budget: int = DEFAULT.evidence_steps
    """Maximum number of steps to reduce a violation to few operations; if they run out, more operations are shown."""

    def __post_init__(self) -> None:
        for name in ("budget", "memory_mib", "evidence_budget"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} checks nothing: write a number above 0")


def validate(models: Models, config: LinearizabilityConfig) -> None:
    """Raises ConfigError if there is no model to check against."""
    _chosen(models, config)


def check(run: FinishedRun, config: LinearizabilityConfig) -> CheckResult:
    """Returns the verdict of `check_linearizable`. Raises ConfigError if there is no model to check against."""
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
