"""Formats of the OCI and Docker specifications: manifests, descriptors and the names of images. No I/O."""
