"""The ``osmm`` command: wiring only, every decision is made in the modules it calls."""

from .main import main

__all__ = ["main"]
