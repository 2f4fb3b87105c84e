"""Programs that the benchmarks start as separate processes; `runs` has their protocol."""
