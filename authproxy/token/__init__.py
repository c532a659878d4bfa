"""The token server: credentials and scopes in, signed tokens out; and the verifying of them with the same key ring."""
