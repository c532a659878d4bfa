"""Rules of other systems, written anew in our language: what carries over exactly, and a finding for what does not.

An importer reads a file, decides nothing by itself and writes nothing: it answers with rules, cases and findings. What
cannot be said in our language is left out on the side of less: an imported policy never allows what the old one denied.
"""
