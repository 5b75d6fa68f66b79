"""The command line: one file per noun. What a command needs to run is imported when it runs."""
