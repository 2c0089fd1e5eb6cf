"""The mathematics of proof, without a database: trees, signed notes, keys."""
