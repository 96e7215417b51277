"""The whole command on a small drive with stand-ins for the codecs; and its options."""

import json

import cv2
import pytest

from benchmarks.sequence import ours, run
from benchmarks.sequence.lowdelay import codec_named
from benchmarks.sequence.run import main, parse_sides
from common.errors import UsageError

PLAIN = ["--metrics", "psnr,ms_ssim_db", "--codecs", "av1,hevc", "--sides", "60,20", "--device", "cpu"]


@pytest.fixture
def drive(clip, fakes, tmp_path, monkeypatch):
    folder = tmp_path / "drive"
    for name, view in (("left", clip.main), ("right", clip.side)):
        (folder / name).mkdir(parents=True)
        for i, image in enumerate(view):
            cv2.imwrite(str(folder / name / f"{i:06d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    about = {"name": "fake", "id": "00" * 8, "qualities": 4, "steps": None}
    monkeypatch.setattr(ours.SequenceCoder, "load", classmethod(lambda cls, *_: (fakes.coder, about)))
    return folder


def test_everything_is_measured_written_and_found_again(drive, fakes, tmp_path, capsys):
    out = tmp_path / "out"
    argv = [
        "--data",
        str(drive),
        "--out",
        str(out),
        "--temporal",
        "--qualities",
        "0,3",
        "--budget",
        "30",
        *PLAIN,
    ]
    assert main(argv) == 0
    document = json.loads((out / "sequence.json").read_text())
    assert (document["data"], document["frames"], document["every"]) == ("drive", 4, 1)
    assert len(document["tracks"]) == 2 * 2 * 3 + 2 * 2
    mine = [t for t in document["tracks"] if t["codec"] == "mdic"]
    assert {(t["setting"], t["side"]) for t in mine} == {(q, f"av1:{s}") for q in (0, 3) for s in (20, 60)}
    assert mine[0]["kbps"] == pytest.approx(mine[0]["bytes_a_frame"] * 0.08)
    assert all(len(t["frames"]) == 4 for t in document["tracks"])
    assert {c["rival"] for c in document["comparisons"]} == {"av1", "hevc"}
    exhibits = document["showcase"]["exhibits"]
    assert [e.get("temporal") for e in exhibits] == [False, True, None]
    made = {p.name for p in out.iterdir()}
    assert made == {"cache", "sequence.json", "sequence.mp4", "psnr.png", "ms_ssim_db.png", "over-time.png"}
    printed = capsys.readouterr().out
    assert "| MDIC q3 | AV1 crf 20 |" in printed and "| HEVC qp 60 | HEVC qp 60 |" in printed
    assert "PSNR dB at equal total bytes" in printed and "MDIC, mended over time" in printed
    assert "not measured (--metrics): LPIPS-VGG" in printed

    counts = len(fakes.decoder.requests), fakes.encoder.count, len(fakes.codecs["av1"].encoded)
    assert main(argv) == 0
    assert (len(fakes.decoder.requests), fakes.encoder.count, len(fakes.codecs["av1"].encoded)) == counts
    again = json.loads((out / "sequence.json").read_text())
    assert again["tracks"] == document["tracks"] and again["showcase"] == document["showcase"]


def test_thinned_and_limited_runs_say_so(drive, tmp_path, capsys):
    path = tmp_path / "s.json"
    argv = [
        "--data",
        str(drive),
        "--out",
        str(tmp_path / "o"),
        "--json",
        str(path),
        "--frames",
        "3",
        "--every",
        "2",
    ]
    assert main([*argv, "--watch", "2", "--no-video", "--qualities", "1", *PLAIN]) == 0
    document = json.loads(path.read_text())
    assert [len(e["frames"]) for e in document["showcase"]["exhibits"]] == [2, 2]
    assert {t["frames_judged"] for t in document["tracks"]} == {2}
    assert "3 frames of 180x112" in capsys.readouterr().out
    assert not (tmp_path / "o" / "sequence.mp4").exists() and not (tmp_path / "o" / "sequence.json").exists()


def test_av1_at_two_sizes_is_one_more_rival():
    av1, half, hevc = (codec_named(name) for name in ("av1", "av1-half", "hevc"))
    assert run.Plan((0,), (), (av1, hevc)).opponents() == ["av1", "hevc"]
    assert run.Plan((0,), (), (av1, half)).opponents() == ["av1", "av1-half", "av1+av1-half"]


def test_side_views_are_read():
    assert parse_sides("70, 66,av1-half:57,70") == (("av1", 70), ("av1", 66), ("av1-half", 57))
    for bad in ("", "x", "71", "hevc:52", "0", "66,"):
        with pytest.raises(UsageError, match="--sides"):
            parse_sides(bad)
    with pytest.raises(UsageError, match="vvc"):
        parse_sides("vvc:3")


@pytest.mark.parametrize(
    "argv",
    [
        ["--every", "0"],
        ["--frames", "1"],
        ["--watch", "1"],
        ["--metrics", "vmaf"],
        ["--codecs", "vvc"],
        ["--sides", "99"],
    ],
)
def test_bad_options_are_errors(argv):
    with pytest.raises(UsageError):
        main(argv)


def test_a_size_is_for_the_synthetic_drive(drive):
    with pytest.raises(UsageError, match="--size"):
        main(["--data", str(drive), "--size", "64x96", *PLAIN])


def test_rows_depend_on_what_was_measured_with(clip, fakes):
    base = dict(
        bundle={"id": "a", "steps": None},
        metrics=["psnr"],
        every=1,
        device="cpu",
        rivals=[],
        sides=[("av1", 9)],
    )
    first = run.row_facts(clip, **base)
    for change in (
        {"bundle": {"id": "b", "steps": None}},
        {"metrics": ["dists"]},
        {"every": 2},
        {"device": "cuda"},
    ):
        assert run.row_facts(clip, **(base | change)) != first
