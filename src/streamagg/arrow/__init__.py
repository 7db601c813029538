"""Columns of recorded streams to columns of responses: one row a stream. Needs the extra `arrow`."""

from .rows import SCHEMA
from .table import aggregate

__all__ = ["SCHEMA", "aggregate"]
