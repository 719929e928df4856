"""A name that the old driver of tests asks for; goes with it."""


class TileTree: ...
