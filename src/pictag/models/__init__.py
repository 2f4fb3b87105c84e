"""Models: what a name leads to, its files, its labels, and what is known of it.

A model is data: files, a `ModelCard` and a preprocessing spec. `reference` reads the name, `hub` and `folder`
find the files, `load` puts them together.
"""
