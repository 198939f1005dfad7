"""From a checkpoint back to the published files: the import tables inverted, plus the arrays that
import drops.
"""
