"""The published files on the hub: the manifest, the check of a local directory, and the download.
"""
