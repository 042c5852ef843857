"""The system call filters, as data: made by `build.py`, checked against `manifest.json` when they are loaded."""
