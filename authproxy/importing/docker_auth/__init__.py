"""docker_auth's configuration as rules of ours."""
