"""Turn protobuf messages into plain values and back: the only place that knows both.

Reading is strict: a value out of its bounds, an unknown enum number, an empty oneof raise ProtocolViolation,
so nothing behind this module has to ask again. (gRPC has already refused messages over the size limit.)
"""

from __future__ import annotations

import math
import re

from common.errors import ProtocolViolation
from common.pb import ingest_pb2, types_pb2
from common.stream.limits import LIMITS, WIRE_VERSION, StreamLimits
from common.stream.messages import (
    Ack,
    DownlinkMessage,
    DropCounts,
    End,
    Fault,
    Goodbye,
    Hello,
    Hint,
    MainFrame,
    Mode,
    Ping,
    Pong,
    Role,
    SideFrame,
    Status,
    Telemetry,
    UplinkMessage,
    Welcome,
)
from common.types import SideCodec, SideState

BUNDLE_ID_BYTES = 8
STREAM_ID_BYTES = 16
_VEHICLE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\Z")
_KIND = re.compile(r"[a-z0-9_-]+\Z")
_SIDE_STATES = {1: SideState.EXACT, 2: SideState.STALE, 3: SideState.MISSING}
_SIDE_NUMBERS = {state: number for number, state in _SIDE_STATES.items()}


def vehicle_problem(vehicle: str, limits: StreamLimits = LIMITS) -> str | None:
    """Return why `vehicle` cannot name a vehicle (and a sink's folder), or None."""
    if len(vehicle) <= limits.max_vehicle_chars and _VEHICLE.match(vehicle):
        return None
    longest = limits.max_vehicle_chars
    return f"vehicle {vehicle[:80]!r} is not a name of 1 to {longest} letters, digits, '.', '_' or '-'"


def uplink_to_pb(message: UplinkMessage) -> ingest_pb2.Uplink:
    """Return the protobuf form of what an edge sends."""
    if isinstance(message, MainFrame):
        frame = ingest_pb2.MainFrame(seq=message.seq, capture_ns=message.capture_ns, packet=message.packet)
        frame.due_ms = message.due_ms
        return ingest_pb2.Uplink(main=frame)
    if isinstance(message, SideFrame):
        side = ingest_pb2.SideFrame(
            seq=message.seq,
            capture_ns=message.capture_ns,
            data=message.data,
            keyframe=message.keyframe,
            reference_seq=message.reference_seq,
        )
        return ingest_pb2.Uplink(side=side)
    if isinstance(message, Ping):
        ping = ingest_pb2.Ping(edge_ns=message.edge_ns, offset_ns=message.offset_ns, rtt_ns=message.rtt_ns)
        return ingest_pb2.Uplink(ping=ping)
    if isinstance(message, Telemetry):
        telemetry = ingest_pb2.Telemetry(
            seq=message.seq,
            capture_ns=message.capture_ns,
            kind=message.kind,
            data=message.data,
            compressed=message.compressed,
        )
        return ingest_pb2.Uplink(telemetry=telemetry)
    if isinstance(message, End):
        end = ingest_pb2.End(
            main_frames=message.main_frames,
            side_frames=message.side_frames,
            main_dropped=types_pb2.DropCounts(**message.main_dropped.as_dict()),
            side_dropped=types_pb2.DropCounts(**message.side_dropped.as_dict()),
        )
        return ingest_pb2.Uplink(end=end)
    hello = ingest_pb2.Hello(
        wire_version=message.wire_version,
        vehicle=message.vehicle,
        role=int(message.role),  # type: ignore[arg-type]
        bundle_id=message.bundle_id,
        height=message.height,
        width=message.width,
        side_height=message.side_height,
        side_width=message.side_width,
        side_codec=int(message.side_codec or 0),  # type: ignore[arg-type]
        frames_hint=message.frames_hint,
        camera=message.camera,
        mode=int(message.mode),  # type: ignore[arg-type]
        stream_id=message.stream_id,
        oldest_seq=message.oldest_seq,
        deadline_ms=message.deadline_ms,
    )
    return ingest_pb2.Uplink(hello=hello)


def uplink_from_pb(message: ingest_pb2.Uplink, limits: StreamLimits = LIMITS) -> UplinkMessage:
    """Return what an edge sent, checked.

    Raises:
        ProtocolViolation: a value is outside its bounds.
    """
    kind = message.WhichOneof("kind")
    if kind == "main":
        main = message.main
        packet = _bounded_bytes("main frame's packet", main.packet, limits.max_packet_bytes)
        return MainFrame(main.seq, main.capture_ns, packet, main.due_ms)
    if kind == "side":
        side = message.side
        data = _bounded_bytes("side frame's data", side.data, limits.max_side_bytes)
        if not side.keyframe and side.reference_seq >= side.seq:
            raise ProtocolViolation(
                f"side frame {side.seq} refers to {side.reference_seq}, which is not before it"
            )
        return SideFrame(side.seq, side.capture_ns, data, side.keyframe, side.reference_seq)
    if kind == "ping":
        return Ping(message.ping.edge_ns, message.ping.offset_ns, message.ping.rtt_ns)
    if kind == "telemetry":
        return _telemetry(message.telemetry, limits)
    if kind == "end":
        end = message.end
        return End(end.main_frames, end.side_frames, _drops(end.main_dropped), _drops(end.side_dropped))
    if kind == "hello":
        return _hello(message.hello, limits)
    raise ProtocolViolation("empty uplink message")


def downlink_to_pb(message: DownlinkMessage) -> ingest_pb2.Downlink:
    """Return the protobuf form of what a cloud answers; texts are cut to the limit."""
    if isinstance(message, Ack):
        ack = ingest_pb2.Ack(
            seq=message.seq,
            status=int(message.status),  # type: ignore[arg-type]
            side=_SIDE_NUMBERS[message.side] if message.side else 0,  # type: ignore[arg-type]
            capture_ns=message.capture_ns,
            queue_ms=message.queue_ms,
            decode_ms=message.decode_ms,
            detail=message.detail[: LIMITS.max_text_chars],
            cumulative=message.cumulative,
        )
        return ingest_pb2.Downlink(ack=ack)
    if isinstance(message, Welcome):
        welcome = ingest_pb2.Welcome(
            session=message.session,
            wire_version=message.wire_version,
            max_in_flight=message.max_in_flight,
            next_seq=message.next_seq,
            held=[ingest_pb2.Range(first=first, last=last) for first, last in message.held],
            base_seq=message.base_seq,
        )
        return ingest_pb2.Downlink(welcome=welcome)
    if isinstance(message, Pong):
        pong = ingest_pb2.Pong(
            edge_ns=message.edge_ns, received_ns=message.received_ns, sent_ns=message.sent_ns
        )
        return ingest_pb2.Downlink(pong=pong)
    if isinstance(message, Hint):
        hint = ingest_pb2.Hint(queue_ms=message.queue_ms, queued=message.queued, window=message.window)
        return ingest_pb2.Downlink(hint=hint)
    if isinstance(message, Fault):
        text = message.message[: LIMITS.max_text_chars]
        return ingest_pb2.Downlink(fault=ingest_pb2.Fault(code=message.code, message=text))
    goodbye = ingest_pb2.Goodbye(
        decoded=message.decoded,
        dropped=message.dropped,
        failed=message.failed,
        side_received=message.side_received,
    )
    return ingest_pb2.Downlink(goodbye=goodbye)


def downlink_from_pb(message: ingest_pb2.Downlink, limits: StreamLimits = LIMITS) -> DownlinkMessage:
    """Return what a cloud answered, checked.

    Raises:
        ProtocolViolation: a value is outside its bounds.
    """
    kind = message.WhichOneof("kind")
    if kind == "ack":
        return _ack(message.ack, limits)
    if kind == "welcome":
        return _welcome(message.welcome, limits)
    if kind == "pong":
        return Pong(message.pong.edge_ns, message.pong.received_ns, message.pong.sent_ns)
    if kind == "hint":
        return _hint(message.hint, limits)
    if kind == "fault":
        return Fault(message.fault.code, _bounded_text("fault", message.fault.message, limits))
    if kind == "goodbye":
        goodbye = message.goodbye
        return Goodbye(goodbye.decoded, goodbye.dropped, goodbye.failed, goodbye.side_received)
    raise ProtocolViolation("empty downlink message")


def _welcome(welcome: ingest_pb2.Welcome, limits: StreamLimits) -> Welcome:
    _window("welcome", welcome.max_in_flight, limits)
    if len(welcome.held) > limits.max_ranges:
        raise ProtocolViolation(f"welcome lists {len(welcome.held)} ranges (allowed: {limits.max_ranges})")
    held = tuple((part.first, part.last) for part in welcome.held)
    end = welcome.next_seq
    for first, last in held:
        # Ascending, apart from each other and from what is held below: anything else is no list of gaps.
        if not end < first <= last:
            raise ProtocolViolation(f"welcome's range {first} to {last} does not follow {end}")
        end = last + 1
    return Welcome(
        _bounded_text("session", welcome.session, limits),
        welcome.max_in_flight,
        welcome.wire_version,
        welcome.next_seq,
        held,
        welcome.base_seq,
    )


def _hint(hint: ingest_pb2.Hint, limits: StreamLimits) -> Hint:
    _window("hint", hint.window, limits)
    if not (math.isfinite(hint.queue_ms) and hint.queue_ms >= 0):
        raise ProtocolViolation(f"hint: queue_ms is {hint.queue_ms}")
    return Hint(hint.queue_ms, hint.queued, hint.window)


def _window(where: str, window: int, limits: StreamLimits) -> None:
    if not 1 <= window <= limits.max_in_flight:
        raise ProtocolViolation(f"{where} offers a window of {window} frames")


def _telemetry(telemetry: ingest_pb2.Telemetry, limits: StreamLimits) -> Telemetry:
    kind = telemetry.kind
    if len(kind) > limits.max_kind_chars or not _KIND.match(kind):
        raise ProtocolViolation(f"telemetry of kind {kind[:80]!r}")
    data = _bounded_bytes("telemetry", telemetry.data, limits.max_telemetry_bytes)
    return Telemetry(telemetry.seq, telemetry.capture_ns, kind, data, telemetry.compressed)


def _hello(hello: ingest_pb2.Hello, limits: StreamLimits) -> Hello:
    problem = vehicle_problem(hello.vehicle, limits)
    if problem:
        raise ProtocolViolation(problem)
    try:
        role = Role(hello.role)
        codec = SideCodec(hello.side_codec) if hello.side_codec else None
    except ValueError as error:
        raise ProtocolViolation(f"hello: {error}") from None
    if role.has_main:
        _frame_size("main", hello.height, hello.width, limits)
        if len(hello.bundle_id) != BUNDLE_ID_BYTES:
            raise ProtocolViolation(f"bundle id of {len(hello.bundle_id)} bytes instead of {BUNDLE_ID_BYTES}")
    elif hello.bundle_id or hello.height or hello.width:
        raise ProtocolViolation("a side-only hello names a bundle or a main view")
    if role.has_side:
        _frame_size("side", hello.side_height, hello.side_width, limits)
        if codec is None:
            raise ProtocolViolation("a hello with a side view names no side codec")
    elif codec or hello.side_height or hello.side_width:
        raise ProtocolViolation("a main-only hello names a side view")
    if hello.deadline_ms > limits.max_deadline_ms:
        raise ProtocolViolation(f"deadline of {hello.deadline_ms} ms exceeds {limits.max_deadline_ms}")
    return Hello(
        vehicle=hello.vehicle,
        role=role,
        bundle_id=hello.bundle_id,
        height=hello.height,
        width=hello.width,
        side_height=hello.side_height,
        side_width=hello.side_width,
        side_codec=codec,
        frames_hint=hello.frames_hint,
        camera=_bounded_text("camera", hello.camera, limits),
        wire_version=hello.wire_version,
        mode=_mode(hello),
        stream_id=hello.stream_id,
        oldest_seq=hello.oldest_seq,
        deadline_ms=hello.deadline_ms,
    )


def _mode(hello: ingest_pb2.Hello) -> Mode:
    if hello.wire_version != WIRE_VERSION:
        return Mode.LIVE  # refused for its version, not for what it cannot know
    if len(hello.stream_id) != STREAM_ID_BYTES:
        raise ProtocolViolation(f"stream id of {len(hello.stream_id)} bytes instead of {STREAM_ID_BYTES}")
    try:
        return Mode(int(hello.mode))
    except ValueError as error:
        raise ProtocolViolation(f"hello: {error}") from None


def _ack(ack: ingest_pb2.Ack, limits: StreamLimits) -> Ack:
    try:
        status = Status(ack.status)
    except ValueError as error:
        raise ProtocolViolation(f"ack of frame {ack.seq}: {error}") from None
    if ack.side and ack.side not in _SIDE_STATES:
        raise ProtocolViolation(f"ack of frame {ack.seq}: unknown side state {ack.side}")
    for name, value in (("queue_ms", ack.queue_ms), ("decode_ms", ack.decode_ms)):
        if not (math.isfinite(value) and value >= 0):
            raise ProtocolViolation(f"ack of frame {ack.seq}: {name} is {value}")
    detail = _bounded_text("ack detail", ack.detail, limits)
    side = _SIDE_STATES.get(ack.side)
    return Ack(ack.seq, status, side, ack.capture_ns, ack.queue_ms, ack.decode_ms, detail, ack.cumulative)


def _drops(counts: types_pb2.DropCounts) -> DropCounts:
    return DropCounts(
        capture_queue=counts.capture_queue,
        send_queue=counts.send_queue,
        encode_failed=counts.encode_failed,
        too_large=counts.too_large,
        shutdown=counts.shutdown,
        late=counts.late,
        spool_full=counts.spool_full,
        thinned=counts.thinned,
    )


def _frame_size(view: str, height: int, width: int, limits: StreamLimits) -> None:
    low, high = limits.min_side_pixels, limits.max_side_pixels
    if not (low <= height <= high and low <= width <= high):
        raise ProtocolViolation(f"{view} view of {height}x{width} pixels; each side must be {low} to {high}")


def _bounded_bytes(what: str, data: bytes, limit: int) -> bytes:
    if not 0 < len(data) <= limit:
        raise ProtocolViolation(f"{what} has {len(data)} bytes (allowed: 1 to {limit})")
    return data


def _bounded_text(what: str, text: str, limits: StreamLimits) -> str:
    if len(text) > limits.max_text_chars:
        raise ProtocolViolation(f"{what} of {len(text)} characters exceeds {limits.max_text_chars}")
    return text
