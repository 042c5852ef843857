"""The only ring that touches the world: one folder per technology."""
