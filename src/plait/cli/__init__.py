"""The command line: one module a command.

`main.run` looks at the first word. What starts or carries processes (`run`, `exec`, `start`, `stop`, `gateway`, `up`,
`down`, `control`, `node`, `telemetry`) is parsed with argparse and the standard library only, so that it starts at once
and stays small; every other command goes through `app`, a typer application, and talks to the API.
"""
