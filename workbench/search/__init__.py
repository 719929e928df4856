"""Many recipes on one model: a table of them, or the best for a number of bytes."""
