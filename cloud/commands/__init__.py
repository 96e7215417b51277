"""The subcommands of `mdic-cloud`."""
