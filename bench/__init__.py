"""Measurements of the product beside their limits. Each module here is a bench: `run(quick) -> list[Figure]`."""
