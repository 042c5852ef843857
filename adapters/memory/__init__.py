"""What the agents of a session note down for one another: kept encrypted, and gone with the session."""
