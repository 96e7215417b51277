"""Both cameras are put together as they should be: totals, means, splits, and who is better."""

import pytest

from benchmarks.sequence.compare import (
    BEST,
    BOTH,
    EQUAL,
    MAIN,
    comparisons,
    measured,
    our_operations,
    rival_operations,
)
from benchmarks.sequence.lowdelay import CodedVideo
from benchmarks.sequence.measure import Track


def track(view, codec, setting, bytes_a_frame, value, **ours):
    rows = [{"track": "x", "frame": i, "bytes": bytes_a_frame, "lpips_vgg": value} for i in (0, 2)]
    rows.append({"track": "x", "frame": 1, "bytes": bytes_a_frame})
    coded = CodedVideo([b""] * 3, [bytes_a_frame] * 3)
    return measured(Track(view, codec, setting, **ours), rows, coded, ["lpips_vgg"])


@pytest.fixture
def tracks():
    return [
        track("main", "av1", 60, 400, 0.6), track("main", "av1", 50, 1600, 0.2),
        track("side", "av1", 60, 400, 0.5), track("side", "av1", 50, 1600, 0.3),
        track("main", "mdic", 0, 100, 0.4, side_codec="av1", side_setting=60),
        track("main", "mdic", 0, 100, 0.3, side_codec="av1", side_setting=50),
    ]  # fmt: skip


def test_means_are_over_judged_frames_and_rates_over_all(tracks):
    assert tracks[0].judged == 2 and tracks[0].kbps == 32 and tracks[0].metrics == {"lpips_vgg": 0.6}
    stored = tracks[4].as_dict()
    assert stored["side"] == "av1:60" and len(stored["frames"]) == 3 and "track" not in stored["frames"][0]


def test_ours_is_charged_for_its_side_view(tracks):
    both = our_operations(tracks, "lpips_vgg", BOTH)
    assert [(o.total_kbps, o.main, o.side) for o in both] == [
        (40, "mdic:0", "av1:60"),
        (136, "mdic:0", "av1:50"),
    ]
    assert [o.quality for o in both] == pytest.approx([0.45, 0.3])
    assert [o.quality for o in our_operations(tracks, "lpips_vgg", MAIN)] == pytest.approx([0.4, 0.3])


def test_rivals_split_equally_or_best(tracks):
    equal = rival_operations(tracks, "av1", "lpips_vgg", EQUAL, BOTH)
    assert [(o.total_kbps, round(o.quality, 3)) for o in equal] == [(64, 0.55), (256, 0.25)]
    assert len(rival_operations(tracks, "av1", "lpips_vgg", BEST, BOTH)) == 4


def test_budgets_and_crossings_are_reported(tracks):
    found = {(c["scope"], c["split"]): c for c in comparisons(tracks, ["lpips_vgg"], ["av1"])}
    assert set(found) == {(BOTH, BEST), (BOTH, EQUAL), (MAIN, EQUAL)}
    readings = {r["kbps"]: r for r in found[BOTH, EQUAL]["budgets"]}
    assert readings[32]["better"] == "neither"
    assert readings[64]["better"] == "ours" and readings[64]["other"]["status"] == "measured"
    assert readings[256]["ours"]["status"] == "held" and readings[256]["better"] == "other"
    assert found[BOTH, EQUAL]["crossings"]["low_kbps"] == 64
    assert found[BOTH, BEST]["label"] == "AV1 low delay"


def test_two_codecs_together_take_the_better_for_each_view(tracks):
    tracks += [track(view, "av1-half", 60, 100, 0.65) for view in ("main", "side")]
    (both,) = comparisons(tracks, ["lpips_vgg"], ["av1+av1-half"])
    assert (both["split"], both["label"]) == (BEST, "AV1 low delay or AV1 low delay, half size")
    assert both["front_other"][0]["total_kbps"] == 16
    mixed = rival_operations(tracks, "av1+av1-half", "lpips_vgg", BEST, BOTH)
    assert len(mixed) == 9
    assert len(rival_operations(tracks, "av1+av1-half", "lpips_vgg", EQUAL, BOTH)) == 3
