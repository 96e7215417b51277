from __future__ import annotations

import numpy as np
import pytest

from common.synthetic.geometry import Light, Mesh, Pose, Rig, clip, outline, quad
from common.synthetic.textures import Texture

GREY = Texture(np.full((4, 4, 3), 128, np.uint8))


def test_a_face_looks_where_its_texture_is_read() -> None:
    wall = quad((-1, 2, 5), (2, 0, 0), (0, -2, 0), GREY, 2)
    assert np.allclose(wall.normal(), (0, 0, -1))
    roof = outline([(-1, 2, 6), (1, 2, 6), (1, 2, 4), (-1, 2, 4)], GREY, 2)
    assert np.allclose(roof.normal(), (0, 1, 0))
    assert np.allclose(np.linalg.norm(roof.frame[1:], axis=1), (2, 2))


def test_a_placed_mesh_turns_to_the_right() -> None:
    mesh = Mesh.of([quad((-1, 1, 3), (2, 0, 0), (0, -1, 0), GREY, 13)]).placed(10, 20, np.pi / 2)
    assert np.allclose(mesh.points[0, 0], (13, 1, 21))
    assert np.allclose(mesh.normals[0], (-1, 0, 0))


def test_light_leaves_fixed_shades_alone() -> None:
    faces = [quad((0, 1, 0), (1, 0, 0), (0, -1, 0), GREY, 2, shade) for shade in (None, 0.25)]
    light = Light(np.array((0.0, 0.0, -1.0)), 0.5, 0.4, (1, 1, 1))
    assert np.allclose(Mesh.of(faces).lit(light).shades, (0.5 * 0.85 + 0.4, 0.25))


def test_pose_axes_are_right_down_forward() -> None:
    assert np.allclose(Pose.of(0, 0, 0, 0, 0).axes, ((1, 0, 0), (0, -1, 0), (0, 0, 1)))
    turned = Pose.of(1, 2, 3, 0.3, -0.1).axes
    assert np.allclose(turned @ turned.T, np.eye(3))
    assert turned[2, 0] > 0 and turned[2, 1] < 0


def test_rig_is_kitti_like() -> None:
    rig = Rig.kitti_like(256, 832)
    assert rig.baseline_m == 0.54
    assert rig.focal_px == pytest.approx(0.58 * 832)
    assert rig.centre_y == pytest.approx(0.45 * 256, abs=1)


def test_clip_cuts_keeps_and_drops() -> None:
    square = np.array(((0.0, 0, 1), (2, 0, 1), (2, 2, 1), (0, 2, 1)))
    left_of_one = np.array(((-1.0, 0, 0, 1),))
    cut = clip(square, left_of_one)
    assert cut[:, 0].max() == 1 and len(cut) == 4
    assert np.array_equal(clip(square, np.array(((0.0, 0, 1, 0),))), square)
    assert clip(square, np.array(((0.0, 0, -1, 0),))).shape == (0, 3)
