from common.pb import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Uplink(_message.Message):
    __slots__ = ("hello", "main", "side", "end", "ping", "telemetry")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    MAIN_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    main: MainFrame
    side: SideFrame
    end: End
    ping: Ping
    telemetry: Telemetry
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., main: _Optional[_Union[MainFrame, _Mapping]] = ..., side: _Optional[_Union[SideFrame, _Mapping]] = ..., end: _Optional[_Union[End, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., telemetry: _Optional[_Union[Telemetry, _Mapping]] = ...) -> None: ...

class Downlink(_message.Message):
    __slots__ = ("welcome", "ack", "fault", "goodbye", "pong", "hint")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    ack: Ack
    fault: Fault
    goodbye: Goodbye
    pong: Pong
    hint: Hint
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., fault: _Optional[_Union[Fault, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., hint: _Optional[_Union[Hint, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("wire_version", "vehicle", "role", "bundle_id", "height", "width", "side_height", "side_width", "side_codec", "frames_hint", "camera", "mode", "stream_id", "oldest_seq", "deadline_ms")
    WIRE_VERSION_FIELD_NUMBER: _ClassVar[int]
    VEHICLE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    SIDE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SIDE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    SIDE_CODEC_FIELD_NUMBER: _ClassVar[int]
    FRAMES_HINT_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SEQ_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    wire_version: int
    vehicle: str
    role: _types_pb2.Role
    bundle_id: bytes
    height: int
    width: int
    side_height: int
    side_width: int
    side_codec: _types_pb2.SideCodec
    frames_hint: int
    camera: str
    mode: _types_pb2.Mode
    stream_id: bytes
    oldest_seq: int
    deadline_ms: int
    def __init__(self, wire_version: _Optional[int] = ..., vehicle: _Optional[str] = ..., role: _Optional[_Union[_types_pb2.Role, str]] = ..., bundle_id: _Optional[bytes] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., side_height: _Optional[int] = ..., side_width: _Optional[int] = ..., side_codec: _Optional[_Union[_types_pb2.SideCodec, str]] = ..., frames_hint: _Optional[int] = ..., camera: _Optional[str] = ..., mode: _Optional[_Union[_types_pb2.Mode, str]] = ..., stream_id: _Optional[bytes] = ..., oldest_seq: _Optional[int] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class MainFrame(_message.Message):
    __slots__ = ("seq", "capture_ns", "packet", "due_ms")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_NS_FIELD_NUMBER: _ClassVar[int]
    PACKET_FIELD_NUMBER: _ClassVar[int]
    DUE_MS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    capture_ns: int
    packet: bytes
    due_ms: int
    def __init__(self, seq: _Optional[int] = ..., capture_ns: _Optional[int] = ..., packet: _Optional[bytes] = ..., due_ms: _Optional[int] = ...) -> None: ...

class SideFrame(_message.Message):
    __slots__ = ("seq", "capture_ns", "data", "keyframe", "reference_seq")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_NS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    KEYFRAME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    capture_ns: int
    data: bytes
    keyframe: bool
    reference_seq: int
    def __init__(self, seq: _Optional[int] = ..., capture_ns: _Optional[int] = ..., data: _Optional[bytes] = ..., keyframe: bool = ..., reference_seq: _Optional[int] = ...) -> None: ...

class Telemetry(_message.Message):
    __slots__ = ("seq", "capture_ns", "kind", "data", "compressed")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_NS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    COMPRESSED_FIELD_NUMBER: _ClassVar[int]
    seq: int
    capture_ns: int
    kind: str
    data: bytes
    compressed: bool
    def __init__(self, seq: _Optional[int] = ..., capture_ns: _Optional[int] = ..., kind: _Optional[str] = ..., data: _Optional[bytes] = ..., compressed: bool = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("edge_ns", "offset_ns", "rtt_ns")
    EDGE_NS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_NS_FIELD_NUMBER: _ClassVar[int]
    RTT_NS_FIELD_NUMBER: _ClassVar[int]
    edge_ns: int
    offset_ns: int
    rtt_ns: int
    def __init__(self, edge_ns: _Optional[int] = ..., offset_ns: _Optional[int] = ..., rtt_ns: _Optional[int] = ...) -> None: ...

class End(_message.Message):
    __slots__ = ("main_frames", "side_frames", "main_dropped", "side_dropped")
    MAIN_FRAMES_FIELD_NUMBER: _ClassVar[int]
    SIDE_FRAMES_FIELD_NUMBER: _ClassVar[int]
    MAIN_DROPPED_FIELD_NUMBER: _ClassVar[int]
    SIDE_DROPPED_FIELD_NUMBER: _ClassVar[int]
    main_frames: int
    side_frames: int
    main_dropped: _types_pb2.DropCounts
    side_dropped: _types_pb2.DropCounts
    def __init__(self, main_frames: _Optional[int] = ..., side_frames: _Optional[int] = ..., main_dropped: _Optional[_Union[_types_pb2.DropCounts, _Mapping]] = ..., side_dropped: _Optional[_Union[_types_pb2.DropCounts, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("session", "wire_version", "max_in_flight", "next_seq", "held", "base_seq")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    WIRE_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQ_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    BASE_SEQ_FIELD_NUMBER: _ClassVar[int]
    session: str
    wire_version: int
    max_in_flight: int
    next_seq: int
    held: _containers.RepeatedCompositeFieldContainer[Range]
    base_seq: int
    def __init__(self, session: _Optional[str] = ..., wire_version: _Optional[int] = ..., max_in_flight: _Optional[int] = ..., next_seq: _Optional[int] = ..., held: _Optional[_Iterable[_Union[Range, _Mapping]]] = ..., base_seq: _Optional[int] = ...) -> None: ...

class Range(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("seq", "status", "side", "capture_ns", "queue_ms", "decode_ms", "detail", "cumulative")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_NS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_MS_FIELD_NUMBER: _ClassVar[int]
    DECODE_MS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_FIELD_NUMBER: _ClassVar[int]
    seq: int
    status: _types_pb2.Status
    side: _types_pb2.SideState
    capture_ns: int
    queue_ms: float
    decode_ms: float
    detail: str
    cumulative: int
    def __init__(self, seq: _Optional[int] = ..., status: _Optional[_Union[_types_pb2.Status, str]] = ..., side: _Optional[_Union[_types_pb2.SideState, str]] = ..., capture_ns: _Optional[int] = ..., queue_ms: _Optional[float] = ..., decode_ms: _Optional[float] = ..., detail: _Optional[str] = ..., cumulative: _Optional[int] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("edge_ns", "received_ns", "sent_ns")
    EDGE_NS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_NS_FIELD_NUMBER: _ClassVar[int]
    SENT_NS_FIELD_NUMBER: _ClassVar[int]
    edge_ns: int
    received_ns: int
    sent_ns: int
    def __init__(self, edge_ns: _Optional[int] = ..., received_ns: _Optional[int] = ..., sent_ns: _Optional[int] = ...) -> None: ...

class Hint(_message.Message):
    __slots__ = ("queue_ms", "queued", "window")
    QUEUE_MS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    queue_ms: float
    queued: int
    window: int
    def __init__(self, queue_ms: _Optional[float] = ..., queued: _Optional[int] = ..., window: _Optional[int] = ...) -> None: ...

class Fault(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("decoded", "dropped", "failed", "side_received")
    DECODED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SIDE_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    decoded: int
    dropped: int
    failed: int
    side_received: int
    def __init__(self, decoded: _Optional[int] = ..., dropped: _Optional[int] = ..., failed: _Optional[int] = ..., side_received: _Optional[int] = ...) -> None: ...
