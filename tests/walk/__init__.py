"""The walk of docs/walk.md: its commands, in their order, in a bare Debian that is made for it."""
