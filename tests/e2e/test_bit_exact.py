"""Both ends agree bit for bit whatever runs the hyper decoder: NumPy, ONNX Runtime or torch, one thread or two.

On every image of the real test split where MDIC_DATA names it, on synthetic streets otherwise.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

from common.bundle import Bundle
from common.entropy.latents import LatentCodec
from common.synthetic import StereoStreet
from edge.encoder import Encoder


class OnnxHyper:
    """The bundle's hyper.onnx as a hyper decoder."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            str(bundle.file("hyper.onnx")), options, providers=["CPUExecutionProvider"]
        )

    def run(self, z, quality):
        feeds = {"z": z[None].astype(np.float32), "quality": np.array([quality])}
        mean_q, index = self.session.run(None, feeds)
        return mean_q[0].astype(np.int32), index[0].astype(np.uint8)


class TorchHyper:
    """The same integers through torch convolutions in float32."""

    def __init__(self, arrays, threads: int) -> None:
        self.p = {
            name: torch.from_numpy(arrays[name]).float()
            for name in arrays
            if name[0] in "wb" and len(name) == 2
        }
        self.threads = threads

    def run(self, z, quality):
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            p = self.p
            a = torch.nn.functional.conv2d(
                torch.from_numpy(z)[None].float(), p["w1"], p["b1"][quality], padding=1
            )
            a = torch.floor((a + 2) / 4).clamp(0, 255)
            for layer in ("2", "3"):
                a = torch.nn.functional.conv2d(a, p["w" + layer], p["b" + layer], padding=1)
                a = torch.nn.functional.pixel_shuffle(torch.floor((a + 32) / 64).clamp(0, 255), 2)
            a = torch.nn.functional.conv2d(a, p["w4"], p["b4"][quality], padding=1)[0]
            mean, scale = a.chunk(2)
            index = torch.floor((scale + 64) / 128).clamp(0, 63)
            return torch.floor((mean + 32) / 64).int().numpy(), index.to(torch.uint8).numpy()
        finally:
            torch.set_num_threads(before)


def images():
    data = os.environ.get("MDIC_DATA")
    if not data:
        print("MDIC_DATA is not set: synthetic streets stand in for the real test split")
        return [StereoStreet(seed, height=192, width=640).frame(0).main for seed in range(3)]
    files = sorted((Path(data) / "test").glob("*/left/*"))
    assert files, f"no test images in {data}"
    return [cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file in files]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load()


def test_tables_and_bytes_are_the_same_everywhere(bundle):
    arrays = load_file(bundle.file("entropy.safetensors"))
    encoder = Encoder(bundle, threads=2)
    runners = [OnnxHyper(bundle, 1), OnnxHyper(bundle, 2), TorchHyper(arrays, 1), TorchHyper(arrays, 2)]
    codecs = [LatentCodec(arrays) for _ in runners]
    reference = LatentCodec(arrays)
    for codec, runner in zip(codecs, runners, strict=True):
        codec.hyper.run = runner.run
    indices = set()
    for number, image in enumerate(images()):
        quality = number % bundle.codec.qualities
        y, z = encoder.latents(image, quality)
        detail, view = encoder.coefficients(image, quality), encoder.view(image, quality)
        quality, more = view.quality, (detail, encoder.light(image), view.waves, view.contexts)
        latents = reference.latent_quality(quality)
        want = reference.encode(y, z, quality, *more)
        mean_q, index = reference.hyper.run(want.symbols.z, latents)
        indices.update(np.unique(index).tolist())
        for codec in codecs:
            got_mean, got_index = codec.hyper.run(want.symbols.z, latents)
            np.testing.assert_array_equal(got_mean, mean_q)
            np.testing.assert_array_equal(got_index, index)
            assert codec.encode(y, z, quality, *more).payload == want.payload
        # The other end, with another runtime's tables, reads back the very symbols.
        y_hat, symbols = codecs[number % 4].decode(want.payload, quality, *y.shape[1:], *more[2:])
        np.testing.assert_array_equal(symbols.y, want.symbols.y)
        np.testing.assert_array_equal(y_hat, want.y_hat)
    assert len(indices) > 10, "a prior that never varies would prove nothing"


def test_coded_length_is_within_two_percent_of_the_entropy(bundle):
    """Over all images; a frame's own few bytes round up, so the bound per frame adds one byte."""
    encoder = Encoder(bundle, threads=2)
    spent = ideal = 0.0
    for number, image in enumerate(images()):
        quality = number % bundle.codec.qualities
        frame = encoder.encode(image, quality)
        view = frame.view
        bits = encoder.codec.entropy_bits(frame.coded.symbols, view.quality, view.contexts)
        coded = len(frame.coded.payload) * 8
        assert coded <= bits * 1.02 + 8
        spent, ideal = spent + coded, ideal + bits
    assert spent <= ideal * 1.02
