"""What the OCI and Docker specifications name: manifests, descriptors and the names of images. No I/O."""
