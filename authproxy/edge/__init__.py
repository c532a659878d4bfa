"""One pass over every request: who speaks, what is asked, may they, how it went. Cannot tell the backends apart."""
