"""The clock, new ids and locks of the machine that the engine runs on."""
