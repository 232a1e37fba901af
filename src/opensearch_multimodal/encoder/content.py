"""What models read of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Content", "text_to_encode"]


class Content(Protocol):
    """What models read of a record."""

    @property
    def title(self) -> str:
        """Its title, may be empty."""
        ...

    @property
    def text(self) -> str:
        """Its text, may be empty."""
        ...

    @property
    def image(self) -> Image | None:
        """Its page image."""
        ...


def text_to_encode(content: Content) -> str:
    """Return what text models read of a record: its title, then its text."""
    return f"{content.title}\n{content.text}" if content.title else content.text
