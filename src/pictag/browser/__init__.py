"""The gallery as a local web page: searching, facets, reviewing, keywords and duplicates."""
