"""Semantic IDs: vectors turned into short lists of codes. Needs torch: the extra ``semantic``."""
