"""One walk through a drive: every track judged on its frames, resumed where it was left, mended over time."""

import numpy as np
import pytest

from benchmarks.rd.metrics import Judge
from benchmarks.sequence.measure import Track, Walk
from benchmarks.sequence.store import Store
from common.quality import psnr

SIDE = Track("side", "av1", 20)
THEIRS = Track("main", "av1", 60)
OURS = Track("main", "mdic", 2, "av1", 20)
TWIN = Track("main", "mdic", 2, "av1", 20, temporal=True)
TRACKS = [SIDE, THEIRS, OURS]


@pytest.fixture
def walk(clip, fakes, tmp_path):
    av1 = fakes.codecs["av1"]
    coded = {
        SIDE.stream: av1.encode(clip.side, 20),
        THEIRS.stream: av1.encode(clip.main, 60),
        OURS.stream: fakes.coder.encode(clip.main, 2),
    }

    def make(every=1, facts=None, judge=None):
        judge = judge or Judge(("psnr",))
        return Walk(
            clip, coded, fakes.coder, judge, Store(tmp_path / "c"), {"every": every, **(facts or {})}, every
        )

    return make


def test_all_frames_are_judged_against_their_own_source(walk, clip, fakes):
    rows = walk().run(TRACKS, dense=False, title="t")
    assert [row["frame"] for row in rows[THEIRS]] == [0, 1, 2, 3]
    assert rows[THEIRS][2]["psnr"] == psnr(clip.main[2], (clip.main[2] // 60 * 60).astype(np.uint8))
    assert rows[SIDE][1]["psnr"] == psnr(clip.side[1], (clip.side[1] // 20 * 20).astype(np.uint8))
    assert [row["bytes"] for row in rows[SIDE]] == [300, 200, 200, 200]
    assert [request.frame for request in fakes.decoder.requests] == [0, 1, 2, 3]
    # The decoder gets the side view as AV1 left it.
    assert np.array_equal(fakes.decoder.requests[1].side, clip.side[1] // 20 * 20)
    assert "warp_error" not in rows[OURS][0] and rows[OURS][1]["warp_error"] > rows[THEIRS][1]["warp_error"]
    assert "warp_error" not in rows[SIDE][1]


def test_thinned_ours_is_decoded_on_judged_frames_only(walk, fakes):
    rows = walk(every=2).run(TRACKS, dense=False, title="t")
    assert [request.frame for request in fakes.decoder.requests] == [0, 2]
    assert [row["frame"] for row in rows[OURS]] == [0, 2] and "warp_error" not in rows[OURS][1]
    assert ["psnr" in row for row in rows[THEIRS]] == [True, False, True, False]
    assert all("warp_error" in row for row in rows[THEIRS][1:])


def test_a_second_run_measures_nothing_again(walk, fakes):
    first = walk().run(TRACKS, dense=False, title="t")
    count = len(fakes.decoder.requests)
    assert walk().run(TRACKS, dense=False, title="t") == first
    assert len(fakes.decoder.requests) == count
    walk(facts={"bundle": "another"}).run([SIDE, OURS], dense=False, title="t")
    assert len(fakes.decoder.requests) == 2 * count


def test_an_interrupted_run_goes_on_and_ends_the_same(walk, fakes, tmp_path):
    class Stopping(Judge):
        calls = 0

        def measure(self, *arguments):
            Stopping.calls += 1
            if Stopping.calls > 4:
                raise KeyboardInterrupt
            return super().measure(*arguments)

    with pytest.raises(KeyboardInterrupt):
        walk(judge=Stopping(("psnr",))).run(TRACKS, dense=False, title="t")
    assert [r.frame for r in fakes.decoder.requests] == [0, 1, 2]
    resumed = walk().run(TRACKS, dense=False, title="t")
    # Frame 1 is decoded once more: frame 2's flicker needs its picture.
    assert sorted(r.frame for r in fakes.decoder.requests[3:]) == [1, 2, 3]
    for path in (tmp_path / "c" / "rows").iterdir():
        path.unlink()
    assert walk().run(TRACKS, dense=False, title="t") == resumed


def test_time_mends_every_frame_and_survives_an_interruption(walk, fakes):
    seen = []

    def show(frame, pictures):
        seen.append(frame)
        assert set(pictures) == {OURS, TWIN}
        if frame == 1 and len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walk(every=2).run([OURS, TWIN], dense=True, title="t", show=show)
    rows = walk(every=2).run([OURS, TWIN], dense=True, title="t", show=show)
    assert seen == [0, 1, 0, 1, 2, 3]
    # Each frame is decoded once for both, and not again after the interruption.
    assert [r.frame for r in fakes.decoder.requests] == [0, 1, 2, 3]
    assert ["psnr" in row for row in rows[TWIN]] == [True, False, True, False]
    calm, restless = (sum(row["warp_error"] for row in rows[t][1:]) for t in (TWIN, OURS))
    assert calm < restless  # the stand-in averages over time, so it must flicker less


def test_names_of_tracks_tell_them_apart():
    assert str(TWIN) == "main/mdic:2+av1:20+time"
    assert len({str(t) for t in (*TRACKS, TWIN)}) == 4
    assert OURS.side == SIDE


def test_time_needs_every_frame(walk):
    with pytest.raises(ValueError, match="dense"):
        walk().run([TWIN], dense=False, title="t")
