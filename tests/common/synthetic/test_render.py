from __future__ import annotations

import numpy as np
import pytest

from common.synthetic.geometry import Pose, Rig
from common.synthetic.labels import ROAD, SIDEWALK, SKY
from common.synthetic.render import Renderer
from common.synthetic.scene import Street


@pytest.fixture(scope="module")
def street() -> Street:
    return Street(3)


def test_an_empty_street_is_sky_over_ground(street: Street) -> None:
    rig = Rig.kitti_like(128, 256)
    pose = Pose.of(float(street.bend(0.0)) + 1.6, 1.65, 0.0, street.heading(0.0), 0.0)
    (view,) = Renderer(street, rig).draw(pose, [], stereo=False)
    assert (view.labels[:40] == SKY).all() and (view.disparity[:40] == 0).all()
    assert (view.labels[-1] == ROAD).any()
    assert (view.labels[70] == SIDEWALK).any()
    assert (view.owners == -1).all()
    depth = rig.focal_px * rig.baseline_m / view.disparity[-1, view.labels[-1] == ROAD]
    assert np.allclose(depth, rig.focal_px * 1.65 / (127 - rig.centre_y), rtol=1e-4)


def test_looking_up_shows_no_ground(street: Street) -> None:
    rig = Rig.kitti_like(64, 64)
    (view,) = Renderer(street, rig).draw(Pose.of(0, 1.65, 0, 0, 1.2), [], stereo=False)
    assert view.disparity.max() == 0


def test_both_views_share_the_sky(street: Street) -> None:
    main, side = Renderer(street, Rig.kitti_like(64, 128)).draw(Pose.of(0, 1.65, 0, 0, 0), [])
    assert np.array_equal(main.image[:20], side.image[:20])
    assert not np.array_equal(main.image[50:], side.image[50:])


def test_the_shadow_of_a_thing_darkens_the_ground_under_it(street: Street) -> None:
    renderer = Renderer(street, Rig.kitti_like(64, 128))
    car = next(i for i in street.instances(0.0) if i.contact is not None)
    pose = Pose.of(0, 1.65, car.v_m - 10, 0, 0)
    shadow, start = renderer._shadow_map(pose, [car])
    row, column = int((car.v_m - start) * 8), int((car.u_m + 16) * 8)
    assert shadow[row, column] < 120
    assert renderer._shadow_map(pose, [])[0].min() == 255
