"""What is done with images: moved between registries, files and the local daemon, listed, inspected, tagged.

Everything here speaks of sources and destinations of content, and knows no command line.
"""
