"""The application ring: takes a proposed action from request to recorded outcome. Knows ports, not technologies."""
