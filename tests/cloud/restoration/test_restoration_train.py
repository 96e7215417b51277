"""Training the restorer: the command end to end, repeatable, it learns; the place it looks from moves."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
import torch

from cloud.restoration import gauge, train
from cloud.restoration.degrade import JPEG, Coding, code
from cloud.restoration.network import FACTS, WEIGHTS, load_restorer
from cloud.restoration.train import Place, distance, draw_crop, main, read_drives, restoration_loss
from common.errors import DatasetError, UsageError
from common.synthetic.street import StereoStreet


class PlainDistance(torch.nn.Module):
    """Mean squared error in the place of LPIPS; remembers what it was shown."""

    seen: ClassVar[list[tuple[int, ...]]] = []

    def __init__(self, *_: object) -> None:
        super().__init__()

    def forward(self, image: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen.append(tuple(image.shape))
        error = (image - target).square().mean((1, 2, 3))
        return error, error


@pytest.fixture(scope="module")
def drives_drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("restoration") / "data"
    street = StereoStreet(0, height=128, width=256)
    for number, name in enumerate("ab"):
        for view in ("left", "right"):
            (data / name / view).mkdir(parents=True)
        for i in range(2):
            frame = street.frame(2 * number + i)
            for view, picture in (("left", frame.main), ("right", frame.side)):
                cv2.imwrite(str(data / name / view / f"{i}.png"), picture[..., ::-1])
    return data


@pytest.fixture
def drives(drives_drawn: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two drives, and a training that is small: a quarter of the area, plain distances, JPEG alone."""
    monkeypatch.setattr(train, "CROP", (64, 128))
    monkeypatch.setattr(gauge, "_GAUGE_STEPS", 300)
    monkeypatch.setattr(train, "AlexDistance", PlainDistance)
    monkeypatch.setattr(train, "MEASURED", (Coding(JPEG, 15),))
    monkeypatch.setattr(train, "draw_coding", lambda rng: Coding(JPEG, rng.randint(5, 30)))
    return drives_drawn


def command(drives: Path, out: Path, *more: str) -> list[str]:
    return [
        "--data", str(drives), "--metric-weights", str(drives), "--out", str(out), "--holdout", "b", "--batch", "2",
        "--gauge", "40", *more,
    ]  # fmt: skip


def test_it_learns_writes_and_measures(
    drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            command(drives, tmp_path / "out", "--steps", "100", "--plain", "0.9", "--gauge", "400", "--json")
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert (tmp_path / "out" / WEIGHTS).is_file()
    assert json.loads((tmp_path / "out" / FACTS).read_text("utf-8")).items() >= report.items()
    assert report["training"]["steps"] == 100 and report["training"]["held_out"] == ["b"]
    assert report["training"]["pictures"] == 4
    row = report["128x256"]["jpeg:15"]
    assert row["psnr_restored"] > row["psnr"]
    assert report["training"]["loss"][-1][1] < report["training"]["loss"][0][1] < 1


def test_steps_repeat_to_the_bit_and_go_on(drives: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(command(drives, tmp_path / name, "--steps", "2")) == 0
    first, second = ((tmp_path / name / WEIGHTS).read_bytes() for name in ("one", "two"))
    assert first == second
    assert main(command(drives, tmp_path / "three", "--steps", "1", "--from", str(tmp_path / "one"))) == 0
    assert (tmp_path / "three" / WEIGHTS).read_bytes() != first


def test_the_gauge_is_fitted_on_the_way(
    drives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "CROP", (128, 256))  # it is asked about a whole picture below
    monkeypatch.setattr(gauge, "_GAUGE_STEPS", 3000)
    assert main(command(drives, tmp_path / "out", "--steps", "1", "--gauge", "160")) == 0
    facts = json.loads((tmp_path / "out" / FACTS).read_text("utf-8"))
    assert 0 < facts["training"]["gauge_rms"] < 0.5  # JPEG alone, two streets: easier than life
    kept = load_restorer(tmp_path / "out").gauge
    image = read_drives(drives, [])[0][0]
    guesses = []
    for quality in (5, 30):
        planes = torch.from_numpy(code(image, Coding(JPEG, quality))).permute(2, 0, 1)[None].float() / 255
        guesses.append(float(kept(planes)))
    assert guesses[0] > guesses[1] > 0


def test_what_cannot_be_trained_on_is_told(drives: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no drive c"):
        read_drives(drives, ["c"])
    with pytest.raises(DatasetError, match="no NAME/left"):
        read_drives(tmp_path / "nothing", [])
    with pytest.raises(UsageError, match="--minutes"):
        main(command(drives, tmp_path / "out", "--minutes", "0"))


def test_crops_have_one_size_and_come_from_everywhere() -> None:
    image = np.arange(300 * 900 * 3, dtype=np.uint32).reshape(300, 900, 3).astype(np.uint8)
    rng = random.Random(0)
    crops = [draw_crop(image, rng) for _ in range(20)]
    assert {crop.shape for crop in crops} == {(128, 256, 3)}
    assert len({crop.tobytes() for crop in crops}) == 20


def test_the_distance_looks_from_a_place_at_a_scale_and_counts_in_what_was_left() -> None:
    plain = PlainDistance()
    plain.seen.clear()
    wanted, coded = torch.rand(2, 3, 32, 48), torch.rand(2, 3, 32, 48)
    near = distance(wanted, wanted, plain, Place(3, 5, 1.5))  # type: ignore[arg-type]
    assert plain.seen == [(2, 3, 29, 43), (2, 3, 43, 64)] and near.tolist() == [0, 0]
    assert distance(coded, wanted, None, Place(0, 0, 1.0)).max() > 0  # squared and absolute error alone
    # The codec's own picture costs one unit, the original nothing.
    loss = restoration_loss(coded, coded, wanted, plain, random.Random(0))  # type: ignore[arg-type]
    assert 0.95 < loss.item() <= 1
    assert restoration_loss(wanted, coded, wanted, plain, random.Random(0)).item() == 0  # type: ignore[arg-type]
