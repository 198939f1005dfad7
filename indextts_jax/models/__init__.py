"""The networks, one file per component: without loops over time and without file access."""
