"""Make stereo streets from a seed: pictures, exact disparity, labels, captions and OXTS records."""

from common.synthetic.oxts import OxtsRecorder
from common.synthetic.street import StereoStreet, SyntheticFrame

__all__ = ["OxtsRecorder", "StereoStreet", "SyntheticFrame"]
