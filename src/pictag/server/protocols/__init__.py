"""The protocols that clients speak: each turns a request into images, and results into its own reply."""
