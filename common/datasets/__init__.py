"""Read stereo datasets: KITTI raw, odometry, stereo 2012 and 2015, plain folders."""

from common.datasets.calibration import Calibration
from common.datasets.dataset import Concatenation, Pair, PairDataset, StereoDataset
from common.datasets.images import IMAGE_SUFFIXES, list_images, read_image
from common.datasets.layouts import open_dataset, open_datasets

__all__ = [
    "IMAGE_SUFFIXES",
    "Calibration",
    "Concatenation",
    "Pair",
    "PairDataset",
    "StereoDataset",
    "list_images",
    "open_dataset",
    "open_datasets",
    "read_image",
]
