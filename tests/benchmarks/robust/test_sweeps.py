"""What each sweep asks of the decoder."""

import numpy as np
import pytest

from benchmarks.robust import sweeps
from benchmarks.robust.scenes import choose, open_folder
from benchmarks.robust.sweeps import SWEEPS, World


@pytest.fixture
def world(data):
    scenes = open_folder(data, None)
    return World(choose(scenes, 1, None), scenes)


def place(world, name):
    return next(p for p in world.places if p.name == name)


def test_the_references_are_with_without_and_for_nothing(world):
    lossless, none, copied, shifted = sweeps.base(world, world.places[0])
    assert lossless.side is not None and lossless.side_bytes > 1000
    assert none.side is None and none.picture is None
    np.testing.assert_array_equal(copied.picture, lossless.side)
    assert shifted.control_bytes == 1 and shifted.extra["shift_px"] == 7


def test_lossy_views_are_restored_and_some_also_are_not(world):
    pytest.importorskip("av", reason="HEVC needs PyAV")
    found = {c.key: c for c in sweeps.side(world, world.places[0])}
    plain = {key for key in found if key.endswith(":plain")}
    assert plain == {f"{key}:plain" for key in sweeps.UNRESTORED}
    assert all(c.lossy == (key not in plain) for key, c in found.items())
    for key in plain:
        restored = found[key.removesuffix(":plain")]
        np.testing.assert_array_equal(found[key].side, restored.side)
        assert found[key].side_bytes == restored.side_bytes and found[key].x is None  # no point of a curve


def test_stale_views_or_nothing(world):
    found = sweeps.stale(world, place(world, "seq_a/000006"))
    assert [c.key for c in found] == ["stale:1", "stale:2", "stale:5"] and [c.x for c in found] == [1, 2, 5]
    assert found[0].extra["ssim"] == max(c.extra["ssim"] for c in found) < 1
    assert sweeps.stale(world, place(world, "seq_a/000003")) == []
    assert sweeps.stale(world, place(world, "pairs_b/000040")) == []


def test_wrong_views_are_of_elsewhere_and_sorted_by_likeness(world):
    found = sweeps.wrong(world, place(world, "seq_a/000002"))
    assert {c.extra["from"] for c in found} == {"pairs_b/000040", "pairs_b/000041"}
    found = sweeps.wrong(world, place(world, "pairs_b/000040"))
    assert len(found) == sweeps.WRONG_VIEWS and found[0].extra["from"] == "pairs_b/000041"
    assert all(c.extra["from"] != "pairs_b/000040" for c in found)
    likeness = [c.extra["ssim"] for c in found]
    assert likeness == sorted(likeness, reverse=True) and [c.x for c in found] == likeness


def test_a_single_sequence_has_nothing_from_elsewhere(data):
    scenes = [s for s in open_folder(data, None) if s.name == "seq_a"]
    world = World(choose(scenes, 1, None), scenes)
    assert sweeps.wrong(world, world.places[0]) == []


def test_steps_and_thresholds_are_those_of_the_figures(world):
    at = world.places[0]
    assert [c.steps for c in sweeps.steps(world, at)] == [1, 2, 4, 5, 10, 20]
    assert [c.threshold for c in sweeps.theta(world, at)] == [
        0.0,
        0.2,
        0.4,
        0.6,
        0.7,
        0.8,
        0.9,
    ]
    assert all(c.side is at.side for c in [*sweeps.steps(world, at), *sweeps.theta(world, at)])


def test_files_have_no_true_caption_streets_do(world, monkeypatch):
    at = world.places[0]
    plain = {c.key: c.caption for c in sweeps.captions(world, at)}
    assert plain["caption:empty"] == "" and plain["caption:wrong"] == sweeps.WRONG_CAPTION
    assert "caption:true" not in plain and plain["caption:keyword:car"] == "car"
    for scene in world.scenes:
        monkeypatch.setattr(scene, "caption", lambda index, scene=scene: f"{scene.name} {index}")
    told = {c.key: c.caption for c in sweeps.captions(world, at)}
    assert told["caption:true"] == "pairs_b 0" and told["caption:other"] == "seq_a 0"


def test_only_the_domain_runs_elsewhere(world):
    foreign = World(world.places[:1], world.scenes, world.places[1:2])
    assert {s.name for s in SWEEPS.values() if s.places(foreign) == world.places[1:2]} == {"domain"}
    fewer = {s.name for s in SWEEPS.values() if len(s.places(world)) < len(world.places) and not s.on_foreign}
    assert fewer == {"steps", "theta", "captions"}
    keys = [c.key for c in SWEEPS["domain"].make(foreign, foreign.foreign[0])]
    assert keys == ["street:lossless", "street:none", "street:side-copied", "street:best-shift"]
