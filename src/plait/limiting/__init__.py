"""Rate limits that all instances of a service share: counted in one place, asked by Envoy's rate limit protocol.

`memory` and `counting` count, on the library `limits`; `service` answers Envoys by what the mesh's Services say.
"""
