"""Identity sources: credentials in, a Principal out. Knows nothing about tokens and policies."""
