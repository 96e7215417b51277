from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_BOTH: _ClassVar[Role]
    ROLE_MAIN: _ClassVar[Role]
    ROLE_SIDE: _ClassVar[Role]

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_LIVE: _ClassVar[Mode]
    MODE_DURABLE: _ClassVar[Mode]

class SideCodec(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIDE_CODEC_UNSPECIFIED: _ClassVar[SideCodec]
    SIDE_CODEC_WEBP_LOSSLESS: _ClassVar[SideCodec]
    SIDE_CODEC_JPEG: _ClassVar[SideCodec]
    SIDE_CODEC_HEVC: _ClassVar[SideCodec]

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNSPECIFIED: _ClassVar[Status]
    STATUS_DECODED: _ClassVar[Status]
    STATUS_DROPPED: _ClassVar[Status]
    STATUS_FAILED: _ClassVar[Status]
    STATUS_UNKEPT: _ClassVar[Status]

class SideState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIDE_STATE_UNSPECIFIED: _ClassVar[SideState]
    SIDE_STATE_EXACT: _ClassVar[SideState]
    SIDE_STATE_STALE: _ClassVar[SideState]
    SIDE_STATE_MISSING: _ClassVar[SideState]
ROLE_UNSPECIFIED: Role
ROLE_BOTH: Role
ROLE_MAIN: Role
ROLE_SIDE: Role
MODE_UNSPECIFIED: Mode
MODE_LIVE: Mode
MODE_DURABLE: Mode
SIDE_CODEC_UNSPECIFIED: SideCodec
SIDE_CODEC_WEBP_LOSSLESS: SideCodec
SIDE_CODEC_JPEG: SideCodec
SIDE_CODEC_HEVC: SideCodec
STATUS_UNSPECIFIED: Status
STATUS_DECODED: Status
STATUS_DROPPED: Status
STATUS_FAILED: Status
STATUS_UNKEPT: Status
SIDE_STATE_UNSPECIFIED: SideState
SIDE_STATE_EXACT: SideState
SIDE_STATE_STALE: SideState
SIDE_STATE_MISSING: SideState

class DropCounts(_message.Message):
    __slots__ = ("capture_queue", "send_queue", "encode_failed", "too_large", "shutdown", "late", "spool_full", "thinned")
    CAPTURE_QUEUE_FIELD_NUMBER: _ClassVar[int]
    SEND_QUEUE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FAILED_FIELD_NUMBER: _ClassVar[int]
    TOO_LARGE_FIELD_NUMBER: _ClassVar[int]
    SHUTDOWN_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    SPOOL_FULL_FIELD_NUMBER: _ClassVar[int]
    THINNED_FIELD_NUMBER: _ClassVar[int]
    capture_queue: int
    send_queue: int
    encode_failed: int
    too_large: int
    shutdown: int
    late: int
    spool_full: int
    thinned: int
    def __init__(self, capture_queue: _Optional[int] = ..., send_queue: _Optional[int] = ..., encode_failed: _Optional[int] = ..., too_large: _Optional[int] = ..., shutdown: _Optional[int] = ..., late: _Optional[int] = ..., spool_full: _Optional[int] = ..., thinned: _Optional[int] = ...) -> None: ...
