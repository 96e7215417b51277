"""Rows are kept, taken up again, and never mixed with those of other settings."""

import json

import pytest

from benchmarks.robust.store import Store

PRINT = {"bundle": "aa", "qualities": [2, 5]}


def row(condition, quality, **more):
    return {"condition": condition, "label": condition.upper(), "quality": quality, **more}


def filled(path):
    store = Store(path, PRINT)
    store.add("base", "a/0", [row("none", 2, lpips_vgg=0.5), row("none", 5, lpips_vgg=0.25)])
    store.add("base", "a/1", [row("none", 2, lpips_vgg=0.123456789)])
    store.add("stale", "a/0", [])
    return store


def test_what_was_measured_is_found_again(tmp_path):
    path = tmp_path / "deep" / "robust.json"
    filled(path).save({"complete": False})
    again = Store(path, dict(PRINT))
    assert again.resumed and again.has("base", "a/1") and not again.has("base", "a/2")
    assert again.has("stale", "a/0") and again.places("stale") == set()
    assert again.places("base") == {"a/0", "a/1"}
    assert again.select("base", "none", 2, ["a/1"])[0]["lpips_vgg"] == 0.123457
    assert json.loads(path.read_text())["complete"] is False


def test_other_settings_begin_anew_and_keep_the_old_file(tmp_path, capsys):
    path = tmp_path / "robust.json"
    filled(path).save({})
    other = Store(path, PRINT | {"bundle": "bb"})
    assert not other.resumed and not other.rows
    assert (tmp_path / "robust.json.old").is_file() and not path.exists()
    assert "starting anew" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"sweeps": 3}'])
def test_a_file_that_holds_nothing_is_no_obstacle(tmp_path, content):
    path = tmp_path / "robust.json"
    path.write_text(content)
    assert Store(path, PRINT).rows == {}


def test_means_need_every_value(tmp_path):
    store = filled(tmp_path / "x.json")
    assert store.mean("lpips_vgg", "base", "none", 2) == pytest.approx((0.5 + 0.123457) / 2)
    assert store.mean("lpips_vgg", "base", "none", 5) == 0.25
    store.add("base", "a/2", [row("none", 2)])
    assert store.mean("lpips_vgg", "base", "none", 2) is None
    assert store.mean("lpips_vgg", "base", "none", 2, ["a/0"]) == 0.5
    assert store.conditions("base") == {"none": "NONE"} and store.qualities("base") == [2, 5]
