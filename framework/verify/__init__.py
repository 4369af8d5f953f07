"""Verdicts: what clients saw, held against what a single correct object would have shown them."""

from framework.verify.history import Call, calls_from_table
from framework.verify.linearizability import check_linearizable
from framework.verify.model import Model
from framework.verify.models import model_named, models
from framework.verify.verdict import CheckResult, Verdict, conclude, worst

__all__ = [
    "Call",
    "CheckResult",
    "Model",
    "Verdict",
    "calls_from_table",
    "check_linearizable",
    "conclude",
    "model_named",
    "models",
    "worst",
]
