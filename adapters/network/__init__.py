"""The way to other machines: requests of actions, and the only way out of the sandbox for commands."""
