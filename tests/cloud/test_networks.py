"""cloud.networks: a bundle's networks, opened, and refused where they do not fit."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from cloud.networks import DECODER, DOUBLED, REFINER, load_codec, load_doubled, load_refiner, shares
from cloud.rebundle import manifest_text
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
    stored = load_file(shipped.file(DECODER))
    assert model.state_dict()[NAME].equal(stored[NAME].float())
    assert not load_refiner(shipped, CPU).training and len(shares(shipped)) == 8


def test_weights_that_are_missing_or_unknown_are_refused(shipped, tmp_path):
    less = changed(shipped, tmp_path / "less", lambda w: {k: v for k, v in w.items() if k != NAME})
    more = changed(shipped, tmp_path / "more", lambda w: w | {"surplus": torch.zeros(1)})
    other = changed(shipped, tmp_path / "other", lambda w: w | {NAME: torch.zeros(7)})
    for bundle, what in ((less, NAME), (more, "surplus"), (other, NAME)):
        with pytest.raises(BundleCorrupt, match=what):
            load_codec(bundle, CPU)
    with pytest.raises(BundleCorrupt, match="unexpected keyword"):
        load_codec(changed(shipped, tmp_path / "model", model=shipped.manifest["model"] | {"wings": 2}), CPU)


def test_without_an_addition_double_size_has_the_same_network(shipped, tmp_path):
    plain = changed(shipped, tmp_path / "plain")
    files = {k: v for k, v in plain.manifest["files"].items() if k != DOUBLED}
    plain.manifest["files"] = files
    model = load_codec(plain, CPU)
    assert load_doubled(plain, model) is model


def test_an_addition_is_for_double_size_alone(shipped, tmp_path):
    before = load_file(shipped.file(DECODER))[NAME].float()
    bundle = changed(
        shipped, tmp_path / "b", lambda _: {NAME + ".delta": torch.full_like(before, 0.5).half()}, DOUBLED
    )
    model = load_codec(bundle, CPU)
    doubled = load_doubled(bundle, model)
    assert model.state_dict()[NAME].equal(before)
    torch.testing.assert_close(doubled.state_dict()[NAME], before + 0.5)
    for name, value in model.state_dict().items():
        assert name == NAME or value.equal(doubled.state_dict()[name]), name
    assert not doubled.training and not any(p.requires_grad for p in doubled.parameters())


@pytest.mark.parametrize(
    "addition",
    [{"gone.delta": torch.zeros(2)}, {NAME + ".delta": torch.zeros(2)}, {NAME + ".up": torch.zeros(2, 1)}],
)
def test_an_addition_that_does_not_fit_is_refused(shipped, tmp_path, addition):
    bundle = changed(shipped, tmp_path / "b", lambda _: addition, DOUBLED)
    with pytest.raises(BundleCorrupt, match="doubled"):
        load_doubled(bundle, load_codec(bundle, CPU))


def test_a_damaged_file_is_refused(shipped, tmp_path):
    for name, opened in (
        (DECODER, lambda b: load_codec(b, CPU)),
        (REFINER, lambda b: load_refiner(b, CPU)),
        (DOUBLED, lambda b: load_doubled(b, load_codec(b, CPU))),
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
