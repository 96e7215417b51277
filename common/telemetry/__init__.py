"""Records of the rig (OXTS, calibration, metadata): batched, packed and compressed without loss."""

from common.telemetry.codec import TelemetryCodec
from common.telemetry.record import MAX_BATCH_RECORDS, Record

__all__ = ["MAX_BATCH_RECORDS", "Record", "TelemetryCodec"]
