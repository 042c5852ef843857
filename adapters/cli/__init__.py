"""The command line: one file per command group. Commands talk to the application and print; they decide nothing."""
