"""Collections that do not fit into memory: sampled, encoded and opened by partitions. Needs the extra ``scale``."""
