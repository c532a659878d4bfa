"""Identity sources: credentials in, a Principal out. Knows nothing of tokens and policies."""
