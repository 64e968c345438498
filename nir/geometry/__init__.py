"""Where things are: cameras, similarities between worlds, rays, samples along them, camera paths.

`cameras` fixes the one convention of the project (camera-to-world, OpenCV axes, pixel centres at
+0.5); everything else here, and everything that uses it, speaks that convention only.
"""
