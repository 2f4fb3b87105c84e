"""The protocols: each one parses requests and renders results in its own format."""
