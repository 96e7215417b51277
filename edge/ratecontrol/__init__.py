"""Choose the quality index and the frame rate from how the stream is doing: pure, time comes in as an argument."""

from edge.ratecontrol.controller import RateController
from edge.ratecontrol.ladder import HIGHEST_QUALITY, START_QUALITY
from edge.ratecontrol.rule import RateRule
from edge.ratecontrol.signals import Decision, Feedback, Load

__all__ = [
    "HIGHEST_QUALITY",
    "START_QUALITY",
    "Decision",
    "Feedback",
    "Load",
    "RateController",
    "RateRule",
]
