"""The token server: credentials and scopes in, signed tokens out; and their verification with the same key ring."""
