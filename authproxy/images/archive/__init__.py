"""Images in files: reads and writes archives as `docker save`, podman, buildah and skopeo write them.

An archive is a folder or a tar, plain or compressed. It is read in place and never extracted, so no name in it can
create a file anywhere. Knows nothing of registries.
"""
