"""Files beneath granted folders: read, searched, written, moved and deleted without ever following a link."""
