"""cloud.networks: a bundle's networks, opened, and refused where they do not fit."""

import dataclasses
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from cloud.networks import (
    ADDITIONS,
    DECODER,
    DOUBLED,
    LARGE,
    REFINER,
    large_from,
    load_added,
    load_codec,
    load_refiner,
    shares,
)
from cloud.rebundle import manifest_text
from cloud.tensors import read_tensors
from common.bundle import Bundle
from common.errors import BundleCorrupt

CPU = torch.device("cpu")
NAME = "pixels.fuse.bias"


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.load()


def changed(bundle: Bundle, folder, change=None, file=DECODER, **tables) -> Bundle:
    """Copy a bundle with one of its files changed, or with another one beside, and with other tables."""
    shutil.copytree(bundle.path, folder)
    path = folder / file
    if change is not None:
        parts = load_file(path) if path.exists() else {}
        path.unlink(missing_ok=True)
        save_file(change(parts), path)
    facts = {k: v for k, v in bundle.manifest.items() if isinstance(v, dict | list) and k != "files"} | tables
    files = list(dict.fromkeys([*bundle.manifest["files"], file]))
    (folder / "manifest.toml").write_text(manifest_text("changed", facts, files, folder))
    return Bundle.load(folder)


def test_the_shipped_networks_open_ready_to_decode(shipped):
    model = load_codec(shipped, CPU)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    stored = read_tensors(shipped.file(DECODER))
    assert model.state_dict()[NAME].equal(stored[NAME])
    assert not load_refiner(shipped, CPU).training and len(shares(shipped)) == 8
    assert load_added(shipped, model, LARGE).geometry.sweep and not model.geometry.sweep


def test_weights_that_are_missing_or_unknown_are_refused(shipped, tmp_path):
    less = changed(shipped, tmp_path / "less", lambda w: {k: v for k, v in w.items() if k != NAME})
    more = changed(shipped, tmp_path / "more", lambda w: w | {"surplus": torch.zeros(1)})
    other = changed(shipped, tmp_path / "other", lambda w: w | {NAME: torch.zeros(7)})
    for bundle, what in ((less, NAME), (more, "surplus"), (other, NAME)):
        with pytest.raises(BundleCorrupt, match=what):
            load_codec(bundle, CPU)
    with pytest.raises(BundleCorrupt, match="unexpected keyword"):
        load_codec(changed(shipped, tmp_path / "model", model=shipped.manifest["model"] | {"wings": 2}), CPU)


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda one: one.name)
def test_without_an_addition_its_frames_have_the_same_network(shipped, tmp_path, addition):
    plain = changed(shipped, tmp_path / "plain")
    files = {k: v for k, v in plain.manifest["files"].items() if k != addition.file}
    plain.manifest["files"] = files
    model = load_codec(plain, CPU)
    assert load_added(plain, model, addition) is model


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda one: one.name)
def test_an_addition_leaves_the_first_network_as_it_is(shipped, tmp_path, addition):
    before = load_file(shipped.file(DECODER))[NAME].float()
    bundle = changed(
        shipped,
        tmp_path / "b",
        lambda _: {NAME + ".delta": torch.full_like(before, 0.5).half()},
        addition.file,
        large={"pixels": 7},
    )
    model = load_codec(bundle, CPU)
    other = load_added(bundle, model, addition)
    assert model.state_dict()[NAME].equal(before)
    torch.testing.assert_close(other.state_dict()[NAME], before + 0.5)
    for name, value in model.state_dict().items():
        assert name == NAME or value.equal(other.state_dict()[name]), name
    assert not other.training and not any(p.requires_grad for p in other.parameters())


@pytest.mark.parametrize(
    "addition",
    [{"gone.delta": torch.zeros(2)}, {NAME + ".delta": torch.zeros(2)}, {NAME + ".up": torch.zeros(2, 1)}],
)
def test_an_addition_that_does_not_fit_is_refused(shipped, tmp_path, addition):
    bundle = changed(shipped, tmp_path / "b", lambda _: addition, DOUBLED.file)
    with pytest.raises(BundleCorrupt, match="doubled"):
        load_added(bundle, load_codec(bundle, CPU), DOUBLED)


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("swept", [False, True])
def test_the_frames_of_an_addition_alone_are_swept_where_the_manifest_says_so(
    shipped, tmp_path, addition, swept
):
    bundle = changed(
        shipped, tmp_path / "b", lambda _: {}, addition.file, **{addition.name: {"pixels": 7, "sweep": swept}}
    )
    model = load_codec(bundle, CPU)
    other = load_added(bundle, model, addition)
    assert other.geometry.sweep is swept and not model.geometry.sweep
    bundle.manifest[addition.name].pop("sweep")
    assert not load_added(bundle, model, addition).geometry.sweep
    model.geometry.sweep = True  # a model that is swept everywhere
    assert load_added(bundle, model, addition).geometry.sweep


@pytest.mark.parametrize(("swept", "attention"), [(1, "row"), ("yes", "row"), (True, "global")])
def test_a_sweep_that_is_not_said_or_cannot_be_is_refused(shipped, tmp_path, swept, attention):
    bundle = changed(shipped, tmp_path / "b", lambda _: {}, LARGE.file, large={"pixels": 7, "sweep": swept})
    model = load_codec(bundle, CPU)
    model.config = dataclasses.replace(model.config, attention=attention)
    with pytest.raises(BundleCorrupt, match=r"large\.sweep"):
        load_added(bundle, model, LARGE)


@pytest.mark.parametrize("facts", [{}, {"pixels": -1}, {"pixels": "many"}, {"pixels": True}, {"pixels": 1.5}])
def test_the_weights_for_large_frames_need_to_know_what_is_large(shipped, tmp_path, facts):
    bundle = changed(shipped, tmp_path / "b", lambda _: {}, LARGE.file, large=facts)
    with pytest.raises(BundleCorrupt, match=r"large\.pixels"):
        large_from(bundle)


def test_large_frames_begin_above_the_number_of_the_manifest(shipped, tmp_path):
    bundle = changed(shipped, tmp_path / "b", lambda _: {}, LARGE.file, large={"pixels": 999})
    assert large_from(bundle) == 1000
    bundle.manifest["files"].pop(LARGE.file)
    assert large_from(bundle) == 0


def test_a_damaged_file_is_refused(shipped, tmp_path):
    for name, opened in (
        (DECODER, lambda b: load_codec(b, CPU)),
        (REFINER, lambda b: load_refiner(b, CPU)),
        *((one.file, lambda b, one=one: load_added(b, load_codec(b, CPU), one)) for one in ADDITIONS),
    ):
        bundle = changed(shipped, tmp_path / name, lambda _: {"x": torch.zeros(1)}, name)
        bundle.file(name).write_bytes(b"no tensors")
        with pytest.raises(BundleCorrupt, match="sha256"):
            opened(bundle)
        facts = {k: v for k, v in bundle.manifest.items() if isinstance(v, dict | list) and k != "files"}
        text = manifest_text("b", facts, list(bundle.manifest["files"]), bundle.path)
        (bundle.path / "manifest.toml").write_text(text)
        with pytest.raises(BundleCorrupt, match=name):
            opened(Bundle.load(bundle.path))
