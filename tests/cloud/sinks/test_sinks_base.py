"""Sinks by name, and what they say of a frame they do not take."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_cloud import MemorySink

from cloud.sinks.base import DurableSink, FrameConflict, TelemetrySink, open_sink
from cloud.sinks.images import ImageSink
from cloud.sinks.video import VideoSink
from common.errors import UsageError


def test_kinds(tmp_path: Path) -> None:
    assert isinstance(open_sink(f"images:{tmp_path / 'a'}"), ImageSink)
    assert isinstance(open_sink(f"video:{tmp_path / 'v.mp4'}"), VideoSink)


@pytest.mark.parametrize("spec", ["", "images", "images:", "mcap:x", "video:x.gif", "images:/proc/nowhere"])
def test_bad_specifications_name_themselves(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sink(spec)
    assert spec.partition(":")[2] in str(caught.value)


def test_only_a_folder_of_images_keeps_frames_for_good(tmp_path: Path) -> None:
    assert isinstance(ImageSink(tmp_path / "a"), DurableSink)
    for sink in (VideoSink(tmp_path / "v.mp4"), MemorySink()):
        assert not isinstance(sink, DurableSink) and not isinstance(sink, TelemetrySink)


@pytest.mark.parametrize(("same", "words"), [(True, "with other bytes"), (False, "of another stream")])
def test_a_conflict_says_which_frame_and_why(same: bool, words: str) -> None:
    error = FrameConflict("car-1", 7, same)
    assert "frame 7 of car-1" in str(error) and words in str(error)
