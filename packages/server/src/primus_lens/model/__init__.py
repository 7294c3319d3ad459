"""The nouns of Primus Lens, without I/O: plain frozen records made at the edge."""
