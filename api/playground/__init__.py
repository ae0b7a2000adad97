"""The playground: a page on which people try the API, with examples and a way of signing in."""
