from __future__ import annotations

import numpy as np
import pytest

from common.synthetic.geometry import Mesh, Pose, Rig, quad
from common.synthetic.polygons import PolygonPainter, View
from common.synthetic.textures import Texture

RIG = Rig.kitti_like(64, 128)
POSE = Pose.of(0, 0, 0, 0, 0)


def views() -> list[View]:
    return [
        View(offset, np.zeros((64, 128, 3), np.uint8), np.zeros((64, 128), np.float32),
             np.full((64, 128), 255, np.uint8), np.full((64, 128), -1, np.int16))
        for offset in (0.0, RIG.baseline_m)
    ]  # fmt: skip


def wall(z: float, half: float, value: int, shade: float = 1.0, alpha: int | None = None) -> Mesh:
    texture = np.full((8, 8, 3 if alpha is None else 4), value, np.uint8)
    if alpha is not None:
        texture[..., 3] = alpha
    return Mesh.of([quad((-half, half, z), (2 * half, 0, 0), (0, -2 * half, 0), Texture(texture), 2, shade)])


def test_a_wall_has_its_size_its_disparity_and_its_place_in_both_views() -> None:
    pair = views()
    PolygonPainter(RIG).paint(pair, POSE, [wall(10.0, 1.0, 200)])
    main, side = pair
    expected = RIG.focal_px * RIG.baseline_m / 10
    columns = [np.flatnonzero(view.image[29, :, 0] > 100) for view in pair]
    assert len(columns[0]) == pytest.approx(2 * RIG.focal_px / 10, abs=1.5)
    assert columns[0].mean() - columns[1].mean() == pytest.approx(expected, abs=0.6)
    assert np.allclose(main.disparity[main.labels == 2], expected, rtol=1e-5)
    assert side.disparity.max() == pytest.approx(expected, rel=1e-5)
    assert (main.owners[main.labels == 2] == 0).all()


def test_what_comes_later_covers_what_came_before() -> None:
    pair = views()
    PolygonPainter(RIG).paint(pair, POSE, [wall(20.0, 4.0, 50), wall(10.0, 1.0, 200)])
    assert pair[0].image[29, 64, 0] == 200
    assert set(np.unique(pair[0].owners)) == {-1, 0, 1}


def test_shade_and_transparency() -> None:
    pair = views()
    PolygonPainter(RIG).paint(pair, POSE, [wall(10.0, 2.0, 200, shade=0.5), wall(5.0, 1.0, 250, alpha=0)])
    assert pair[0].image[29, 64, 0] == 100
    assert pair[0].owners[29, 64] == 0


def test_backs_and_what_is_behind_the_camera_are_not_drawn() -> None:
    back = quad((1, 1, 10), (-2, 0, 0), (0, -2, 0), Texture(np.full((4, 4, 3), 9, np.uint8)), 2, 1.0)
    pair = views()
    PolygonPainter(RIG).paint(pair, POSE, [Mesh.of([back]), wall(-10.0, 5.0, 200)])
    PolygonPainter(RIG).paint(pair, POSE, [])
    assert pair[0].image.max() == 0


def test_a_face_that_passes_the_camera_is_cut() -> None:
    texture = Texture(np.full((64, 64, 3), 90, np.uint8))
    right = quad((2, 2, 30), (0, 0, -60), (0, -4, 0), texture, 2, 1.0)
    pair = views()
    PolygonPainter(RIG).paint(pair, POSE, [Mesh.of([right])])
    assert pair[0].image[29, 127, 0] == 90 and pair[0].image[29, 60, 0] == 0
    # x = 2 m at the last column: depth = 2 f / (x - cx).
    assert pair[0].disparity[29, 127] == pytest.approx(RIG.baseline_m * (127 - RIG.centre_x) / 2, rel=1e-4)
