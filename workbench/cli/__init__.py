"""The command line: what is said there (`parser`), what the commands do, and how that is shown (`terminal`)."""
