"""Many recipes, judged alike."""
