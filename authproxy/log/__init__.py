"""The log of a process: finished lines on standard error, alarms once a minute, and what is logged once per server."""
