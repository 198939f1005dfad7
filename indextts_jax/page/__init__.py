"""The page for browsers: plain files without a build step, and the routes that serve them.

The page uses nothing but the server's API. Starlette is part of the extra `serve`.
"""
