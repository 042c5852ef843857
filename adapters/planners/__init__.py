"""Planners: what turns a person's request into a plan."""
