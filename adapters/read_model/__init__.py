"""The projections' tables, in SQLite and in memory: a cache of the log, made again when anything is wrong with it."""
