"""The wire: frames, their bytes and the table of codes. Shared by the server and the client."""
