"""The ARM Federation Protocol, AFP/1, as data and pure functions: what is written, what it means, what may follow what."""

VERSION = "1.0"
