"""OTLP bytes → flat events, without a database, a clock or a network."""

from telemetry.parsing.batches import JSON, PROTOBUF, Bad, Batch, media_type, parse
from telemetry.parsing.body import plain
from telemetry.parsing.errors import BodyTooLarge, Undecodable, UnsupportedMedia
from telemetry.parsing.events import MAPPER_VERSION, Event, Resource
from telemetry.parsing.kinds import EventType, Flag, Reason, Status

__all__ = [
    "JSON",
    "MAPPER_VERSION",
    "PROTOBUF",
    "Bad",
    "Batch",
    "BodyTooLarge",
    "Event",
    "EventType",
    "Flag",
    "Reason",
    "Resource",
    "Status",
    "Undecodable",
    "UnsupportedMedia",
    "media_type",
    "parse",
    "plain",
]
