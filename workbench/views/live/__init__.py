"""Widgets: what a person moves and clicks. They show a session's state and tell it what is wanted."""
