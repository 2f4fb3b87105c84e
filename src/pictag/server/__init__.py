"""The HTTP server: images over the protocols that clients already speak (extra ``pictag[server]``)."""
