"""Backups that are taken under load by the commands of docs/backup.md, and restored elsewhere."""
