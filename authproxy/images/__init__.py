"""Images of any registry: transfer between registries, files and the local daemon, listing, details, deletion.

Works with sources and destinations of content; knows no command line.
"""
