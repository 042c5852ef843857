"""Read models: pure folds from recorded events to row changes."""
