"""The TPUs that libtpu describes, with the least topology of each."""

TPUS = {"v5e": "v5e:2x2", "v5p": "v5p:2x2x1", "v6e": "v6e:2x2"}
