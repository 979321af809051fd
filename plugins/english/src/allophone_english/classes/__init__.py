"""One module a semiotic class: how its tokens are written, and how they are said."""
