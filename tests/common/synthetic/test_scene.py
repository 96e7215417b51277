from __future__ import annotations

import numpy as np
import pytest

from common.synthetic.scene import VIEW_M, Street


@pytest.fixture(scope="module")
def street() -> Street:
    return Street(8)


def test_the_list_is_painted_from_far_to_near(street: Street) -> None:
    found = street.instances(3.0)
    ends = [instance.far_m for instance in found]
    assert ends == sorted(ends, reverse=True)
    ego = street.ego_v(3.0)
    assert ego - 8 < ends[-1] and ends[0] < ego + VIEW_M
    assert {"building"} <= {instance.kind for instance in found}


def test_nothing_stands_in_the_ego_lane_but_traffic(street: Street) -> None:
    for instance in street.instances(1.0):
        if instance.kind != "car":
            assert abs(instance.u_m) > street.style.half_road_m - 0.01, instance.kind


def test_parked_things_stay_and_oncoming_cars_come(street: Street) -> None:
    def places(seconds: float, kind: str) -> set[tuple[float, float]]:
        return {(round(i.u_m, 3), round(i.v_m, 3)) for i in street.instances(seconds) if i.kind == kind}

    assert len(places(0.0, "building") & places(2.0, "building")) > 5
    lane = street.style.lane_m / 2
    moving = [
        {i.v_m for i in street.instances(t) if i.kind == "car" and abs(i.u_m + lane) < 0.7}
        for t in (0.0, 0.5)
    ]
    if moving[0] and moving[1]:
        nearest = [min(v) for v in moving]
        assert nearest[0] not in moving[1]


def test_the_heading_follows_the_bend(street: Street) -> None:
    for v in (0.0, 55.5, 300.0):
        slope = float(street.bend(v + 0.01) - street.bend(v - 0.01)) / 0.02
        assert np.tan(street.heading(v)) == pytest.approx(slope, abs=1e-4)


def test_seeds_give_different_streets_and_any_seed_works() -> None:
    styles = [Street(seed).style for seed in (0, -1, 2**70)]
    assert len({(style.lane_m, style.haze_m) for style in styles}) == 3


def test_shadows_only_where_the_sun_shines() -> None:
    for seed in (8, 9, 10):
        scene = Street(seed)
        cast = any(i.shadow is not None for i in scene.instances(0.0))
        assert cast == (scene.style.light.direct >= 0.3)
