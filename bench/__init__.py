"""The benchmark: Yett beside its peers, on one machine, in one run. Start it with `make bench`."""
