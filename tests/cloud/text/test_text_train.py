"""Training the tagger: the command end to end, repeatable, and the loss falls on something learnable."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cloud.text.labelled import LabelledPicture, draw_batch, find_pictures
from cloud.text.tagger import Tagger, load_tagger
from cloud.text.train import best_threshold, calibrate, class_weights, main, measure, prior_scores
from cloud.text.vocabulary import OBJECTS
from common.errors import UsageError

COLOURS = {0: (90, 90, 90), 8: (20, 120, 20), 13: (200, 30, 30), 10: (240, 240, 255)}


BRIEF = ("--steps", "2", "--batch", "2", "--calibration", "1")


def paint(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Paint a street of flat colours: sky, trees, road, and often a car in one of the thirds."""
    labels = np.full((64, 192), 10, np.uint8)
    labels[20:36] = 8
    labels[36:] = 0
    if rng.random() < 0.8:
        x = 64 * int(rng.integers(3)) + int(rng.integers(30))
        labels[34:46, x : x + 30] = 13
    image = np.zeros((64, 192, 3), np.uint8)
    for train_id, colour in COLOURS.items():
        image[labels == train_id] = colour
    return image, labels


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("streets")
    rng = np.random.default_rng(0)
    for drive, count in (("a", 8), ("b", 4)):
        for view in ("left", "right"):
            for kind in ("data", "labels"):
                (root / kind / drive / view).mkdir(parents=True)
            for i in range(count):
                image, labels = paint(rng)
                cv2.imwrite(str(root / "data" / drive / view / f"{i}.png"), image[..., ::-1])
                cv2.imwrite(str(root / "labels" / drive / view / f"{i}.png"), labels)
    return root / "data", root / "labels"


def command(folders: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    data, labels = (str(f) for f in folders)
    return ["--data", data, "--labels", labels, "--out", str(out), "--holdout", "b", "--json", *more]


def test_it_learns_writes_and_measures(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(folders, tmp_path, "--steps", "50", "--batch", "4", "--calibration", "4")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["training"]["held_out"] == ["b"] and report["training"]["drives"] == ["a"]
    assert report["training"]["pictures"] == 16 and report["whole"]["pictures"] == 4
    # Road, sky and trees are everywhere: the blind control finds them too, so cars are what shows that it looks.
    assert report["whole"]["thirds"]["words"]["road"]["recall"] == 1.0
    car = report["whole"]["thirds"]["words"]["car"]["f1"] or 0
    blind = report["control, always the same words"]["thirds"]["words"]["car"]["f1"] or 0
    assert car > blind
    facts = json.loads((tmp_path / "tagger.json").read_text("utf-8"))
    assert facts["training"] == report["training"]
    assert facts["scores"]["whole"] == report["whole"]["thirds"]["all"]
    tagger = load_tagger(tmp_path)
    _, held = find_pictures(*folders, ["b"])
    side = [p for p in held if p.view == "right"]
    assert measure(tagger, side, crop=False) == report["whole"]


@pytest.mark.data
def test_the_bundled_tagger_scores_what_its_file_says(mdic_data: Path) -> None:
    facts = json.loads((resources.files("cloud.text") / "weights" / "tagger.json").read_text("utf-8"))
    if not (mdic_data / "labels").is_dir():
        pytest.skip("no label maps under MDIC_DATA/labels")
    _, held = find_pictures(mdic_data / "train", mdic_data / "labels", facts["training"]["held_out"])
    got = measure(load_tagger(), [p for p in held if p.view == "right"], crop=False)["thirds"]["all"]
    for key in ("precision", "recall"):
        assert got[key] == pytest.approx(facts["scores"]["whole"][key], abs=0.02)
    blind = facts["scores"]["control, always the same words"]
    assert got["f1"] > blind["f1"]


def test_the_same_seed_gives_the_same_tagger(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        main(command(folders, tmp_path / name, *BRIEF))
    main(command(folders, tmp_path / "three", *BRIEF, "--seed", "1"))
    main(command(folders, tmp_path / "four", *BRIEF, "--from", str(tmp_path / "one")))
    facts = json.loads((tmp_path / "four" / "tagger.json").read_text("utf-8"))
    assert facts["training"]["from"]["steps"] == facts["training"]["steps"] == 2
    files = {n: (tmp_path / n / "tagger.safetensors").read_bytes() for n in ("one", "two", "three", "four")}
    assert files["one"] == files["two"]
    assert len(set(files.values())) == 3


def test_rare_things_weigh_more() -> None:
    labels = np.zeros((64, 192), np.uint8)
    labels[30:33, 90:100] = 13
    picture = LabelledPicture("d", "left", picture=(np.zeros((64, 192, 3), np.uint8), labels))
    weights = class_weights([picture] * 5, np.random.default_rng(0))
    assert weights.shape == (15,) and torch.isfinite(weights).all()
    assert weights[0] == 1 and 1 < weights[2] <= 12


def test_the_blind_control_says_what_is_frequent() -> None:
    full = np.zeros((6, 6), np.uint8)
    empty = np.full((6, 6), 255, np.uint8)
    pictures = [
        LabelledPicture("d", "right", picture=(np.zeros((6, 6, 3), np.uint8), m)) for m in (full, full, empty)
    ]
    scores = prior_scores(pictures, pictures)
    assert scores["thirds"]["all"] == {"precision": 0.6667, "recall": 1.0, "f1": 0.8, "support": 6}


@pytest.mark.parametrize(
    ("logits", "true", "low", "high"),
    [
        ([3.0, 2.0, 1.0, 0.0], [1, 1, 0, 0], 1.0, 2.0),
        ([3.0, 2.0, 1.0, 0.0], [1, 0, 1, 1], -1.0, 0.0),
        ([1.0, 1.0, 1.0, 0.0], [0, 1, 1, 0], 0.0, 1.0),
        ([5.0, 4.0], [0, 0], -0.1, 0.1),
    ],
)
def test_best_threshold(logits: list[float], true: list[int], low: float, high: float) -> None:
    shuffled = torch.tensor([1, 0, 3, 2][: len(logits)])
    found = best_threshold(torch.tensor(logits)[shuffled], torch.tensor(true).float()[shuffled])
    assert low < found < high


def test_calibration_moves_thresholds_and_nothing_else(folders: tuple[Path, Path]) -> None:
    torch.manual_seed(0)
    tagger = Tagger()
    before = {k: v.clone() for k, v in tagger.state_dict().items()}
    pictures, _ = find_pictures(*folders, ["b"])
    calibrate(tagger, pictures, np.random.default_rng(0), batches=2)
    changed = {k for k, v in tagger.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"mean_slope", "peak_slope", "offset"}
    # What every crop shows is said of every crop, even by a network that has learned nothing.
    road = OBJECTS.index("road")
    batch = draw_batch(pictures, 8, np.random.default_rng(1))
    with torch.no_grad():
        assert (tagger(batch.image).presence[:, road] > 0.5).float().mean() > 0.9


@pytest.mark.parametrize("wrong", [["--minutes", "0"], ["--batch", "0"], ["--steps", "-1"]])
def test_senseless_lengths_are_refused(folders: tuple[Path, Path], tmp_path: Path, wrong: list[str]) -> None:
    with pytest.raises(UsageError):
        main(command(folders, tmp_path, *wrong))
