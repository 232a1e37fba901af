"""Draws the sample documents of the invented company Tarnwick Instruments."""
