"""The point that is looked at closely: chosen within the budget, its rival at the same bytes."""

import pytest

from benchmarks.rd.metrics import Judge
from benchmarks.sequence.compare import measured
from benchmarks.sequence.lowdelay import CodedVideo
from benchmarks.sequence.measure import Track, Walk
from benchmarks.sequence.showcase import choose, match_total, showcase
from benchmarks.sequence.store import Store


def track(view, codec, setting, count, value, **ours):
    rows = [{"track": "x", "frame": 0, "bytes": count, "psnr": value}]
    return measured(Track(view, codec, setting, **ours), rows, CodedVideo([b""], [count]), ["psnr"])


def test_the_best_point_within_the_budget_is_chosen():
    side = dict(side_codec="av1", side_setting=60)
    tracks = [
        track("side", "av1", 60, 400, 25.0),
        track("main", "mdic", 0, 100, 20.0, **side), track("main", "mdic", 3, 300, 23.0, **side),
        track("main", "mdic", 7, 1200, 24.0, **side),
    ]  # fmt: skip
    assert choose(tracks, "psnr", True, 128).setting == 7
    assert choose(tracks, "psnr", True, 100).setting == 3
    assert choose(tracks, "psnr", True, 1).setting == 0


@pytest.mark.parametrize(("target", "setting"), [(100, 10), (95, 11), (1e6, 1), (1, 70), (101, 10)])
def test_the_nearest_total_is_found_by_bisection(target, setting):
    asked = []

    def total(s):
        asked.append(s)
        return 1000 / s

    assert match_total(total, target, 70) == setting
    assert len(set(asked)) <= 9


def test_ours_time_and_the_rival_are_shown_at_equal_bytes(clip, fakes, tmp_path):
    av1 = fakes.codecs["av1"]
    chosen = Track("main", "mdic", 2, "av1", 20)
    coded = {chosen.side.stream: av1.encode(clip.side, 20), chosen.stream: fakes.coder.encode(clip.main, 2)}
    walk = Walk(clip, coded, fakes.coder, Judge(("psnr",)), Store(tmp_path / "c"), {}, 1)

    def code_view(view, codec, setting):
        return codec.encode(clip.view(view), setting)

    path = tmp_path / "show.mp4"
    arguments = (clip, walk, coded, chosen, av1, code_view, ["psnr"])
    exhibits = showcase(*arguments, temporal=True, movie_path=path)
    assert [e.label for e in exhibits] == ["MDIC (ours)", "MDIC, mended over time", "AV1"]
    ours, twin, theirs = exhibits
    assert ours.total_kbps == pytest.approx(theirs.total_kbps, rel=0.1)
    assert ours.total_kbps == twin.total_kbps == pytest.approx((60 + 225) * 0.08)
    assert len(twin.main.rows) == 4 and twin.main.stability["pairs"] == 3
    assert twin.main.stability["excess"] < ours.main.stability["excess"]
    assert path.stat().st_size > 1000
    assert len(showcase(*arguments, temporal=False, movie_path=None)) == 2
    assert theirs.as_dict()["label"] == "AV1" and theirs.as_dict()["side_kbps"] > 0


def test_a_failure_leaves_no_half_video(clip, fakes, tmp_path):
    av1, chosen = fakes.codecs["av1"], Track("main", "mdic", 2, "av1", 20)
    coded = {chosen.side.stream: av1.encode(clip.side, 20), chosen.stream: fakes.coder.encode(clip.main, 2)}

    class Broken(Judge):
        def measure(self, *arguments):
            raise KeyboardInterrupt

    walk = Walk(clip, coded, fakes.coder, Broken(("psnr",)), Store(tmp_path / "c"), {}, 1)
    with pytest.raises(KeyboardInterrupt):
        showcase(clip, walk, coded, chosen, av1, lambda v, c, s: c.encode(clip.view(v), s), ["psnr"], False,
                 tmp_path / "x" / "show.mp4")  # fmt: skip
    assert list((tmp_path / "x").iterdir()) == []
