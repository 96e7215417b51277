"""The segmenter: what it feeds its network, and that the real one is the network that made the stored labels."""

import cv2
import numpy as np
import pytest
import torch

from benchmarks.downstream.segmenter import CLASSES, PALETTE, WEIGHTS_FILE, Segmenter, colours
from common.datasets import read_image
from common.errors import BundleCorrupt


class Recorder(torch.nn.Module):
    def forward(self, x):
        self.seen = x
        return torch.nn.functional.avg_pool2d(x, 2)


def test_pictures_are_resized_and_normalised():
    network = Recorder()
    labels = Segmenter(network).labels(np.full((50, 70, 3), 255, np.uint8))
    assert network.seen.shape == (1, 3, 64, 96)
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert network.seen.mean((0, 2, 3)).tolist() == pytest.approx(expected, rel=1e-5)
    assert (labels.shape, labels.dtype) == ((32, 48), np.uint8)
    assert np.all(labels == 2)


def test_labels_are_where_the_classes_are():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, :, 0] = image[32:, :, 1] = 255
    labels = Segmenter(Recorder()).labels(image)
    assert np.all(labels[:16] == 0) and np.all(labels[16:] == 1)


def test_every_class_has_a_colour():
    assert len(PALETTE) == len(CLASSES) == 20
    assert len({tuple(c) for c in PALETTE}) == 20
    assert colours(np.array([[10, 13]], np.uint8)).tolist() == [[[70, 130, 180], [0, 0, 142]]]


def test_a_foreign_file_is_named(tmp_path):
    path = tmp_path / WEIGHTS_FILE
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(BundleCorrupt, match=WEIGHTS_FILE):
        Segmenter.load(path)


@pytest.mark.slow
@pytest.mark.data
def test_the_real_network_predicts_the_stored_labels(teachers, mdic_data):
    """The label maps of the training drives were predicted by this very network from the lossless frames."""
    path = teachers / WEIGHTS_FILE
    drive = mdic_data / "labels" / "seq_b" / "left"
    if not path.is_file() or not drive.is_dir():
        pytest.skip(f"{WEIGHTS_FILE} or the label maps of MDIC_DATA are not there")
    segmenter = Segmenter.load(path)
    stored = sorted(drive.glob("*.png"))[0]
    image = read_image(mdic_data / "train" / "seq_b" / "left" / f"{stored.stem}.webp")
    expected = cv2.imread(str(stored), cv2.IMREAD_UNCHANGED)
    assert np.mean(segmenter.labels(image) == expected) > 0.98
    assert (
        np.mean(segmenter.labels(image[:, :, ::-1].copy()) == expected) < 0.95
    )  # the channels' order matters
