"""The storage of content: drivers behind one Protocol, and the layout of paths, which is CNCF Distribution's."""
