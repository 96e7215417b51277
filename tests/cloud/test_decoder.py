"""cloud.decoder: rebuilds any size, with and without a side view, the same twice, in two processes."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from flat_wall import textured
from safetensors.numpy import load_file

from cloud.decoder import LEAST_TRUST, Decoder, DecodeRequest
from cloud.restoration.degrade import JPEG, Coding, code
from cloud.restoration.network import restore
from common.bundle import Bundle
from common.entropy.latents import LatentCodec
from common.entropy.tables import laplace_tables
from common.errors import BundleCorrupt, ChecksumMismatch, UsageError
from common.resampling import Resampling
from common.synthetic import StereoStreet
from edge.encoder import Encoder


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load()


@pytest.fixture(scope="module")
def encoder(bundle) -> Encoder:
    return Encoder(bundle, threads=1)


@pytest.fixture(scope="module")
def decoder(bundle) -> Decoder:
    return Decoder(bundle, device="cpu")


@pytest.fixture(scope="module")
def street():
    return StereoStreet(3, height=128, width=256).frame(0)


def psnr(a, b) -> float:
    return float(-10 * np.log10(np.mean((a.astype(float) - b.astype(float)) ** 2) / 255**2))


def test_the_side_view_helps_and_its_absence_still_decodes(encoder, decoder, street):
    packet = encoder.encode(street.main, 5).packet
    with_side = decoder.decode(DecodeRequest(packet, 128, 256, street.side))
    without = decoder.decode(DecodeRequest(packet, 128, 256, None))
    assert with_side.image.shape == without.image.shape == (128, 256, 3)
    assert without.mask.max() == 0 and with_side.mask.max() <= 1
    assert psnr(with_side.image, street.main) > psnr(without.image, street.main) > 12


def repeats(image) -> float:
    """Return by how many levels the places of cells of 16x16 differ in the mean of a picture's details."""
    fine = image.astype(np.float32) - cv2.GaussianBlur(image, (0, 0), 6).astype(np.float32)
    place = fine.reshape(image.shape[0] // 16, 16, image.shape[1] // 16, 16, 3).mean((0, 2))
    return float(np.ptp(place - place.mean((0, 1)), axis=(0, 1)).max())


@pytest.mark.parametrize("quality", [2, 5])
def test_without_a_side_view_nothing_repeats_with_the_grid_of_the_latents(encoder, decoder, quality):
    main = StereoStreet(5, height=192, width=320).frame(0).main
    packet = encoder.encode(main, quality).packet
    grain = repeats(decoder.decode(DecodeRequest(packet, 192, 320, None)).image)
    assert grain < repeats(main)


def test_previous_stands_in_for_a_missing_side_view(encoder, decoder, street):
    packet = encoder.encode(street.main, 5).packet
    request = DecodeRequest(packet, 128, 256, None, previous=street.side)
    np.testing.assert_array_equal(
        decoder.decode(request).image, decoder.decode(DecodeRequest(packet, 128, 256, street.side)).image
    )


def test_a_lossy_side_view_is_restored_first(encoder, decoder, bundle, street):
    packet = encoder.encode(street.main, 4).packet
    lossy = code(street.side, Coding(JPEG, 20))
    plain = DecodeRequest(packet, 128, 256, lossy)
    restored = decoder.decode(replace(plain, side_lossy=True))
    by_hand = decoder.decode(replace(plain, side=restore(decoder.restorer, lossy)))
    np.testing.assert_array_equal(restored.image, by_hand.image)
    as_it_is = decoder.decode(plain)
    assert (restored.side_restored, by_hand.side_restored, as_it_is.side_restored) == (True, False, False)
    assert not np.array_equal(restored.image, as_it_is.image)
    # What was rebuilt before went through no codec; and a decoder may be told to leave side views alone.
    before = DecodeRequest(packet, 128, 256, None, previous=lossy, side_lossy=True)
    np.testing.assert_array_equal(decoder.decode(before).image, as_it_is.image)
    alone = Decoder(bundle, device="cpu", restores=False).decode(replace(plain, side_lossy=True))
    np.testing.assert_array_equal(alone.image, as_it_is.image)
    assert not alone.side_restored


def test_a_side_view_of_elsewhere_is_left_out(encoder, decoder, street):
    packet = encoder.encode(street.main, 4).packet
    elsewhere = np.ascontiguousarray(np.rot90(StereoStreet(11, height=256, width=128).frame(0).side))
    requests = [DecodeRequest(packet, 128, 256, side) for side in (street.side, elsewhere, None)]
    right, wrong, without = (decoder.decode(request) for request in requests)
    assert (right.side_refused, wrong.side_refused, without.side_refused) == (False, True, False)
    np.testing.assert_array_equal(wrong.image, without.image)
    assert wrong.mask.max() == 0 and wrong.caption == "" and right.mask.mean() > LEAST_TRUST
    # In a batch only the wrong one is decoded again; the others stay as they are, to within the batch's rounding.
    together = decoder.decode_batch(requests)
    assert [frame.side_refused for frame in together] == [False, True, False]
    for alone, frame in zip((right, wrong, without), together, strict=True):
        assert np.abs(alone.image.astype(int) - frame.image.astype(int)).max() <= 2


@pytest.mark.parametrize("size", [(64, 64), (65, 127), (131, 200)])
def test_odd_sizes_come_back_exact(encoder, decoder, size):
    street = StereoStreet(4, height=size[0], width=size[1]).frame(0)
    out = decoder.decode(DecodeRequest(encoder.encode(street.main, 3).packet, *size, street.side))
    assert out.image.shape == (*size, 3) and out.mask.shape == out.disparity.shape == size


def test_a_side_view_of_another_size_is_resized(encoder, decoder, street):
    packet = encoder.encode(street.main, 5).packet
    small = cv2.resize(street.side, (128, 64), interpolation=cv2.INTER_AREA)
    out = decoder.decode(DecodeRequest(packet, 128, 256, small))
    assert psnr(out.image, street.main) > 12


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_one_to_four_steps(encoder, decoder, street, steps):
    packet = encoder.encode(street.main, 4).packet
    out = decoder.decode(DecodeRequest(packet, 128, 256, street.side, steps=steps))
    assert psnr(out.image, street.main) > 12


def test_frames_of_a_stream_have_noise_of_their_own(encoder, decoder, street):
    packet = encoder.encode(street.main, 0).packet
    images = [decoder.decode(DecodeRequest(packet, 128, 256, None, frame=i)).image for i in (0, 1, 0)]
    np.testing.assert_array_equal(images[0], images[2])
    assert (images[0] != images[1]).any()


def test_a_batch_is_close_to_one_by_one(encoder, decoder, street):
    packets = [encoder.encode(street.main, q).packet for q in (1, 6)]
    requests = [
        DecodeRequest(p, 128, 256, side) for p, side in zip(packets, (street.side, None), strict=True)
    ]
    requests.insert(1, DecodeRequest(encoder.encode(street.main[:64], 2).packet, 64, 256, street.side[:64]))
    for one, many in zip(map(decoder.decode, requests), decoder.decode_batch(requests), strict=True):
        # Batched kernels may sum in another order: a level here and there, never a visible change.
        assert np.abs(one.image.astype(int) - many.image.astype(int)).mean() < 0.05


def test_damaged_packets_and_wrong_steps_are_refused(encoder, decoder, street):
    packet = bytearray(encoder.encode(street.main, 2).packet)
    with pytest.raises(UsageError, match="steps"):
        decoder.decode(DecodeRequest(bytes(packet), 128, 256, None, steps=0))
    with pytest.raises(ChecksumMismatch):
        decoder.decode(DecodeRequest(bytes(packet), 128, 192, None))
    packet[-1] ^= 1
    with pytest.raises(ChecksumMismatch):
        decoder.decode(DecodeRequest(bytes(packet), 128, 256, None))


def test_a_bundle_whose_weights_do_not_fit_is_refused(bundle, tmp_path):
    import shutil

    folder = tmp_path / "bad"
    shutil.copytree(bundle.path, folder)
    manifest = folder / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("text_width = 64", "text_width = 32"))
    with pytest.raises(BundleCorrupt, match=r"decoder\.safetensors"):
        Decoder(Bundle.load(folder), "cpu")


def test_cuda_asked_for_and_absent_is_said(bundle):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(UsageError, match="CUDA"):
        Decoder(bundle, "cuda")


SCRIPT = """
import hashlib, sys
from pathlib import Path
from cloud.decoder import DecodeRequest, Decoder
from common.bundle import Bundle
from common.entropy.latents import LatentCodec
from common.entropy.tables import laplace_tables
from common.resampling import Resampling
from common.synthetic import StereoStreet
side = StereoStreet(3, height=128, width=256).frame(0).side
request = DecodeRequest(Path(sys.argv[1]).read_bytes(), 128, 256, side, stream="s", frame=7)
out = Decoder(Bundle.load(), "cpu").decode(request)
print(hashlib.sha256(out.image.tobytes()).hexdigest())
"""


def test_two_processes_rebuild_the_same_pixels(encoder, street, tmp_path):
    file = tmp_path / "packet"
    file.write_bytes(encoder.encode(street.main, 4).packet)
    digests = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(file)], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    }
    assert len(digests) == 1 and len(digests.pop()) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize(
    ("size", "quality", "coded"), [((128, 256), 5, (256, 512)), ((257, 513), 0, (129, 257))]
)
def test_a_frame_coded_at_another_size_comes_back_at_its_own(encoder, decoder, size, quality, coded):
    street = StereoStreet(3, height=size[0], width=size[1]).frame(0)
    packet = encoder.encode(street.main, quality).packet
    view = decoder.coded(packet, *size).view
    assert (view.height, view.width) == coded
    alone, seen = (decoder.decode(DecodeRequest(packet, *size, side)) for side in (None, street.side))
    for frame in (alone, seen):
        assert frame.image.shape == frame.warped.shape == (*size, 3)
        assert frame.mask.shape == frame.disparity.shape == size
    assert alone.mask.max() == 0 and seen.mask.mean() > 0.5
    assert psnr(seen.image, street.main) > psnr(alone.image, street.main) > 12


def test_one_batch_holds_frames_of_one_size_coded_at_two(encoder, decoder, street):
    requests = [
        DecodeRequest(encoder.encode(street.main, q).packet, 128, 256, street.side) for q in (5, 2, 5)
    ]
    together = decoder.decode_batch(requests)
    assert [frame.image.shape for frame in together] == [(128, 256, 3)] * 3
    np.testing.assert_array_equal(together[0].image, together[2].image)
    np.testing.assert_allclose(
        together[1].image.astype(int), decoder.decode(requests[1]).image.astype(int), atol=1
    )


def lit_ends(bundle) -> tuple[Encoder, Decoder]:
    """Return both ends with an illumination that tells the mean of luma and of both colour differences."""
    arrays = load_file(bundle.file("entropy.safetensors"))
    arrays = {name: value for name, value in arrays.items() if not name.startswith("light_")}
    arrays["light_wave"] = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], np.int32)
    arrays["light_step"], arrays["light_mean"] = np.array([[20] * 3, [1600, 0, 0]], np.int32)
    arrays["light_count"] = np.array([0, 1, 3, 3, 3, 3, 3, 3], np.int32)
    arrays["light_cdf"] = laplace_tables(np.full(3, 8.0), 31)
    plain = replace(bundle, resampling=Resampling())  # whose tables say nothing of waves
    ends = Encoder(plain, threads=1), Decoder(plain, device="cpu")
    for end in ends:
        end.codec = LatentCodec(arrays)
    return ends


def test_a_darker_side_view_is_brought_to_the_main_views_light(bundle, street):
    encoder, decoder = lit_ends(bundle)
    side = np.rint(street.side * np.array([0.8, 0.75, 0.6])).astype(np.uint8)
    packet = encoder.encode(street.main, 4).packet
    told = decoder.decode(DecodeRequest(packet, 128, 256, side))
    assert decoder.coded(packet, 128, 256).light.waves == decoder.codec.illumination.waves
    encoder.codec.illumination = decoder.codec.illumination = None
    plain = decoder.decode(DecodeRequest(encoder.encode(street.main, 4).packet, 128, 256, side))
    colours = [np.abs(one.image.mean((0, 1)) - street.main.mean((0, 1))) for one in (told, plain)]
    assert colours[0].max() < 2 < 3 * colours[0].max() + 2 < colours[1].max()
    assert psnr(told.image, street.main) > psnr(plain.image, street.main) + 0.5
    for name in ("mask", "disparity", "warped"):
        np.testing.assert_array_equal(getattr(told, name), getattr(plain, name))


def test_each_frame_of_a_batch_has_its_own_light(bundle, street):
    encoder, decoder = lit_ends(bundle)
    mains = [street.main, np.rint(street.main * 0.6).astype(np.uint8)]
    requests = [DecodeRequest(encoder.encode(main, 4).packet, 128, 256, street.side) for main in mains]
    together = decoder.decode_batch(requests)
    for main, frame, request in zip(mains, together, requests, strict=True):
        assert np.abs(frame.image.mean((0, 1)) - main.mean((0, 1))).max() < 2
        assert np.abs(decoder.decode(request).image.astype(int) - frame.image).max() <= 2


def test_a_thing_ten_times_as_near_as_all_else_is_found_in_a_large_frame(encoder, decoder):
    """The monocular prior knows nothing of it, and matching does not leave the prior (decision 29)."""
    far, near = textured(320, 640, 0), textured(160, 192, 10)
    main, side = far[:, :576].copy(), far[:, 12:588].copy()
    main[100:260, 300:492] = side[100:260, 180:372] = near
    packet = encoder.encode(main, 4).packet
    frame = decoder.decode(DecodeRequest(packet, 320, 576, side))
    inside = frame.disparity[110:250, 310:482]
    assert abs(np.median(inside) - 120) < 4 and (np.abs(inside - 120) < 4).mean() > 0.6
    assert abs(np.median(frame.disparity[20:80]) - 12) < 1
