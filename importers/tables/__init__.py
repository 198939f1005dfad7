"""The import tables, one for each published file."""
