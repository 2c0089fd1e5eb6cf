"""Endpoints of the core: people, and saved views of lists."""
