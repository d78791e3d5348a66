"""Kinds of Plait's own: what no standard has an object for."""
