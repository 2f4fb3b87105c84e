"""What the races run, each in a process of its own; `laps` says how they are spoken to."""
