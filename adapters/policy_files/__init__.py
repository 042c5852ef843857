"""Policy documents as files."""
