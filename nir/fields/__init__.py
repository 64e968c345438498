"""Fields: functions of coordinates, composed of encodings, networks and grids."""
