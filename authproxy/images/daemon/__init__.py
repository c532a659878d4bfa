"""The local docker daemon: which images it holds, and images out of it and into it as archives of `docker save`.

It is asked through its socket, by the Docker Engine API, without a version in the path: what is used here has not
changed since 1.12. podman's socket answers the same questions.
"""
