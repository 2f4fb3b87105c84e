"""The protocols that clients speak: each turns a request into pictures, and results into its own reply."""
