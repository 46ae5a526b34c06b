"""The lifecycle as plain values: stages and their steps, the versions of one model, and the gates between."""

from tenure.lifecycle.gates import agreement, maximum, minimum, no_worse_than, shadow_days
from tenure.lifecycle.judgement import Check, Evidence, Gate, GateResult
from tenure.lifecycle.lineage import Lineage, close, promote, roll_back, successor
from tenure.lifecycle.stages import ALLOWED_TRANSITIONS, ModelVersion, Stage, Transition, TransitionRefused

__all__ = [
    "ALLOWED_TRANSITIONS",
    "Check",
    "Evidence",
    "Gate",
    "GateResult",
    "Lineage",
    "ModelVersion",
    "Stage",
    "Transition",
    "TransitionRefused",
    "agreement",
    "close",
    "maximum",
    "minimum",
    "no_worse_than",
    "promote",
    "roll_back",
    "shadow_days",
    "successor",
]
