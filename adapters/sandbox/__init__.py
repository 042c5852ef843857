"""Commands and code in a sandbox of the kernel's own: what was granted is all there is."""
