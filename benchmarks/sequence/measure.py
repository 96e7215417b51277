"""Walk through a drive once, all streams in lock-step, and judge what each of them shows.

Frames are the outer loop: the reference's features are computed once for all pictures of a frame, and no more
than two frames of each stream are in memory. Rows are kept on disk frame by frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tqdm import tqdm

from benchmarks.rd.metrics import Judge
from benchmarks.sequence import ours
from benchmarks.sequence.clip import Clip
from benchmarks.sequence.flicker import Motion, flicker, motion
from benchmarks.sequence.lowdelay import CodedVideo, codec_named
from benchmarks.sequence.ours import Mending, Rebuilt, SequenceCoder
from benchmarks.sequence.store import Store, fingerprint
from common.types import RgbImage

Row = dict[str, Any]


@dataclass(frozen=True)
class Track:
    """Name one camera as one codec shows it.

    Attributes:
        view: `main` or `side`.
        codec: a low-delay codec's name, or ours.
        setting: QP, CRF, or quality index.
        side_codec: ours only: the codec of the side view the decoder gets ("" otherwise).
        side_setting: ours only: its setting.
        temporal: ours only: mended with the frame before, as `cloud.temporal` does.
    """

    view: str
    codec: str
    setting: int
    side_codec: str = ""
    side_setting: int = 0
    temporal: bool = False

    @property
    def is_ours(self) -> bool:
        """Tell whether this is our codec."""
        return self.codec == ours.NAME

    @property
    def side(self) -> Track:
        """Return the side view that ours is decoded with."""
        return Track("side", self.side_codec, self.side_setting)

    @property
    def alone(self) -> Track:
        """Return ours as it is decoded, before anything is mended over time."""
        return replace(self, temporal=False)

    @property
    def stream(self) -> tuple[str, str, int]:
        """Return which coded stream it is shown from: (view, codec, setting)."""
        return self.view, self.codec, self.setting

    def __str__(self) -> str:
        with_side = f"+{self.side_codec}:{self.side_setting}" if self.is_ours else ""
        return f"{self.view}/{self.codec}:{self.setting}{with_side}{'+time' if self.temporal else ''}"


Coded = Mapping[tuple[str, str, int], CodedVideo]
Show = Callable[[int, Mapping[Track, RgbImage]], None]


class Walk:
    """Measure tracks of a clip."""

    def __init__(
        self,
        clip: Clip,
        coded: Coded,
        coder: SequenceCoder | None,
        judge: Judge,
        store: Store,
        facts: Mapping[str, Any],
        every: int,
    ) -> None:
        """Take what is measured and with what.

        Args:
            clip: the drive.
            coded: every stream that the tracks name.
            coder: ours; None when no track is.
            judge: the metrics.
            store: where rows and pictures are kept.
            facts: what the rows depend on beside the track (bundle, code, metrics, versions).
            every: judge every n-th frame.
        """
        self._clip, self._coded, self._coder = clip, dict(coded), coder
        self._judge, self._store, self._facts, self._every = judge, store, dict(facts), every

    def add_stream(self, track: Track, coded: CodedVideo) -> None:
        """Take one more stream, for the tracks of a later run."""
        self._coded[track.stream] = coded

    def run(
        self,
        tracks: Sequence[Track],
        dense: bool,
        title: str,
        show: Show | None = None,
        frames: int | None = None,
    ) -> dict[Track, list[Row]]:
        """Return the rows of each track, by frame.

        A row has `frame`, `bytes`, the metrics on every n-th frame, and flicker where this frame and the one
        before were both shown: always when `dense`, which decodes ours on all frames and keeps what it
        decoded; otherwise ours is decoded for judged frames only, and has flicker only if those are all.

        Args:
            tracks: what to measure; side views that ours needs need not be among them.
            dense: as above.
            title: for the progress bar.
            show: gets every frame's pictures of the tracks (dense only).
            frames: stop after so many; None for the whole clip.

        Raises:
            ValueError: a temporal track where not every frame is decoded.
        """
        if not dense and any(t.temporal for t in tracks):
            raise ValueError("temporal tracks need every frame: dense")
        mending = {t: self._ours.mending() for t in tracks if t.temporal}
        keys = {t: fingerprint({**self._facts, "track": str(t), "dense": dense}) for t in tracks}
        rows: dict[Track, list[Row]] = {t: [] for t in tracks}
        needed = {t for t in tracks if not t.is_ours} | {t.side for t in tracks if t.is_ours}
        streams = {t: self._pictures(t) for t in needed}
        before: dict[Track, RgbImage] = {}
        count = len(self._clip) if frames is None else min(frames, len(self._clip))
        with tqdm(total=len(tracks) * count, desc=title, unit="picture", disable=None) as bar:
            for frame in range(count):
                arrived = {t: next(pictures) for t, pictures in streams.items()}
                stored = self._store.rows(frame)
                missing = [t for t in tracks if keys[t] not in stored and self._due(frame, t, dense)]
                shown = dict(arrived)
                if dense:
                    shown |= self._dense(frame, [t for t in tracks if t.is_ours], arrived, mending)
                else:
                    shown |= self._sparse(frame, [t for t in missing if t.is_ours], arrived, before)
                if missing:
                    fresh = self._measured(frame, missing, shown, before, dense)
                    self._store.add_rows(frame, {keys[t]: row for t, row in fresh.items()})
                    stored |= {keys[t]: row for t, row in fresh.items()}
                for track in tracks:
                    if keys[track] in stored:
                        rows[track].append(stored[keys[track]])
                if show is not None:
                    show(frame, {t: shown[t] for t in tracks})
                before = shown
                bar.update(len(tracks))
        return rows

    def _due(self, frame: int, track: Track, dense: bool) -> bool:
        return dense or not track.is_ours or frame % self._every == 0

    def _pictures(self, track: Track) -> Iterator[RgbImage]:
        coded = self._coded[track.stream]
        return codec_named(track.codec).decode(coded, self._clip.height, self._clip.width)

    def _dense(
        self,
        frame: int,
        tracks: Sequence[Track],
        arrived: Mapping[Track, RgbImage],
        mending: Mapping[Track, Mending],
    ) -> dict[Track, RgbImage]:
        """Return ours of a frame, each decoded once and kept; what mends over time sees every frame."""
        rebuilt: dict[Track, Rebuilt] = {}
        shown = {}
        for track in tracks:
            side = arrived[track.side]
            if track.alone not in rebuilt:
                rebuilt[track.alone] = self._kept(frame, track.alone, side)
            whole = rebuilt[track.alone]
            shown[track] = mending[track].step(whole, frame, side) if track.temporal else whole.image
        return shown

    def _kept(self, frame: int, track: Track, side: RgbImage) -> Rebuilt:
        key = fingerprint({**self._facts, "decoded": str(track)})
        stored = self._store.arrays(key, frame)
        if stored is not None:
            return Rebuilt(**stored, ms={})
        rebuilt = self._decode(frame, track, side)
        self._store.keep_arrays(
            key, frame, image=rebuilt.image, mask=rebuilt.mask, disparity=rebuilt.disparity
        )
        return rebuilt

    def _sparse(
        self,
        frame: int,
        tracks: Sequence[Track],
        arrived: Mapping[Track, RgbImage],
        before: dict[Track, RgbImage],
    ) -> dict[Track, RgbImage]:
        """Return ours of a frame; where an earlier run measured the frame before, its picture joins `before`."""
        shown = {}
        for track in tracks:
            shown[track] = self._decode(frame, track, arrived[track.side]).image
            if self._every == 1 and frame > 0 and track not in before:
                before[track] = self._decode(frame - 1, track, before[track.side]).image
        return shown

    def _decode(self, frame: int, track: Track, side: RgbImage) -> Rebuilt:
        return self._ours.decode(self._coded[track.stream].packets[frame], frame, side)

    @property
    def _ours(self) -> SequenceCoder:
        if self._coder is None:
            raise ValueError("a track of ours, and no coder")
        return self._coder

    def _measured(
        self,
        frame: int,
        tracks: Sequence[Track],
        shown: Mapping[Track, RgbImage],
        before: Mapping[Track, RgbImage],
        dense: bool,
    ) -> dict[Track, Row]:
        """Return this frame's new rows."""
        fresh: dict[Track, Row] = {}
        for view in ("main", "side"):
            here = [t for t in tracks if t.view == view]
            source = self._clip.view(view)
            moved: Motion | None = None
            for track in here:
                counted = self._coded[track.stream].counted[frame]
                fresh[track] = {"track": str(track), "frame": frame, "bytes": counted}
                if view == "main" and track in before:
                    moved = moved or motion(source[frame - 1], source[frame])
                    fresh[track] |= flicker(before[track], shown[track], moved) or {}
            if here and frame % self._every == 0:
                judged = self._judge.measure(source[frame], [shown[t] for t in here])
                for track, values in zip(here, judged, strict=True):
                    fresh[track] |= values
        return fresh
