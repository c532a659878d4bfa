"""Makes what is released, into dist/: `python -m release`. Each kind of artefact has a module with `make`."""
