"""Tests of plait.snapshot."""
