"""Which pictures are judged, which were captured before them."""

import numpy as np
import pytest

from benchmarks.robust.scenes import FIRST_STREET_SEED, StreetScene, choose, open_folder, open_streets, ssim
from common.errors import DatasetError, UsageError


def scene(data, name, sequences=None):
    return next(s for s in open_folder(data, sequences) if s.name == name)


def test_sequences_go_by_name_unless_told(data):
    assert {s.name: s.sequence for s in open_folder(data, None)} == {"pairs_b": False, "seq_a": True}
    assert {s.name: s.sequence for s in open_folder(data, "pairs_b")} == {"pairs_b": True, "seq_a": False}
    assert all(s.sequence for s in open_folder(data, "all"))
    assert not any(s.sequence for s in open_folder(data, "none"))
    with pytest.raises(UsageError, match="seq_x"):
        open_folder(data, "seq_x")


def test_pairs_are_cut_by_the_protocol(data):
    main, side = scene(data, "seq_a").pair(0)
    assert main.shape == side.shape == (128, 256, 3)
    assert np.abs(main[:, 7:].astype(int) - side[:, :-7]).mean() < 4  # 20 pixels at full size


def test_a_stale_view_is_the_right_view_of_an_earlier_frame(data):
    sequence = scene(data, "seq_a")
    place = next(p for p in choose([sequence], 1, None) if p.index == 5)
    assert place.name == "seq_a/000005"
    np.testing.assert_array_equal(place.stale(2), sequence.pair(3)[1])
    assert place.stale(5) is not None and place.stale(6) is None


def test_single_pairs_and_gaps_have_no_past(data, tmp_path):
    single = choose([scene(data, "pairs_b")], 1, None)[1]
    assert single.stale(1) is None
    for view in ("left", "right"):
        (tmp_path / "seq_gap" / view).mkdir(parents=True)
        for name in ("000000", "000003"):
            (tmp_path / "seq_gap" / view / f"{name}.png").write_bytes(
                (data / "seq_a" / view / f"{name}.png").read_bytes()
            )
    place = choose(open_folder(tmp_path, None), 1, None)[1]
    assert place.stale(1) is None and place.scene.earlier(place.index, 3) == 0


def test_choosing_thins_and_limits(data):
    scenes = open_folder(data, None)
    names = [p.name for p in choose(scenes, 1, None)]
    assert len(names) == 9 and names[:2] == ["pairs_b/000040", "pairs_b/000041"]
    assert [p.name for p in choose(scenes, 4, 2)] == [names[0], names[4]]
    for bad in ((0, None), (1, 0)):
        with pytest.raises(UsageError, match="at least 1"):
            choose(scenes, *bad)
    with pytest.raises(DatasetError, match="no stereo pair"):
        choose([], 1, None)


def test_streets_are_not_those_of_training_and_draw_when_asked(monkeypatch):
    drawn = []

    class Street:
        def __init__(self, seed, height, width):
            self.size, self.seed = (height, width, 3), seed

        def frame(self, index):
            drawn.append((self.seed, index))
            view = np.full(self.size, 10 * index, np.uint8)
            return type("Frame", (), {"main": view, "side": view + 1, "caption": f"frame {index}"})

    monkeypatch.setattr("benchmarks.robust.scenes.StereoStreet", Street)
    near, wide = open_streets(1), open_streets(1, wide=True)
    places = choose([*near, *wide], 1, None)
    assert not drawn and FIRST_STREET_SEED > 2000
    assert [p.name for p in places] == ["street-9001/005", "street-9001-wide/005"]
    for place in places:
        assert place.main.shape == (128, 256, 3)
        assert int(place.stale(2)[0, 0, 0]) == 31
        assert place.scene.caption(5) == "frame 5"
    assert sorted(set(drawn)) == [(9001, 3), (9001, 5)] and len(drawn) == 4
    assert places[0].scene.earlier(4, 5) is None


@pytest.mark.slow
def test_a_real_street_is_seen_wider_by_the_wide_camera():
    near, wide = StreetScene(9001), StreetScene(9001, wide=True)
    assert near.pair(5)[0].shape == wide.pair(5)[0].shape == (128, 256, 3)
    assert near.caption(5).startswith("a street")
    assert ssim(near.pair(5)[0], near.pair(5)[1]) < 0.99


def test_ssim_knows_the_same_from_another(data):
    a, b = scene(data, "seq_a").pair(0)[0], scene(data, "pairs_b").pair(0)[0]
    assert ssim(a, a) == pytest.approx(1.0)
    brighter = np.clip(a.astype(int) + 8, 0, 255).astype(np.uint8)
    assert ssim(a, b) < 0.7 < ssim(a, brighter) < 1
