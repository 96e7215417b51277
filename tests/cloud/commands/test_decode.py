"""`mdic-cloud decode` with a decoder without networks: files, folders, reports, errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_decoder import BUNDLE_ID, POISON, FakeDecoder, FakeFrame, packet_of
from fake_drive import drive_frame
from fake_edge import coded, picture

from cloud.__main__ import main
from cloud.commands import decode
from cloud.temporal.stream import TemporalFusion
from common.bitstream.checksum import crc32c
from common.bitstream.container import Container
from common.bitstream.packet import Packet
from common.bitstream.session import SessionFacts
from common.errors import (
    BadMagic,
    ChecksumMismatch,
    CorruptPayload,
    ForeignBundle,
    FrameSizeError,
    ImageUnreadable,
    Oversize,
    UsageError,
)


class Bundle:
    id = BUNDLE_ID


@pytest.fixture(autouse=True)
def decoder(monkeypatch: pytest.MonkeyPatch) -> FakeDecoder:
    fake = FakeDecoder()
    monkeypatch.setattr(decode, "open_decoder", fake.opened)
    monkeypatch.setattr(decode.Bundle, "load", lambda _: Bundle())
    return fake


def write(path: Path, payload: bytes = b"\x07", bundle_id: bytes = BUNDLE_ID) -> Path:
    facts = SessionFacts(bundle_id, 64, 96)
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(Container(facts, packet_of(payload, bundle_id=bundle_id)).serialize())
    return path


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1]


def test_one_file_with_side_view_and_report(tmp_path: Path, decoder: FakeDecoder, capsys) -> None:
    source = write(tmp_path / "a.mdic")
    (tmp_path / "side.png").write_bytes(coded(picture(50), ".png"))
    target = tmp_path / "new" / "b.png"
    assert main(["decode", str(source), str(target), "--side", str(tmp_path / "side.png"), "--json"]) == 0
    assert tuple(read(target)[0, 0]) == (7, 50, 0)
    (line,) = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    packet = packet_of(b"\x07")
    assert (report["input"], report["output"], report["side"]) == (str(source), str(target), "exact")
    assert (report["bytes"], report["packet_bytes"]) == (source.stat().st_size, len(packet))
    assert report["bpp"] == 8 * len(packet) / (64 * 96)
    assert report["ms"].keys() >= {"read", "total", "write"} and all(v >= 0 for v in report["ms"].values())
    assert decoder.batches == [[("", crc32c(packet))]]


def test_a_caption_goes_to_the_decoder(tmp_path: Path, decoder: FakeDecoder, capsys) -> None:
    seen = []
    plain = decoder.decode
    decoder.decode = lambda request: (seen.append(request), plain(request))[1]  # type: ignore[method-assign]
    source, target = write(tmp_path / "a.mdic"), tmp_path / "a.png"
    assert main(["decode", str(source), str(target), "--json", "--caption", "zebra, car left"]) == 0
    assert main(["decode", str(source), str(target)]) == 0
    assert [request.caption for request in seen] == ["zebra, car left", None]
    told = capsys.readouterr()
    assert json.loads(told.out.splitlines()[0])["side_refused"] is False
    assert told.err.splitlines()[0] == "--caption: words that mean nothing here: zebra"


def test_a_side_view_that_the_decoder_refused_is_told(tmp_path: Path, decoder: FakeDecoder, capsys) -> None:
    plain = decoder.decode
    decoder.decode = lambda request: replace(plain(request), side_refused=True)  # type: ignore[method-assign]
    source, side = write(tmp_path / "a.mdic"), tmp_path / "side.png"
    side.write_bytes(coded(picture(50), ".png"))
    assert main(["decode", str(source), str(tmp_path / "a.png"), "--side", str(side)]) == 0
    assert "side view refused (it shows another place)" in capsys.readouterr().out


def test_a_lossy_side_view_is_restored_unless_not_wanted(tmp_path: Path, capsys) -> None:
    source = write(tmp_path / "a.mdic")
    (tmp_path / "side.jpg").write_bytes(coded(picture(50), ".jpg"))
    (tmp_path / "side.png").write_bytes(coded(picture(50), ".png"))
    found = []
    for side, *more in (("side.jpg",), ("side.jpg", "--no-restore"), ("side.png",)):
        command = [
            "decode",
            str(source),
            str(tmp_path / "a.png"),
            "--side",
            str(tmp_path / side),
            "--json",
            *more,
        ]
        assert main(command) == 0
        found.append(json.loads(capsys.readouterr().out)["side_restored"])
    assert found == [True, False, False]
    assert main(["decode", str(source), str(tmp_path / "a.png"), "--side", str(tmp_path / "side.jpg")]) == 0
    assert "side view exact, restored" in capsys.readouterr().out


def test_the_seed_depends_on_the_packet_alone(tmp_path: Path, decoder: FakeDecoder) -> None:
    for name in ("x/a.mdic", "y/b.mdic", "y/a.mdic"):
        write(tmp_path / name)
    main(["decode", str(tmp_path / "x" / "a.mdic"), str(tmp_path / "one.png")])
    main(["decode", str(tmp_path / "y"), str(tmp_path / "out")])
    assert len({batch[0] for batch in decoder.batches}) == 1 and len(decoder.batches) == 3


def test_a_folder_with_side_views_of_the_same_stems(tmp_path: Path, capsys) -> None:
    for n, name in enumerate("abcd"):
        write(tmp_path / "in" / f"{name}.mdic", bytes([n]))
    (tmp_path / "in" / "notes.txt").write_text("not ours")
    side = tmp_path / "side"
    side.mkdir()
    (side / "a.png").write_bytes(coded(picture(10), ".png"))
    (side / "b.webp").write_bytes(coded(picture(20), ".webp"))
    (side / "c.jpg").write_bytes(coded(picture(30), ".jpg"))
    assert main(["decode", str(tmp_path / "in"), str(tmp_path / "out"), "--side", str(side), "--json"]) == 0
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["side"] for r in reports] == ["exact", "exact", "exact", "missing"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "c.png", "d.png"]
    assert [int(read(tmp_path / "out" / f"{n}.png")[0, 0, 0]) for n in "abcd"] == [0, 1, 2, 3]
    assert read(tmp_path / "out" / "d.png")[0, 0, 1] == 255


def test_bad_files_in_a_folder_do_not_stop_the_others(tmp_path: Path, capsys) -> None:
    write(tmp_path / "in" / "a.mdic")
    (tmp_path / "in" / "b.mdic").write_bytes(b"JUNKJUNKJUNK")
    write(tmp_path / "in" / "c.mdic", POISON)
    write(tmp_path / "in" / "d.mdic")
    code = main(["decode", str(tmp_path / "in"), str(tmp_path / "out")])
    assert code == BadMagic.exit_code  # that of the first
    said = capsys.readouterr()
    assert len(said.err.splitlines()) == 2 and "b.mdic" in said.err and "c.mdic" in said.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "d.png"]
    assert len(said.out.splitlines()) == 2 and "side view missing" in said.out


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda p: p.write_bytes(b"\x89PNG...."), BadMagic, "PNG"),
        (lambda p: p.write_bytes(p.read_bytes()[:-1] + b"\xff"), ChecksumMismatch, "checksum"),
        (lambda p: write(p, bundle_id=b"another!"), ForeignBundle, b"another!".hex()),
        (lambda p: p.write_bytes(bytes(2 << 20)), Oversize, str(2 << 20)),
        (lambda p: write(p, POISON), CorruptPayload, "poisoned"),
        (lambda p: p.unlink(), UsageError, "does not exist"),
    ],
)
def test_a_bad_bitstream_is_one_clear_error(tmp_path: Path, make, error, words) -> None:
    source = write(tmp_path / "a.mdic")
    make(source)
    with pytest.raises(error, match=words):
        main(["decode", str(source), str(tmp_path / "a.png")])
    assert not (tmp_path / "a.png").exists()


def test_side_views_that_do_not_fit(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mdic")
    side = tmp_path / "side.png"
    side.write_bytes(coded(picture(1, 64, 64), ".png"))
    command = ["decode", str(source), str(tmp_path / "a.png"), "--side", str(side)]
    with pytest.raises(FrameSizeError, match="64x96"):
        main(command)
    side.write_bytes(b"no image")
    with pytest.raises(ImageUnreadable, match=r"side\.png"):
        main(command)
    side.write_bytes(b"")
    with pytest.raises(ImageUnreadable, match=r"side\.png"):
        main(command)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["in", "file"], "must be a folder"),
        (["in", "out", "--side", "file"], "must be a folder"),
        (["in", "out", "--side", "nowhere"], "nowhere does not exist"),
        (["in", "out", "--previous", "file"], "must be a folder"),
        (["empty", "out"], "no .mdic files"),
        (["in/a.mdic", "out.jpg"], "must end in .png"),
        (["in/a.mdic", "a.png", "--steps", "0"], "--steps 0"),
    ],
)
def test_paths_that_do_not_fit_together(tmp_path: Path, monkeypatch, arguments, words) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in" / "a.mdic")
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=words):
        main(["decode", *arguments])


def test_a_single_file_into_a_folder_takes_its_stem(tmp_path: Path) -> None:
    write(tmp_path / "a.mdic")
    (tmp_path / "out").mkdir()
    main(["decode", str(tmp_path / "a.mdic"), str(tmp_path / "out"), "--steps", "3"])
    assert read(tmp_path / "out" / "a.png")[0, 0, 2] == 3


def test_consecutive_frames_help_one_another_when_asked(tmp_path: Path, decoder: FakeDecoder, capsys) -> None:
    def rebuilt(request) -> FakeFrame:  # the payload says which frame of the drive
        payload = Packet.parse(request.packet, SessionFacts(BUNDLE_ID, 128, 192)).payload
        frame = drive_frame(payload[0] if payload else 0)
        return FakeFrame(frame.image, frame.mask, frame.disparity, frame.image, {"total": 1.0})

    decoder._frame = rebuilt  # type: ignore[method-assign]
    (tmp_path / "in").mkdir()
    (tmp_path / "side").mkdir()
    numbers = [8, 9, 10, 14]  # a hole before the last
    for n in numbers:
        packet = packet_of(bytes([n]), 128, 192)
        container = Container(SessionFacts(BUNDLE_ID, 128, 192), packet)
        (tmp_path / "in" / f"drive_{n:03d}.mdic").write_bytes(container.serialize())
        (tmp_path / "side" / f"drive_{n:03d}.png").write_bytes(coded(drive_frame(n).side, ".png"))
    command = [
        "decode",
        str(tmp_path / "in"),
        str(tmp_path / "out"),
        "--side",
        str(tmp_path / "side"),
        "--json",
    ]
    assert main([*command, "--temporal"]) == 0
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["temporal"] > 0 for r in reports] == [False, True, True, False]
    fusion = TemporalFusion()
    for n in numbers:
        frame = drive_frame(n)
        made = fusion.step(frame, n, 0, frame.side).image
        assert np.array_equal(read(tmp_path / "out" / f"drive_{n:03d}.png"), made)
    assert main(command) == 0
    assert {json.loads(line)["temporal"] for line in capsys.readouterr().out.splitlines()} == {0.0}
    assert np.array_equal(read(tmp_path / "out" / "drive_009.png"), drive_frame(9).image)


@pytest.mark.parametrize(
    ("stems", "numbers"),
    [
        (["000007", "000008", "000012"], [7, 8, 12]),
        (["a1x", "a2x"], [1, 2]),
        (["000100_10", "000101_10"], [0, 1]),
        (["a", "b", "c3"], [0, 1, 2]),
        ([], []),
    ],
)
def test_numbers_of_frames(stems: list[str], numbers: list[int]) -> None:
    assert decode.frame_numbers(stems) == numbers
