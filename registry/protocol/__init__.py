"""Formats of other people that a version is written in. Pure."""
