"""Reference adapter of the ARM Federation Protocol 1.0."""

NAME = "arm-adapter"
VERSION = "0.1.0"
