"""The control process: the only place where store, snapshot, compiler, protocol and API are wired together."""
