"""Checks of infra/: each looks at one kind of file and yields a line for each fault, `KEY: what is wrong: what to do`."""
