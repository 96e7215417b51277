"""Side views that are late, lost, stale, foreign, corrupt, of another size or by another clock: each frame decodes.

Everything through a real server into a real folder; what the index says of each frame is what is tested.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_cloud import Cloud, cloud, go, until
from fake_decoder import FakeDecoder, FakeFrame
from fake_edge import STEP_NS, Edge, coded, hello, main, new_stream, picture, side

from cloud.pairing import PairingLimits
from cloud.received import SUSPECT_TRUST
from cloud.sinks.images import ImageSink
from common.stream.messages import Mode, Role, SideFrame, Status
from common.types import SideState

WAIT = PairingLimits(wait_ns=400_000_000)


def lines(folder: Path) -> dict[int, dict]:
    read = [json.loads(line) for line in (folder / "car-1" / "index.jsonl").read_text().splitlines()]
    return {line["seq"]: line for line in read}


def run(
    folder: Path, steps: Callable, mode: Mode, decoder: FakeDecoder | None = None, role: Role = Role.BOTH
) -> Cloud:
    """Stream what `steps` sends; every frame must come back decoded and have its file."""
    seen: list[Cloud] = []

    async def check() -> None:
        async with cloud(decoder, pairing=WAIT, sinks=(ImageSink(folder),)) as c:
            seen.append(c)
            edge = c.edge()
            await edge.open(hello(role, mode=mode))
            await steps(c, edge)
            await edge.end()
            assert edge.acks and {a.status for a in edge.acks.values()} == {Status.DECODED}
            kept = lines(folder)
            assert {seq: a.side.value for seq, a in edge.acks.items()} == {
                s: k["side"] for s, k in kept.items()
            }
            assert len(list((folder / "car-1" / "main").glob("*.png"))) == len(edge.acks)

    go(check())
    return seen[0]


modes = pytest.mark.parametrize("mode", list(Mode))


@modes
def test_nothing_is_said_of_a_side_view_that_is_as_it_should_be(tmp_path: Path, mode: Mode) -> None:
    async def steps(c: Cloud, edge: Edge) -> None:
        await edge.send(side(0), main(0))

    run(tmp_path, steps, mode)
    assert lines(tmp_path)[0]["side"] == "exact" and "side_note" not in lines(tmp_path)[0]


@modes
def test_late(tmp_path: Path, mode: Mode) -> None:
    async def steps(c: Cloud, edge: Edge) -> None:
        await edge.send(side(0), main(0), main(1))
        await until(lambda: c.totals.frames[Status.DECODED] == 2)
        await edge.send(side(1), side(2), main(2))

    totals = run(tmp_path, steps, mode).totals
    kept = lines(tmp_path)
    assert (kept[1]["side"], kept[1]["side_note"]) == ("stale", "late")
    assert kept[2]["side"] == "exact" and totals.sides_lost == {"late": 1}


@modes
def test_late_with_nothing_before_it(tmp_path: Path, mode: Mode) -> None:
    async def steps(c: Cloud, edge: Edge) -> None:
        await edge.send(main(0))
        await until(lambda: c.totals.frames[Status.DECODED] == 1)
        await edge.send(side(0))

    totals = run(tmp_path, steps, mode).totals
    assert (lines(tmp_path)[0]["side"], lines(tmp_path)[0]["side_note"]) == ("missing", "late")
    assert totals.sides_lost == {"late": 1}


@modes
def test_lost(tmp_path: Path, mode: Mode) -> None:
    async def steps(c: Cloud, edge: Edge) -> None:
        await edge.send(side(0), main(0), side(2), main(1), main(2))

    run(tmp_path, steps, mode)
    kept = lines(tmp_path)
    assert (kept[1]["side"], kept[1]["side_note"]) == ("stale", "lost")
    assert [kept[s]["side"] for s in (0, 2)] == ["exact", "exact"]


@modes
def test_stale_and_then_too_old_to_use(tmp_path: Path, mode: Mode) -> None:
    async def steps(c: Cloud, edge: Edge) -> None:
        await edge.send(side(0), main(0), main(5), main(50))

    run(tmp_path, steps, mode)
    kept = lines(tmp_path)
    assert [kept[s]["side"] for s in (0, 5, 50)] == ["exact", "stale", "missing"]
    assert kept[5]["side_note"] in ("late", "lost") and kept[50]["side_note"] in ("late", "lost")


@modes
@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: good[: len(good) // 2],
        lambda good: b"\x00" * len(good),
        lambda good: good[:40] + bytes(255 - b for b in good[40:60]) + good[60:],
        lambda good: b"RIFF",
    ],
)
def test_corrupt(tmp_path: Path, mode: Mode, spoil: Callable[[bytes], bytes]) -> None:
    rng = np.random.default_rng(0)
    good = coded(rng.integers(0, 256, (64, 96, 3), np.uint8))

    async def steps(c: Cloud, edge: Edge) -> None:
        await edge.send(side(0), main(0), SideFrame(1, STEP_NS, spoil(good)), main(1), side(2), main(2))

    totals = run(tmp_path, steps, mode).totals
    kept = lines(tmp_path)
    assert (kept[1]["side"], kept[1]["side_note"]) == ("stale", "corrupt")
    assert kept[2]["side"] == "exact" and sum(totals.sides_lost.values()) == 1


@modes
def test_other_size(tmp_path: Path, mode: Mode) -> None:
    async def steps(c: Cloud, edge: Edge) -> None:
        await edge.send(SideFrame(0, 0, coded(picture(9, 128, 192))), main(0), side(1), main(1))

    totals = run(tmp_path, steps, mode).totals
    kept = lines(tmp_path)
    assert (kept[0]["side"], kept[0]["side_note"]) in (("missing", "other size"), ("stale", "other size"))
    assert kept[1]["side"] == "exact" and totals.sides_lost == {"FrameSizeError": 1}


@modes
@pytest.mark.parametrize("skew_s", [3600, -3600, 2.5, -2.5])
def test_clock_skew(tmp_path: Path, mode: Mode, skew_s: float) -> None:
    """The side camera's clock is wrong: after some frames the cloud knows by how much."""
    skew_ns, count = round(skew_s * 1e9), 30
    begin = 10_000_000_000_000

    async def steps(c: Cloud, edge: Edge) -> None:
        for seq in range(count):
            at = begin + STEP_NS * seq
            await edge.send(SideFrame(seq, at - skew_ns, side(seq).data), main(seq, capture_ns=at))
            await until(lambda seq=seq: c.totals.received == seq + 1)

    run(tmp_path, steps, mode)
    kept = lines(tmp_path)
    late = [seq for seq in range(count) if kept[seq]["side"] != "exact"]
    assert late == list(range(len(late))) and len(late) <= 8
    assert {kept[s]["side_note"] for s in range(8, count)} == {f"skew {round(skew_s * 1000):+d} ms"}
    # It is the view of the same moment, not just any.
    reds = [int(c[0, 0, 1]) for c in pictures(tmp_path, range(8, count))]
    assert reds == [seq + 10 for seq in range(8, count)]


def pictures(folder: Path, numbers: range) -> list[np.ndarray]:
    import cv2

    return [cv2.imread(str(folder / "car-1" / "main" / f"{seq:06d}.png"))[..., ::-1] for seq in numbers]


class Doubtful(FakeDecoder):
    """A decoder that finds the side view of no use where it is bright, as one of another place would be."""

    def _frame(self, request) -> FakeFrame:  # type: ignore[no-untyped-def]
        made = super()._frame(request)
        trust = 0.02 if request.side is not None and request.side[0, 0, 0] > 100 else 0.8
        return FakeFrame(made.image, np.full(made.mask.shape, trust, np.float32), made.disparity, made.image)


@modes
def test_from_the_wrong_drive(tmp_path: Path, mode: Mode) -> None:
    """Right time, wrong place: the decoder does not trust it, and the index says how little."""

    async def steps(c: Cloud, edge: Edge) -> None:
        await edge.send(side(0), main(0), side(1, red=200), main(1), side(2), main(2))

    totals = run(tmp_path, steps, mode, Doubtful()).totals
    kept = lines(tmp_path)
    assert [kept[s]["side_trust"] for s in range(3)] == [0.8, 0.02, 0.8]
    assert [kept[s].get("side_suspect", False) for s in range(3)] == [False, True, False]
    assert kept[1]["side"] == "exact" and totals.suspects == 1


def test_a_drive_of_another_day_is_of_another_time(tmp_path: Path) -> None:
    """Replayed side views with their old capture times: either the clock is taken for wrong, or they are not used."""

    async def check() -> None:
        async with cloud(pairing=WAIT, sinks=(ImageSink(tmp_path),)) as c:
            view, other = c.edge(), c.edge()
            await view.open(hello(Role.MAIN))
            await other.open(hello(Role.SIDE, stream_id=new_stream()))
            rng = np.random.default_rng(3)
            for seq in range(12):
                gap = int(rng.integers(0, 10**12))  # no constant difference: another recording altogether
                await other.send(SideFrame(seq, 10**15 * (seq + 1) + gap, side(seq).data))
                await view.send(main(seq))
            await view.end()
            await asyncio.sleep(0)
            assert {a.side for a in view.acks.values()} == {SideState.MISSING} and len(view.acks) == 12

    go(check())


@pytest.mark.data
@pytest.mark.slow
def test_the_real_decoder_doubts_a_side_view_of_another_drive(mdic_data: Path) -> None:
    """Its mask parts the right side view from one of elsewhere, whichever of two places the frame is from."""
    import cv2

    from cloud.decoder import Decoder, DecodeRequest
    from common.bundle import Bundle
    from edge.encoder import Encoder

    def load(path: Path) -> np.ndarray:
        image = cv2.imread(str(path))[..., ::-1]
        height, width = image.shape[:2]
        left = (width - 2 * height) // 2
        square = image[:, left : left + 2 * height]
        return np.ascontiguousarray(cv2.resize(square, (256, 128), interpolation=cv2.INTER_AREA))

    places = [
        sorted((mdic_data / "test" / name / "left").iterdir())[0] for name in ("pairs_2015", "seq_drive0009")
    ]
    bundle = Bundle.load(None)
    encoder, decoder = Encoder(bundle, 1), Decoder(bundle, "cpu")
    rights = [load(path.parent.parent / "right" / path.name) for path in places]
    for place, path in enumerate(places):
        packet = encoder.encode(load(path), 3).packet
        trust = [
            float(decoder.decode(DecodeRequest(packet, 128, 256, rights[n], steps=1)).mask.mean())
            for n in (place, 1 - place)
        ]
        assert trust[0] > SUSPECT_TRUST + 0.2 and trust[1] < SUSPECT_TRUST - 0.05
