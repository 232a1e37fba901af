"""Search page images and text together on OpenSearch 3.x."""

__version__ = "0.1.0"
__all__ = ["__version__"]
