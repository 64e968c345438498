"""The page: the lecture, reproduced, as one HTML file beside the results it shows."""
