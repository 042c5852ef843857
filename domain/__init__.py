"""The rules: pure values, aggregates and policy. No clock, no randomness, no input or output."""
