"""Judging a candidate against live: metrics, statistics, the comparison, calibration."""
