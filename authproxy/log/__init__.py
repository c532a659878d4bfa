"""The log of a process: finished lines on standard error, alarms once a minute, and messages logged once per server."""
