"""Make stereo streets from a seed: pictures, exact disparity, labels and captions."""

from common.synthetic.street import StereoStreet, SyntheticFrame

__all__ = ["StereoStreet", "SyntheticFrame"]
