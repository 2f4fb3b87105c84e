"""Models: names, files, labels and cards.

A model is data: files, a `ModelCard` and a preprocessing spec. `reference` parses a model's name, `hub` and
`folder` find its files, and `load` reads them.
"""
