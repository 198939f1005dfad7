"""The networks, one file a component: arrays in, arrays out, no loops over time, no files."""
