"""Work in several processes: executors, processors, signals, progress."""
