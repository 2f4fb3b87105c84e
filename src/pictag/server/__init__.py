"""The HTTP server: pictures over the protocols that clients already speak (extra ``pictag[server]``)."""
