"""The command line: flags, help, progress bars, signals. Only commands import this."""
