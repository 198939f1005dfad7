"""The networks, one file a component: functions of arrays, without loops over time or access to
files.
"""
