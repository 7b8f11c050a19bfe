"""The pictures of an inspection: what a clip looks and sounds like, and how a set is spread. Arrays in, image bytes out.

Photographs are JPEGs and charts are PNGs, so that any reader shows them. Nothing here opens a file.
"""
