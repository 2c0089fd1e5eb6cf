"""Reads across models: what holds for an agent, what a stop would reach, who waits for a decision."""
