"""The HTTP server, which speaks the protocols of existing clients (extra ``pictag[server]``)."""
