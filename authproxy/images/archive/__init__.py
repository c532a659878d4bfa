"""Images in files: what `docker save`, podman, buildah and skopeo write, read and written.

An archive is a folder or a tar, plain or packed. It is read in place and never extracted, so no name in it can make a
file anywhere. Which registry an image comes from or goes to is not known here.
"""
