"""What the races run, each in a process of its own; `runs` says how they are spoken to."""
