"""The live view of `conduit top`: what is asked, what is drawn, the keys, and the terminal."""
