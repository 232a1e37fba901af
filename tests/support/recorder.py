"""What an ingest tells, kept for tests."""

from __future__ import annotations

__all__ = ["Recorder"]


class Recorder:
    """Keeps what an ingest tells."""

    def __init__(self) -> None:
        self.expected = self.advanced = 0
        self.warnings: list[str] = []
        self.failures: list[str] = []

    def expect(self, records: int) -> None:
        self.expected = records

    def advance(self, records: int) -> None:
        self.advanced += records

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def fail(self, message: str) -> None:
        self.failures.append(message)
