"""Content-addressed bytes: what files held before and after, and what actions brought back."""
