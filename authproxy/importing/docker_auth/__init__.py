"""Imports docker_auth's configuration."""
